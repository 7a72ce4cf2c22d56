/* Tries system calls and prints the error of each: what the wall refuses, and ways around it.
 * Wrong pointers and descriptors make every call harmless where nothing refuses it. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static void *const BAD = (void *)1;

static void show(const char *name, long result) {
    const char *text = result >= 0 ? "ok" : strerrorname_np(errno);
    printf("%s %s\n", name, text ? text : "?");
    fflush(stdout);
}

/* In a process of its own: the call may change it. */
#define APART(name, call)                                                                          \
    do {                                                                                           \
        if (fork() == 0) {                                                                         \
            show(name, call);                                                                      \
            _exit(0);                                                                              \
        }                                                                                          \
        wait(NULL);                                                                                \
    } while (0)
#define TRY(call, ...) APART(#call, syscall(SYS_##call, ##__VA_ARGS__))

static void forbidden(void) {
    TRY(acct, BAD);
    TRY(add_key, BAD, BAD, BAD, 1, 0);
    TRY(bpf, 0, BAD, 8);
    TRY(clock_settime, 0, BAD);
    TRY(delete_module, BAD, 0);
    TRY(fanotify_init, -1, -1);
    TRY(finit_module, -1, BAD, 0);
    TRY(get_mempolicy, BAD, BAD, 8, 0, 0);
    TRY(init_module, BAD, 1, BAD);
    TRY(io_uring_enter, -1, 0, 0, 0, 0, 0);
    TRY(io_uring_register, -1, 0, 0, 0);
    TRY(io_uring_setup, 0, BAD);
    TRY(kcmp, -1, -1, 9, 0, 0);
    TRY(kexec_file_load, -1, -1, 0, 0, -1L);
    TRY(kexec_load, 0, 99, BAD, -1L);
    TRY(keyctl, 0xffff, 0, 0, 0, 0);
    TRY(mbind, 1, 1, 99, BAD, 8, 0);
    TRY(migrate_pages, -1, 8, BAD, BAD);
    TRY(move_pages, -1, 1, BAD, BAD, BAD, 0);
    TRY(open_by_handle_at, -1, BAD, 0);
    TRY(perf_event_open, BAD, 0, 0, 0, 0);
    TRY(pidfd_getfd, -1, 0, 0);
    TRY(process_madvise, -1, BAD, 1, 0, 0);
    TRY(quotactl, -1, BAD, 0, BAD);
    TRY(quotactl_fd, -1, 0, 0, BAD);
    TRY(reboot, 0, 0, 0, BAD);
    TRY(request_key, BAD, BAD, BAD, 0);
    TRY(set_mempolicy, 99, BAD, 8);
    TRY(settimeofday, BAD, 0);
    TRY(swapoff, BAD);
    TRY(swapon, BAD, 0);
    TRY(syslog, 99, 0, 0);
    TRY(userfaultfd, 0x7f0f0f0f);
    TRY(setns, -1, 0);
    TRY(pivot_root, BAD, BAD);
    TRY(mount, BAD, BAD, BAD, 0, 0);
    TRY(umount2, BAD, 0);
    TRY(fsopen, BAD, 0);
    TRY(open_tree, -1, BAD, 0);
    TRY(move_mount, -1, BAD, -1, BAD, 0);
    TRY(mount_setattr, -1, BAD, 0, BAD, 32);
    APART("TIOCSTI", ioctl(-1, TIOCSTI, "x"));
    APART("TIOCLINUX", ioctl(-1, 0x541c, BAD));
    APART("TIOCSTI-high", syscall(SYS_ioctl, -1, 0xffffffff00005412UL, "x"));
    APART("personality", personality(MMAP_PAGE_ZERO));
}

