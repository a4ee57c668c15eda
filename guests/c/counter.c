// counter COUNT [err|both] [WIDTH]: the lines "1" to "COUNT" as fast as it can, to standard output, standard error
// or both; WIDTH pads each line with dots to that many bytes. A lost, doubled or torn line shows at once.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BUFFER = 32768 };
static char buffer[BUFFER];
static size_t used;
static int out = 1, err;

static void put_all(int descriptor) {
    for (size_t done = 0; done < used;) {
        ssize_t count = write(descriptor, buffer + done, used - done);
        if (count < 0) exit(1);
        done += (size_t)count;
    }
}

static void flush(void) {
    if (out) put_all(1);
    if (err) put_all(2);
    used = 0;
}

static void line(unsigned long number, size_t width) {
    size_t length = (size_t)snprintf(buffer + used, 32, "%lu", number);
    for (; length < width; length++) buffer[used + length] = '.';
    buffer[used + length] = '\n';
    used += length + 1;
}

int main(int argc, char **argv) {
    unsigned long count = argc > 1 ? strtoul(argv[1], NULL, 10) : 10;
    if (argc > 2) err = !strcmp(argv[2], "err") || !strcmp(argv[2], "both"), out = strcmp(argv[2], "err") != 0;
    size_t width = argc > 3 ? strtoul(argv[3], NULL, 10) : 0;
    if (width > BUFFER / 2) return 2;
    for (unsigned long number = 1; number <= count; number++) {
        if (used + width + 64 > BUFFER) flush();
        line(number, width);
    }
    flush();
    return 0;
}
