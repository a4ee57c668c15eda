// Says who it is: its arguments, then its environment, one per line.
#include <stdio.h>

extern char **environ;

int main(int argc, char **argv) {
    printf("hello from WebAssembly\n");
    for (int i = 1; i < argc; i++) printf("argument %d: %s\n", i, argv[i]);
    for (char **variable = environ; variable && *variable; variable++) printf("environment: %s\n", *variable);
    return 0;
}
