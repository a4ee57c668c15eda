// eat [MIB]: takes and writes memory, one MiB after the other, until it is told no (exit 3) or has MIB (exit 0).
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Seen by the outside, so that the compiler cannot leave the allocation out.
char *volatile last;

int main(int argc, char **argv) {
    long wanted = argc > 1 ? atol(argv[1]) : 4096;
    for (long taken = 0; taken < wanted; taken++) {
        char *block = malloc(1 << 20);
        if (!block) {
            printf("refused after %ld MiB\n", taken);
            return 3;
        }
        memset(block, 0x5a, 1 << 20);
        last = block;
        if (taken % 16 == 15) printf("%ld MiB\n", taken + 1), fflush(stdout);
    }
    printf("has %ld MiB\n", wanted);
    return 0;
}
