// Copies standard input to standard output in upper case, line by line, and says when the input ended.
#include <ctype.h>
#include <stdio.h>

int main(void) {
    for (int byte; (byte = getchar()) != EOF;) {
        putchar(toupper(byte));
        if (byte == '\n') fflush(stdout);
    }
    fflush(stdout);
    fputs("end of input\n", stderr);
    return ferror(stdin) ? 1 : 0;
}
