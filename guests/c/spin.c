// Never ends, never calls out: only a bound on CPU time or a kill stops it.
#include <stdio.h>

int main(void) {
    puts("spinning");
    fflush(stdout);
    for (volatile unsigned turns = 0;; turns++) {
    }
}
