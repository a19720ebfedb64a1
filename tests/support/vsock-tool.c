/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the end-to-end tests and the benchmarks run inside of a guest: static, for any image. The
 * first word says what it does:
 *
 * - connect PORT: joins stdin and stdout to a connection to the host's PORT
 * - listen PORT: the same for the first connection that the guest gets on PORT
 * - echo PORT: serves connections on PORT, each byte back to where it came from
 * - many PORT N: holds N connections to the host's PORT at once; each gets its number echoed
 * - rate PORT N: N connections after one another; prints microseconds for each
 * - ping PORT N: N bytes to and fro over one connection; prints the median, in microseconds
 * - spawn N PROGRAM: starts PROGRAM N times; prints the median, in microseconds
 * - pattern BYTES: writes 32-bit numbers from 0 on
 * - errno PORT: prints the errno with which connecting to the host's PORT fails, or 0
 * - cid CID PORT: the same for another CID
 *
 * And on the host, for what guests connect to:
 *
 * - echo-unix PATH: as echo, on a UNIX socket
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <linux/vm_sockets.h>

extern char **environ;

static void die(const char *what)
{
    fprintf(stderr, "vsock-tool: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int dial(unsigned cid, unsigned port)
{
    struct sockaddr_vm a = { .svm_family = AF_VSOCK, .svm_cid = cid, .svm_port = port };
    int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        die("socket");
    if (connect(fd, (struct sockaddr *) &a, sizeof(a)) < 0) {
        int saved = errno;

        (void) close(fd);
        errno = saved;
        return -1;
    }
    return fd;
}

static int dial_host(unsigned port)
{
    int fd = dial(VMADDR_CID_HOST, port);

    if (fd < 0)
        die("connect");
    return fd;
}

static int serve(unsigned port)
{
    struct sockaddr_vm a = { .svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_ANY, .svm_port = port };
    int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || bind(fd, (struct sockaddr *) &a, sizeof(a)) < 0 || listen(fd, 1024) < 0)
        die("listen");
    fprintf(stderr, "listening\n");
    return fd;
}

static int serve_unix(const char *path)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    errno = ENAMETOOLONG;
    if (strlen(path) >= sizeof(a.sun_path))
        die(path);
    memcpy(a.sun_path, path, strlen(path));
    if (fd < 0 || bind(fd, (struct sockaddr *) &a, sizeof(a)) < 0 || listen(fd, 1024) < 0)
        die(path);
    return fd;
}

static void write_all(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, data, len);

        if (n < 0)
            die("write");
        data += n;
        len -= (size_t) n;
    }
}

static void read_all(int fd, char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = read(fd, data, len);

        if (n <= 0)
            die(n < 0 ? "read" : "read: end of file");
        data += n;
        len -= (size_t) n;
    }
}

/* Until both directions have ended, each by itself. */
static int join(int fd)
{
    static char data[262144];
    struct pollfd p[2] = { { STDIN_FILENO, POLLIN, 0 }, { fd, POLLIN, 0 } };

    while (p[0].fd >= 0 || p[1].fd >= 0) {
        ssize_t n;

        if (poll(p, 2, -1) < 0)
            die("poll");
        if (p[0].fd >= 0 && p[0].revents) {
            n = read(STDIN_FILENO, data, sizeof(data));
            if (n > 0) {
                write_all(fd, data, (size_t) n);
            } else {
                (void) shutdown(fd, SHUT_WR);
                p[0].fd = -1;
            }
        }
        if (p[1].fd >= 0 && p[1].revents) {
            n = read(fd, data, sizeof(data));
            if (n < 0)
                die("read");
            if (n > 0) {
                write_all(STDOUT_FILENO, data, (size_t) n);
            } else {
                (void) close(STDOUT_FILENO);
                p[1].fd = -1;
            }
        }
    }
    return 0;
}

static int echo(int listen_fd)
{
    (void) signal(SIGCHLD, SIG_IGN);
    for (;;) {
        int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);
        static char data[65536];
        ssize_t n;

        if (fd < 0)
            die("accept");
        if (fork() == 0) {
            while ((n = read(fd, data, sizeof(data))) > 0)
                write_all(fd, data, (size_t) n);
            _exit(0);
        }
        (void) close(fd);
    }
}

static int many(unsigned port, unsigned n)
{
    int *fds = calloc(n, sizeof(*fds));

    if (!fds)
        die("memory");
    for (unsigned i = 0; i < n; i++)
        fds[i] = dial_host(port);
    for (unsigned i = 0; i < n; i++)
        write_all(fds[i], (char *) &i, sizeof(i));
    for (unsigned i = 0; i < n; i++) {
        unsigned back = n;

        read_all(fds[i], (char *) &back, sizeof(back));
        if (back != i) {
            fprintf(stderr, "connection %u got %u\n", i, back);
            return 1;
        }
    }
    printf("%u connections\n", n);
    fflush(stdout);
    (void) getchar(); /* holds them until stdin says or ends */
    free(fds);
    return 0;
}

