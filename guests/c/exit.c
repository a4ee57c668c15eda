// exit STATUS [TEXT]: ends with that status, after TEXT on standard error.
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv) {
    if (argc > 2) fprintf(stderr, "%s\n", argv[2]);
    exit(argc > 1 ? atoi(argv[1]) : 0);
}