static void namespaces(void) {
    static const struct {
        const char *name;
        unsigned long flag;
    } kinds[] = {{"user", CLONE_NEWUSER}, {"user+mount", CLONE_NEWUSER | CLONE_NEWNS},
                 {"user+net", CLONE_NEWUSER | CLONE_NEWNET}, {"mount", CLONE_NEWNS},
                 {"net", CLONE_NEWNET}, {"pid", CLONE_NEWPID}, {"time", 0x80}};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        char name[64];
        snprintf(name, sizeof name, "unshare-%s", kinds[i].name);
        APART(name, unshare(kinds[i].flag));
        if (kinds[i].flag == 0x80)
            continue;
        snprintf(name, sizeof name, "clone-%s", kinds[i].name);
        long pid = syscall(SYS_clone, kinds[i].flag | SIGCHLD, 0, 0, 0, 0);
        if (pid == 0)
            _exit(0);
        show(name, pid);
        while (wait(NULL) > 0) {
        }
    }
    struct {
        unsigned long flags, pidfd, child_tid, parent_tid, signal, stack, size, tls;
    } arguments = {.flags = CLONE_NEWUSER, .signal = SIGCHLD};
    long pid = syscall(SYS_clone3, &arguments, sizeof arguments);
    if (pid == 0)
        _exit(0);
    show("clone3-user", pid);
    while (wait(NULL) > 0) {
    }
}

static void families(void) {
    for (int family = 0; family <= 46; family++) {
        char name[64];
        long found = socket(family, SOCK_DGRAM, 0);
        if (found < 0 && errno != EAFNOSUPPORT)
            found = socket(family, SOCK_STREAM, 0);
        snprintf(name, sizeof name, "family-%d", family);
        show(name, found);
        int pair[2];
        snprintf(name, sizeof name, "pair-%d", family);
        show(name, socketpair(family, SOCK_DGRAM, 0, pair));
    }
    show("family-high", syscall(SYS_socket, 0x100000000UL | AF_VSOCK, SOCK_STREAM, 0));
}

#ifdef __x86_64__
/* The way in of 32-bit programs, from a 64-bit one. */
static long old(long number, long a, long b, long c) {
    long result;
    __asm__ volatile("int $0x80"
                     : "=a"(result)
                     : "a"(number), "b"(a), "c"(b), "d"(c)
                     : "memory", "r8", "r9", "r10", "r11");
    if (result < 0) {
        errno = -(int)result;
        return -1;
    }
    return result;
}

static void ways_around(void) {
    APART("int80-getpid", old(20, 0, 0, 0));
    APART("int80-keyctl", old(288, 0xffff, 0, 0));
    APART("int80-bpf", old(357, 0, 1, 8));
    APART("int80-mount", old(21, 1, 1, 1));
    APART("int80-unshare", old(310, CLONE_NEWUSER, 0, 0));
    APART("int80-clone", old(120, CLONE_NEWUSER | SIGCHLD, 0, 0));
    APART("int80-socket-vsock", old(359, AF_VSOCK, SOCK_STREAM, 0));
    APART("int80-socket-inet", old(359, AF_INET, SOCK_STREAM, 0));
    /* Arguments in memory below 4 GiB, as that way needs them. */
    static int low[3] = {AF_VSOCK, SOCK_STREAM, 0};
    APART("int80-socketcall", old(102, 1, (long)low, 0));
    static int pair[4] = {AF_UNIX, SOCK_STREAM, 0, 0};
    APART("int80-socketcall-pair", old(102, 8, (long)pair, 0));
    APART("x32-getpid", syscall(0x40000000UL | 39));
    APART("x32-socket", syscall(0x40000000UL | 41, AF_VSOCK, SOCK_STREAM, 0));
    APART("x32-ptrace", syscall(521, 0, 0, 0, 0));
    APART("later", syscall(470, 0, 0, 0));
    APART("far", syscall(100000, 0, 0, 0));
}

/* As the C library of i386 makes sockets: the arguments are in memory, below 4 GiB. */
static volatile int raced[3] = {AF_UNIX, SOCK_STREAM, 0};
static int made_of(int family, int type, int protocol) {
    static int arguments[3];
    arguments[0] = family, arguments[1] = type, arguments[2] = protocol;
    return old(102, 1, (long)arguments, 0);
}

static void *flip(void *nothing) {
    for (;;) {
        raced[0] = AF_VSOCK;
        raced[0] = AF_INET;
    }
    return nothing;
}

static void *make_many(void *nothing) {
    for (int i = 0; i < 200; i++) {
        int arguments[3] = {AF_INET, SOCK_STREAM, 0};
        int *low = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
        memcpy(low, arguments, sizeof arguments);
        int made = old(102, 1, (long)low, 0);
        int family = 0;
        socklen_t size = sizeof family;
        if (made < 0 || getsockopt(made, SOL_SOCKET, SO_DOMAIN, &family, &size) || family != AF_INET)
            return (void *)1;
        close(made);
        munmap(low, 4096);
    }
    return nothing;
}

