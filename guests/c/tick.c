// tick FOLDER NAME: counts until it is told to end, twenty numbers twice a second. Each number is a line of standard
// output, and then a line of FOLDER/NAME, after one that says "begun": there whoever kills it reads what must have come
// out. Once FOLDER/NAME.end is there it is removed, and the number in it is the exit status.
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static char tally[256], end[256];

static void say(int descriptor, const char *text, size_t length) {
    if (write(descriptor, text, length) != (ssize_t)length) exit(99);
}

// The status that it is told to end with; -1 while nobody has.
static int told(void) {
    FILE *file = fopen(end, "r");
    int status = -1;
    if (!file) return -1;
    if (fscanf(file, "%d", &status) != 1) exit(98);
    fclose(file);
    unlink(end);
    return status;
}

static void count(int descriptor, unsigned long from) {
    for (unsigned long number = from; number < from + 20; number++) {
        char line[32];
        size_t length = (size_t)snprintf(line, sizeof line, "%lu\n", number);
        say(1, line, length);
        say(descriptor, line, length);
    }
}

int main(int argc, char **argv) {
    struct timespec pause = {0, 500000000};
    if (argc != 3) return 97;
    snprintf(tally, sizeof tally, "%s/%s", argv[1], argv[2]);
    snprintf(end, sizeof end, "%s/%s.end", argv[1], argv[2]);
    int descriptor = open(tally, O_WRONLY | O_CREAT | O_APPEND, 0644), status;
    if (descriptor < 0) return 96;
    say(descriptor, "begun\n", 6);
    for (unsigned long number = 1; (status = told()) < 0; number += 20) {
        count(descriptor, number);
        nanosleep(&pause, NULL);
    }
    return status;
}
