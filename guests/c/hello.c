// Says hello, then its arguments, one per line.
#include <stdio.h>

int main(int argc, char **argv) {
    printf("hello from WebAssembly\n");
    for (int i = 1; i < argc; i++) printf("argument %d: %s\n", i, argv[i]);
    return 0;
}
