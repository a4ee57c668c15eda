// Tries one thing that a shell cannot and says what the kernel answered: probe VERB [ARGUMENT]
//
//   calls              one line per system call that the filter must refuse: "NAME: ok" or "NAME: errno NUMBER TEXT".
//                      The arguments are such that nothing happens where the call is allowed; the kernel then
//                      complains about them (or not), but never with EPERM or ENOSYS, if whoever asks is root.
//   families           the same for two families of sockets
//   join-key NAME      joins a keyring of its own, adds the key, then executes the rest of the command line
//   find-key NAME      looks for it in the session's keyring
//   connect NAME       connects to an abstract socket
//   euid               prints the effective user, which a setuid bit changes
//   open PATH          opens for reading and reads a byte
//   append PATH        opens for appending and writes nothing
//   cat PATH           prints a file byte for byte
//
// Compiled by the test that uses it: cc -static.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { JOIN_SESSION = 1, SEARCH = 10, SESSION = -3, ADDRESS_FAMILY_ALG = 38, ADDRESS_FAMILY_VSOCK = 40 };

static int say(const char *what, long result) {
    if (result < 0)
        printf("%s: errno %d %s\n", what, errno, strerror(errno));
    else
        printf("%s: ok\n", what);
    fflush(stdout);
    return 0;
}

// A child in a new user namespace, which ends at once.
static long new_user_namespace(void) {
    long child = syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0);
    if (child == 0) _exit(0);
    if (child > 0) waitpid((pid_t)child, NULL, 0);
    return child;
}

static int calls(void) {
    say("mount", syscall(SYS_mount, 0, 0, 0, 0, 0));
    say("umount2", syscall(SYS_umount2, 0, 0));
    say("pivot_root", syscall(SYS_pivot_root, 0, 0));
    say("fsopen", syscall(SYS_fsopen, 0, 0));
    say("fsmount", syscall(SYS_fsmount, -1, 0, 0));
    say("move_mount", syscall(SYS_move_mount, -1, 0, -1, 0, 0));
    say("open_tree", syscall(SYS_open_tree, -1, 0, 1));
    say("mount_setattr", syscall(SYS_mount_setattr, -1, "", 0, 0, 0));
    say("unshare", syscall(SYS_unshare, 0));
    say("setns", syscall(SYS_setns, -1, 0));
    say("clone of a user namespace", new_user_namespace());
    say("add_key", syscall(SYS_add_key, 0, 0, 0, 0, 0));
    say("request_key", syscall(SYS_request_key, 0, 0, 0, 0));
    say("keyctl", syscall(SYS_keyctl, -1, 0, 0, 0, 0));
    say("bpf", syscall(SYS_bpf, -1, 0, 0));
    say("perf_event_open", syscall(SYS_perf_event_open, 0, 0, -1, -1, 0));
    say("open_by_handle_at", syscall(SYS_open_by_handle_at, -1, 0, 0));
    say("swapon", syscall(SYS_swapon, 0, 0));
    say("swapoff", syscall(SYS_swapoff, 0));
    say("reboot", syscall(SYS_reboot, 0, 0, 0, 0));
    say("clock_settime", syscall(SYS_clock_settime, -1, 0));
    say("syslog", syscall(SYS_syslog, -1, 0, 0));
    say("personality", syscall(SYS_personality, ADDR_NO_RANDOMIZE));
    return 0;
}

// The two families that the filter knows by name. A kernel without them says EAFNOSUPPORT, which is another answer.
static int families(void) {
    say("AF_ALG", socket(ADDRESS_FAMILY_ALG, SOCK_SEQPACKET, 0));
    say("AF_VSOCK", socket(ADDRESS_FAMILY_VSOCK, SOCK_STREAM, 0));
    return 0;
}

static int join_key(char **argv) {
    if (syscall(SYS_keyctl, JOIN_SESSION, 0) < 0) return say("join", -1);
    if (syscall(SYS_add_key, "user", argv[2], "secret", 6, SESSION) < 0) return say("add", -1);
    execvp(argv[3], argv + 3);
    return say("execvp", -1);
}

static int find_key(const char *name) {
    return say("key", syscall(SYS_keyctl, SEARCH, SESSION, "user", name, 0));
}

static int connect_abstract(const char *name) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strncpy(address.sun_path + 1, name, sizeof address.sun_path - 2);
    socklen_t length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name));
    int connection = socket(AF_UNIX, SOCK_STREAM, 0);
    return say("connect", connect(connection, (struct sockaddr *)&address, length));
}

static int open_one(const char *path) {
    char byte;
    int file = open(path, O_RDONLY | O_NONBLOCK);
    return say("open", file < 0 ? file : (int)read(file, &byte, 1));
}

static int cat(const char *path) {
    char block[4096];
    ssize_t count;
    int file = open(path, O_RDONLY);
    if (file < 0) return say("open", file);
    while ((count = read(file, block, sizeof block)) > 0)
        if (write(1, block, (size_t)count) != count) return 1;
    return 0;
}

int main(int argc, char **argv) {
    const char *verb = argc > 1 ? argv[1] : "";
    const char *what = argc > 2 ? argv[2] : "";
    if (!strcmp(verb, "calls")) return calls();
    if (!strcmp(verb, "families")) return families();
    if (!strcmp(verb, "join-key") && argc > 3) return join_key(argv);
    if (!strcmp(verb, "find-key")) return find_key(what);
    if (!strcmp(verb, "connect")) return connect_abstract(what);
    if (!strcmp(verb, "euid")) return printf("euid %d\n", (int)geteuid()) < 0;
    if (!strcmp(verb, "open")) return open_one(what);
    if (!strcmp(verb, "append")) return say("append", open(what, O_WRONLY | O_APPEND));
    if (!strcmp(verb, "cat")) return cat(what);
    fprintf(stderr, "probe: unknown verb %s\n", verb);
    return 2;
}
