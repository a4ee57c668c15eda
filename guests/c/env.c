// env [NAME…]: the whole environment, or the named variables; "NAME is not set" and exit 1 for one that is missing.
#include <stdio.h>
#include <stdlib.h>

extern char **environ;

int main(int argc, char **argv) {
    int missing = 0;
    for (char **variable = argc == 1 ? environ : NULL; variable && *variable; variable++) puts(*variable);
    for (int i = 1; i < argc; i++) {
        const char *value = getenv(argv[i]);
        if (value) printf("%s=%s\n", argv[i], value);
        else printf("%s is not set\n", argv[i]), missing = 1;
    }
    return missing;
}
