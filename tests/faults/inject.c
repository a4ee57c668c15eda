// inject PID WHO N ERRNO: attaches to the node PID and lets one system call fail.
//
// WHO says in which process the N-th call (from 1) fails with ERRNO instead of being carried out:
//   node    the node's own threads, counted together from now on
//   stage1  the node's child: its calls up to the execve of pause, and pause's first stage
//   pause   pause itself, from its birth
//   init    the first that pause gives birth to (variable BIRTH: another): from its birth to the end of init's work, which
//           is the second execve
// Prints "ready" when attached and "hit CALL" (its number) when it failed; then everything runs on, and all that is
// left to do is to end with the last of them. What strace's `inject` does, but for one process of a tree whose members are born
// by each other; strace counts per process, and cannot be told to spare the parents.
#define _GNU_SOURCE
#include <asm/unistd.h>
#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

enum role { NODE, STAGE1, PAUSE, MEMBER, OTHER };
enum { TASKS = 4096 };

struct task {
    pid_t id;
    enum role role;
    int target, inside, poisoned, executed;
};

static struct task tasks[TASKS];
static enum role wanted;
static int wanted_birth, births;  // which child of pause: the relay is born first, if there is one
static long wanted_call, calls, error_number;
static int done;
static const long OPTIONS = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACEEXEC;

static struct task *find(pid_t id) {
    for (int i = 0; i < TASKS; i++)
        if (tasks[i].id == id) return &tasks[i];
    return NULL;
}

static struct task *add(pid_t id, enum role role) {
    struct task *task = find(id);
    if (!task) task = find(0);
    if (!task) exit(3);
    *task = (struct task){.id = id, .role = role, .target = role == wanted && role != MEMBER};
    return task;
}

// The number of the call that is about to be made; then, of none.
static long call_of(pid_t id, int replace) {
#if defined(__x86_64__)
    struct user_regs_struct registers;
    if (ptrace(PTRACE_GETREGS, id, 0, &registers)) return -1;
    long call = (long)registers.orig_rax;
    if (replace) registers.orig_rax = -1, ptrace(PTRACE_SETREGS, id, 0, &registers);
    return call;
#else
    int call = -1, none = -1;
    struct iovec one = {&call, sizeof call}, other = {&none, sizeof none};
    if (ptrace(PTRACE_GETREGSET, id, NT_ARM_SYSTEM_CALL, &one)) return -1;
    if (replace) ptrace(PTRACE_SETREGSET, id, NT_ARM_SYSTEM_CALL, &other);
    return call;
#endif
}

static void set_result(pid_t id, long value) {
#if defined(__x86_64__)
    struct user_regs_struct registers;
    if (ptrace(PTRACE_GETREGS, id, 0, &registers)) return;
    registers.rax = (unsigned long long)value;
    ptrace(PTRACE_SETREGS, id, 0, &registers);
#else
    struct user_pt_regs registers;
    struct iovec all = {&registers, sizeof registers};
    if (ptrace(PTRACE_GETREGSET, id, NT_PRSTATUS, &all)) return;
    registers.regs[0] = (unsigned long long)value;
    ptrace(PTRACE_SETREGSET, id, NT_PRSTATUS, &all);
#endif
}

// Calls that cannot fail, or whose failure the C library and the language take for impossible.
static int spared(long call) {
    switch (call) {
    case __NR_exit: case __NR_exit_group: case __NR_rt_sigreturn: case __NR_restart_syscall: case __NR_futex:
    case __NR_munmap: case __NR_brk: case __NR_madvise: case __NR_mprotect: case __NR_sched_yield:
    case __NR_rt_sigprocmask: case __NR_sigaltstack: case __NR_gettid: case __NR_getpid: case __NR_set_robust_list:
    case __NR_rseq: case __NR_set_tid_address: case __NR_clock_gettime: case __NR_sched_getaffinity:
        return 1;
    case __NR_close:
        return wanted == NODE;  // closedir is one that the language takes for impossible to fail
    }
    return 0;
}

static void at_syscall(struct task *task) {
    task->inside = !task->inside;
    if (!task->inside) {
        if (task->poisoned) set_result(task->id, -error_number);
        if (task->poisoned) done = 1;
        task->poisoned = 0;
        return;
    }
    long call = call_of(task->id, 0);
    if (done || !task->target || spared(call) || ++calls != wanted_call) return;
    if (call != __NR_close) call_of(task->id, 1);  // a close that fails has closed all the same
    task->poisoned = 1;
    printf("hit %ld\n", call);
    fflush(stdout);
}

