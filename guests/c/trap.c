// trap [unreachable|memory|divide|stack]: ends by a trap of the engine.
#include <stdio.h>
#include <string.h>

static volatile int zero;

// Needs no linear memory: the engine's own stack is what runs out.
__attribute__((noinline)) static int deeper(int depth) { return deeper(depth + 1) + zero; }

int main(int argc, char **argv) {
    const char *kind = argc > 1 ? argv[1] : "unreachable";
    printf("about to trap: %s\n", kind);
    fflush(stdout);
    if (!strcmp(kind, "memory")) return *(volatile int *)0xfffffff0;
    if (!strcmp(kind, "divide")) return 1 / zero;
    if (!strcmp(kind, "stack")) return deeper(0);
    __builtin_trap();
}
