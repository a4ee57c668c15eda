// sleep SECONDS: waits in the host, then ends; for members that live and do nothing.
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

int main(int argc, char **argv) {
    struct timespec rest = {argc > 1 ? atoi(argv[1]) : 3600, 0};
    puts("sleeping");
    fflush(stdout);
    nanosleep(&rest, NULL);
    puts("awake");
    return 0;
}