static void born(struct task *parent, pid_t child, int thread) {
    struct task *task = add(child, thread ? parent->role : parent->role < OTHER ? parent->role + 1 : OTHER);
    if (task->role == MEMBER && !thread) task->target = wanted == MEMBER && ++births == wanted_birth;
}

static void go_on(struct task *task, int signal) {
    if (done && task->target && !task->inside) {
        // From now on untraced: the kernel spares a traced PID 1 the signals that end it, and abort() would spin.
        ptrace(PTRACE_DETACH, task->id, 0, signal);
        task->id = 0;
        return;
    }
    ptrace(task->target ? PTRACE_SYSCALL : PTRACE_CONT, task->id, 0, signal);
}

// Whether a thread or a process was born: the flags of clone are gone, but a thread has its group elsewhere.
static int is_thread(pid_t child) {
    char path[64], line[256];
    snprintf(path, sizeof path, "/proc/%d/status", child);
    FILE *file = fopen(path, "r");
    int group = child;
    while (file && fgets(line, sizeof line, file)) sscanf(line, "Tgid: %d", &group);
    if (file) fclose(file);
    return group != child;
}

static void stopped(pid_t id, int status) {
    struct task *task = find(id);
    int signal = WSTOPSIG(status), event = status >> 16;
    if (!task) task = add(id, OTHER), task->target = 0, task->role = OTHER + 1;  // its parent's event comes later
    if (signal == (SIGTRAP | 0x80)) return at_syscall(task), go_on(task, 0);
    if (event == PTRACE_EVENT_CLONE || event == PTRACE_EVENT_FORK || event == PTRACE_EVENT_VFORK) {
        unsigned long child = 0;
        ptrace(PTRACE_GETEVENTMSG, id, 0, &child);
        struct task *early = find((pid_t)child);
        born(task, (pid_t)child, is_thread((pid_t)child));
        if (early) go_on(find((pid_t)child), 0);
        return go_on(task, 0);
    }
    if (event == PTRACE_EVENT_EXEC) {
        if (task->role == MEMBER && ++task->executed == 2) task->target = 0;
        return go_on(task, 0);
    }
    if (event == PTRACE_EVENT_STOP) {
        if (task->role > OTHER) return;  // born, but whose child is not known yet: it waits
        if (signal == SIGTRAP) return go_on(task, 0);
        ptrace(PTRACE_LISTEN, id, 0, 0);
        return;
    }
    go_on(task, event ? 0 : signal);
}

static void attach(const char *node) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%s/task", node);
    DIR *folder = opendir(path);
    if (!folder) perror(path), exit(2);
    for (struct dirent *entry; (entry = readdir(folder));) {
        pid_t id = atoi(entry->d_name);
        if (id <= 0) continue;
        int refused = ptrace(PTRACE_SEIZE, id, 0, OPTIONS);
        // A thread that has ended meanwhile, or is just ending.
        if (refused && (errno == ESRCH || (errno == EPERM && id != atoi(node)))) continue;
        if (refused) perror("attach"), exit(2);
        add(id, NODE);
        if (wanted == NODE) ptrace(PTRACE_INTERRUPT, id, 0, 0);
    }
    closedir(folder);
}

int main(int argc, char **argv) {
    if (argc != 5) return fprintf(stderr, "usage: inject PID node|stage1|pause|init N ERRNO\n"), 2;
    const char *who = argv[2];
    wanted = !strcmp(who, "node") ? NODE : !strcmp(who, "stage1") ? STAGE1 : !strcmp(who, "pause") ? PAUSE : MEMBER;
    const char *birth = getenv("BIRTH");
    wanted_birth = birth ? atoi(birth) : 1;
    wanted_call = atol(argv[3]);
    error_number = atol(argv[4]);
    attach(argv[1]);
    puts("ready");
    fflush(stdout);
    for (int status; ; ) {
        pid_t id = waitpid(-1, &status, __WALL);
        if (id < 0 && errno == ECHILD) break;
        if (id < 0) continue;
        if (WIFSTOPPED(status)) stopped(id, status);
        else if (find(id)) find(id)->id = 0;
    }
    printf("calls %ld\n", calls);
    return 0;
}
