// cwd [RELATIVE]: PWD, what the C library takes for the working directory, and what a relative path opens.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv) {
    char path[4096], line[256] = "";
    const char *variable = getenv("PWD");
    printf("PWD: %s\n", variable ? variable : "(none)");
    printf("getcwd: %s\n", getcwd(path, sizeof path) ? path : strerror(errno));
    if (argc < 2) return 0;
    FILE *file = fopen(argv[1], "r");
    if (file && fgets(line, sizeof line, file)) line[strcspn(line, "\n")] = 0;
    printf("%s: %s\n", argv[1], file ? line : strerror(errno));
    return file ? 0 : 1;
}