static double now_us(void)
{
    struct timespec t;

    (void) clock_gettime(CLOCK_MONOTONIC, &t);
    return (double) t.tv_sec * 1e6 + (double) t.tv_nsec / 1e3;
}

static double *times_of(unsigned n)
{
    double *us = n > 0 ? calloc(n, sizeof(*us)) : NULL;

    if (!us)
        die("number");
    return us;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *) a, y = *(const double *) b;

    return x < y ? -1 : x > y;
}

/* Takes @us: what else the machine does meets a few, and a mean would be made of those. */
static int print_median(double *us, unsigned n)
{
    qsort(us, n, sizeof(*us), by_value);
    printf("%.1f\n", us[n / 2]);
    free(us);
    return 0;
}

static int rate(unsigned port, unsigned n)
{
    double start = now_us();

    for (unsigned i = 0; i < n; i++)
        (void) close(dial_host(port));
    printf("%.1f\n", (now_us() - start) / n);
    return 0;
}

static int ping(unsigned port, unsigned n)
{
    double *us = times_of(n);
    int fd = dial_host(port);
    char byte = 'x';

    for (unsigned i = 0; i < n; i++) {
        double start = now_us();

        write_all(fd, &byte, 1);
        read_all(fd, &byte, 1);
        us[i] = now_us() - start;
    }
    return print_median(us, n);
}

static int spawn(unsigned n, char *program)
{
    char *const argv[] = { program, NULL };
    double *us = times_of(n);

    for (unsigned i = 0; i < n; i++) {
        double start = now_us();
        int status;
        pid_t pid = fork();

        if (pid == 0) {
            (void) execve(program, argv, environ);
            _exit(127);
        }
        if (pid < 0 || waitpid(pid, &status, 0) < 0 || status != 0)
            die("spawn");
        us[i] = now_us() - start;
    }
    return print_median(us, n);
}

static int tell_errno(unsigned cid, unsigned port)
{
    int fd = dial(cid, port);

    printf("%d\n", fd < 0 ? errno : 0);
    return 0;
}

static int pattern(unsigned bytes)
{
    static uint32_t chunk[16384];

    for (uint32_t at = 0; at < bytes; at += sizeof(chunk)) {
        size_t len = bytes - at < sizeof(chunk) ? bytes - at : sizeof(chunk);

        for (size_t i = 0; i < sizeof(chunk) / sizeof(chunk[0]); i++)
            chunk[i] = at / 4 + (uint32_t) i;
        write_all(STDOUT_FILENO, (char *) chunk, len);
    }
    return 0;
}

static int usage(void)
{
    fprintf(stderr, "vsock-tool: see tests/support/vsock-tool.c\n");
    return 2;
}

/* 0 for what is no number. */
static unsigned number(const char *text)
{
    unsigned n = 0;

    for (; *text >= '0' && *text <= '9'; text++)
        n = n * 10 + (unsigned) (*text - '0');
    return *text ? 0 : n;
}

int main(int argc, char **argv)
{
    const char *verb = argc > 1 ? argv[1] : "";
    unsigned a = argc > 2 ? number(argv[2]) : 0;
    unsigned b = argc > 3 ? number(argv[3]) : 0;

    if (argc < 3)
        return usage();
    if (strcmp(verb, "connect") == 0)
        return join(dial_host(a));
    if (strcmp(verb, "listen") == 0)
        return join(accept4(serve(a), NULL, NULL, SOCK_CLOEXEC));
    if (strcmp(verb, "echo") == 0)
        return echo(serve(a));
    if (strcmp(verb, "echo-unix") == 0)
        return echo(serve_unix(argv[2]));
    if (strcmp(verb, "pattern") == 0)
        return pattern(a);
    if (strcmp(verb, "errno") == 0)
        return tell_errno(VMADDR_CID_HOST, a);
    if (argc < 4)
        return usage();
    if (strcmp(verb, "many") == 0)
        return many(a, b);
    if (strcmp(verb, "rate") == 0)
        return rate(a, b);
    if (strcmp(verb, "ping") == 0)
        return ping(a, b);
    if (strcmp(verb, "cid") == 0)
        return tell_errno(a, b);
    if (strcmp(verb, "spawn") == 0)
        return spawn(a, argv[3]);
    return usage();
}
