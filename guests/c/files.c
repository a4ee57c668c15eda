// Works with files, one verb after the other: files VERB ARGS… [-- VERB ARGS…]…
//
//   write PATH TEXT     replaces the content        append PATH TEXT   adds a line
//   read PATH           to standard output          list PATH          names, one per line, sorted
//   copy FROM TO        byte for byte               remove PATH        a file
//   make PATH           a directory                 move FROM TO       renames
//   wait PATH           until it exists             size PATH          prints "size BYTES"
//
// Ends with 1 and "VERB PATH: reason" on standard error at the first verb that fails.
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static int put(const char *path, const char *text, const char *mode) {
    FILE *file = fopen(path, mode);
    if (!file) return -1;
    int bad = fprintf(file, "%s\n", text) < 0;
    return fclose(file) || bad ? -1 : 0;
}

static int copy_stream(FILE *from, FILE *to) {
    static char buffer[65536];
    size_t count;
    while ((count = fread(buffer, 1, sizeof buffer, from)) > 0)
        if (fwrite(buffer, 1, count, to) != count) return -1;
    return ferror(from) ? -1 : 0;
}

static int show(const char *path) {
    FILE *file = fopen(path, "r");
    if (!file) return -1;
    int result = copy_stream(file, stdout);
    fclose(file);
    return result;
}

static int copy(const char *from, const char *to) {
    FILE *source = fopen(from, "r");
    if (!source) return -1;
    FILE *target = fopen(to, "w");
    if (!target) return -1;
    int result = copy_stream(source, target);
    fclose(source);
    return fclose(target) || result ? -1 : 0;
}

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static int list(const char *path) {
    DIR *directory = opendir(path);
    if (!directory) return -1;
    static char *names[4096];
    size_t count = 0;
    for (struct dirent *entry; count < 4096 && (entry = readdir(directory));)
        if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..")) names[count++] = strdup(entry->d_name);
    closedir(directory);
    qsort(names, count, sizeof *names, by_name);
    for (size_t i = 0; i < count; i++) puts(names[i]);
    return 0;
}

static int wait_for(const char *path) {
    struct stat status;
    struct timespec pause = {0, 20000000};
    while (stat(path, &status)) {
        if (errno != ENOENT) return -1;
        nanosleep(&pause, NULL);
    }
    return 0;
}

static int size(const char *path) {
    struct stat status;
    if (stat(path, &status)) return -1;
    printf("size %lld\n", (long long)status.st_size);
    return 0;
}

static int run(const char *verb, const char *path, const char *other) {
    if (!strcmp(verb, "write")) return put(path, other, "w");
    if (!strcmp(verb, "append")) return put(path, other, "a");
    if (!strcmp(verb, "read")) return show(path);
    if (!strcmp(verb, "list")) return list(path);
    if (!strcmp(verb, "copy")) return copy(path, other);
    if (!strcmp(verb, "move")) return rename(path, other);
    if (!strcmp(verb, "remove")) return unlink(path);
    if (!strcmp(verb, "make")) return mkdir(path, 0777);
    if (!strcmp(verb, "wait")) return wait_for(path);
    if (!strcmp(verb, "size")) return size(path);
    errno = EINVAL;
    return -1;
}

int main(int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        int first = i;
        while (i < argc && strcmp(argv[i], "--")) i++;
        const char *path = first + 1 < i ? argv[first + 1] : "";
        const char *other = first + 2 < i ? argv[first + 2] : "";
        if (run(argv[first], path, other)) {
            fprintf(stderr, "%s %s: %s\n", argv[first], path, strerror(errno));
            return 1;
        }
        fflush(stdout);
    }
    return 0;
}
