// Tries each door out of its grants and says what happened: escape VERB PATH [PATH]  [-- VERB …]…
//
//   open PATH           for reading             write PATH         creates or truncates, writes a byte
//   list PATH           a directory             make PATH          a directory
//   remove PATH         a file                  symlink TARGET AT  makes a symbolic link
//   link FROM AT        makes a hard link       move FROM TO       renames
//   stat PATH           follows links           readlink PATH      prints where a link points
//
// One line each, "VERB PATH: ok" or "VERB PATH: errno NUMBER NAME"; always exit 0: whoever asks judges.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int read_one(const char *path) {
    char byte;
    int descriptor = open(path, O_RDONLY);
    if (descriptor < 0) return -1;
    int result = read(descriptor, &byte, 1) < 0 ? -1 : 0;
    int saved = errno;
    close(descriptor);
    errno = saved;
    return result;
}

static int write_one(const char *path) {
    int descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    if (descriptor < 0) return -1;
    int result = write(descriptor, "x", 1) == 1 ? 0 : -1;
    int saved = errno;
    close(descriptor);
    errno = saved;
    return result;
}

static int list(const char *path) {
    DIR *directory = opendir(path);
    if (!directory) return -1;
    closedir(directory);
    return 0;
}

static int show_link(const char *path) {
    char target[4096];
    ssize_t length = readlink(path, target, sizeof target - 1);
    if (length < 0) return -1;
    printf("-> %.*s\n", (int)length, target);
    return 0;
}

static int run(const char *verb, const char *path, const char *other) {
    struct stat status;
    if (!strcmp(verb, "open")) return read_one(path);
    if (!strcmp(verb, "write")) return write_one(path);
    if (!strcmp(verb, "list")) return list(path);
    if (!strcmp(verb, "make")) return mkdir(path, 0777);
    if (!strcmp(verb, "remove")) return unlink(path);
    if (!strcmp(verb, "symlink")) return symlink(path, other);
    if (!strcmp(verb, "link")) return link(path, other);
    if (!strcmp(verb, "move")) return rename(path, other);
    if (!strcmp(verb, "stat")) return stat(path, &status);
    if (!strcmp(verb, "readlink")) return show_link(path);
    errno = EINVAL;
    return -1;
}

static const char *name(int number) {
    switch (number) {
        case EACCES: return "EACCES";
        case EBADF: return "EBADF";
        case EEXIST: return "EEXIST";
        case EINVAL: return "EINVAL";
        case EISDIR: return "EISDIR";
        case ELOOP: return "ELOOP";
        case ENOENT: return "ENOENT";
        case ENOSPC: return "ENOSPC";
        case ENOTDIR: return "ENOTDIR";
        case ENOSYS: return "ENOSYS";
        case ENOTSUP: return "ENOTSUP";
        case EPERM: return "EPERM";
        case EROFS: return "EROFS";
        case EXDEV: return "EXDEV";
        case ENOTCAPABLE: return "ENOTCAPABLE";
        default: return "?";
    }
}

int main(int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        int first = i;
        while (i < argc && strcmp(argv[i], "--")) i++;
        const char *path = first + 1 < i ? argv[first + 1] : "";
        const char *other = first + 2 < i ? argv[first + 2] : "";
        errno = 0;
        if (run(argv[first], path, other))
            printf("%s %s: errno %d %s\n", argv[first], path, errno, name(errno));
        else
            printf("%s %s: ok\n", argv[first], path);
        fflush(stdout);
    }
    return 0;
}