static void by_socketcall(void) {
    static int pair[4];
    for (int family = 0; family <= 46; family++) {
        char name[64];
        int found = made_of(family, SOCK_DGRAM, 0);
        if (found < 0 && errno != EAFNOSUPPORT)
            found = made_of(family, SOCK_STREAM, 0);
        snprintf(name, sizeof name, "family-%d", family);
        show(name, found);
        static int both[2];
        pair[0] = family, pair[1] = SOCK_DGRAM, pair[2] = 0, pair[3] = (int)(long)both;
        snprintf(name, sizeof name, "pair-%d", family);
        show(name, old(102, 8, (long)pair, 0));
        if (family == AF_UNIX && both[0] > 0 && both[1] > 0) {
            char text[4] = "";
            int sent = write(both[0], "abc", 4) == 4 && read(both[1], text, 4) == 4;
            show("talks", sent && !strcmp(text, "abc") ? 0 : -1);
        }
    }
    show("bad-pointer", old(102, 1, 1, 0));
    pair[0] = AF_UNIX, pair[1] = SOCK_STREAM, pair[3] = 1;
    show("bad-pair", old(102, 8, (long)pair, 0));
    show("bad-type", made_of(AF_INET, 77, 0));
    show("negative", made_of(-1, SOCK_STREAM, 0));
    int found = made_of(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    show("closes", fcntl(found, F_GETFD) == FD_CLOEXEC ? 0 : -1);
    found = made_of(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    show("stays", fcntl(found, F_GETFD) == 0 ? 0 : -1);
    show("does-not-block", fcntl(found, F_GETFL) & O_NONBLOCK ? 0 : -1);
    show("raw", made_of(AF_INET, SOCK_RAW, 255));
    /* bind, of a descriptor that is not there: not handed over. */
    static int bind_arguments[3] = {-1, 0, 0};
    show("others", old(102, 2, (long)bind_arguments, 0));
    pthread_t threads[4];
    pthread_create(&threads[0], NULL, flip, NULL);
    int wrong = 0;
    for (int i = 0; i < 2000; i++) {
        int family = AF_INET;
        socklen_t size = sizeof family;
        found = old(102, 1, (long)raced, 0);
        if (found >= 0 && (getsockopt(found, SOL_SOCKET, SO_DOMAIN, &family, &size) || family == AF_VSOCK))
            wrong = 1;
        if (found >= 0)
            close(found);
    }
    errno = EEXIST;
    show("raced", wrong ? -1 : 0);
    void *ended = NULL;
    wrong = 0;
    for (int i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, make_many, NULL);
    for (int i = 0; i < 4; i++)
        if (pthread_join(threads[i], &ended) || ended)
            wrong = 1;
    show("threads", wrong ? -1 : 0);
}
#else
static void by_socketcall(void) {}
static void ways_around(void) { APART("later", syscall(470, 0, 0, 0)); }
#endif

/* Whether a socket of the host answers; `@` begins an abstract name. */
static void reach(const char *name) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strncpy(address.sun_path, name, sizeof address.sun_path - 1);
    if (*name == '@')
        *address.sun_path = 0;
    socklen_t length = offsetof(struct sockaddr_un, sun_path) + strlen(name) + (*name != '@');
    int stream = socket(AF_UNIX, SOCK_STREAM, 0);
    show("connect", stream < 0 ? -1 : connect(stream, (void *)&address, length));
    int datagrams[2];
    if (socketpair(AF_UNIX, SOCK_DGRAM, 0, datagrams) < 0)
        show("pair", -1);
}

int main(int count, char **arguments) {
    if (count == 3 && !strcmp(arguments[1], "reach"))
        reach(arguments[2]);
    else if (count == 2 && !strcmp(arguments[1], "forbidden"))
        forbidden();
    else if (count == 2 && !strcmp(arguments[1], "namespaces"))
        namespaces();
    else if (count == 2 && !strcmp(arguments[1], "families"))
        families();
    else if (count == 2 && !strcmp(arguments[1], "socketcall"))
        by_socketcall();
    else if (count == 2 && !strcmp(arguments[1], "bomb"))
        for (;;)
            fork();
    else if (count == 2 && !strcmp(arguments[1], "around"))
        ways_around();
    else
        return 64;
    return 0;
}
