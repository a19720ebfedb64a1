/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PID 1 of a guest that tries the vsock device from inside. It loads the modules, connects to port
 * 9000 of the host, and obeys the lines that it reads there; each is answered by one line, "ok
 * [NUMBER...]" or "error ERRNO":
 *
 *   send PORT BYTES    connects, writes, shuts its half down, reads to the end: microseconds, bytes
 *   recv PORT          connects, reads to the end: microseconds, bytes read
 *   drain PORT         the same without a look at the data, which in software costs as much again
 *   storm PORT N       connects and closes N times: microseconds
 *   hold PORT N        opens N more connections: how many are open then
 *   stuff              writes into each of them as much as it takes: bytes in all
 *   drop               closes them
 *   listen PORT        answers connections to PORT: what comes is sent back, then the end
 *   quit               powers off
 *
 * With "tcp-" before it, each that connects does so over TCP to QEMU's user network, where
 * there is one (the kernel's word "net").
 *
 * Data is a pattern that depends on its place, and is checked wherever it is read.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

/* linux/vm_sockets.h, which musl has not. */
struct sockaddr_vm {
    unsigned short svm_family, svm_reserved1;
    unsigned int svm_port, svm_cid;
    unsigned char svm_flags, svm_zero[3];
};
#define CID_ANY 0xffffffffu
#define CID_HOST 2u
#define CONTROL_PORT 9000
#define HELD_MAX 2048
#define CHUNK (256 << 10)

static char chunk[CHUNK];
static int held[HELD_MAX];
static int n_held;

static long long now_us(void)
{
    struct timespec t;

    (void) clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000LL + t.tv_nsec / 1000;
}

/* 251 is prime: no shift by a power of two goes unnoticed. */
static char pattern(unsigned long long at)
{
    return (char) (at % 251);
}

/* Those that a file beside them names, in its order. */
static int load_modules(const char *list)
{
    struct utsname uts;
    char path[512], name[256];
    FILE *order;

    (void) uname(&uts);
    (void) snprintf(path, sizeof(path), "/lib/modules/%s/%s", uts.release, list);
    order = fopen(path, "re");
    if (!order)
        return -1;
    while (fgets(name, sizeof(name), order)) {
        int fd;

        name[strcspn(name, "\n")] = '\0';
        (void) snprintf(path, sizeof(path), "/lib/modules/%s/%s", uts.release, name);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0 || (syscall(SYS_finit_module, fd, "", 0) < 0 && errno != EEXIST))
            fprintf(stderr, "%s: %s\n", name, strerror(errno));
        (void) close(fd);
    }
    (void) fclose(order);
    return 0;
}

/* The addresses that QEMU's user network has by default. */
static int network_up(void)
{
    struct ifreq eth = { .ifr_name = "eth0" };
    struct sockaddr_in *address = (struct sockaddr_in *) &eth.ifr_addr;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int r = fd < 0 ? -1 : 0;

    address->sin_family = AF_INET;
    address->sin_addr.s_addr = inet_addr("10.0.2.15");
    if (r == 0)
        r = ioctl(fd, SIOCSIFADDR, &eth);
    address->sin_addr.s_addr = inet_addr("255.255.255.0");
    if (r == 0)
        r = ioctl(fd, SIOCSIFNETMASK, &eth);
    eth.ifr_flags = IFF_UP;
    if (r == 0)
        r = ioctl(fd, SIOCSIFFLAGS, &eth);
    if (fd >= 0)
        (void) close(fd);
    return r;
}

typedef int (*dialler)(unsigned port);

static int dial_address(const void *to, socklen_t len)
{
    int fd = socket(((const struct sockaddr *) to)->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int saved;

    if (fd < 0 || connect(fd, to, len) == 0)
        return fd;
    saved = errno;
    (void) close(fd);
    errno = saved;
    return -1;
}

static int dial_vsock(unsigned port)
{
    const struct sockaddr_vm to = { .svm_family = AF_VSOCK, .svm_port = port, .svm_cid = CID_HOST };

    return dial_address(&to, sizeof(to));
}

static int dial_tcp(unsigned port)
{
    const struct sockaddr_in to = { .sin_family = AF_INET,
                                    .sin_port = htons((uint16_t) port),
                                    .sin_addr.s_addr = inet_addr("10.0.2.2") };

    return dial_address(&to, sizeof(to));
}

static long long read_all(int fd, int looks)
{
    unsigned long long at = 0;
    ssize_t n;

    while ((n = read(fd, chunk, sizeof(chunk))) > 0) {
        for (ssize_t i = 0; looks && i < n; i++)
            if (chunk[i] != pattern(at + (unsigned long long) i)) {
                errno = EILSEQ;
                return -1;
            }
        at += (unsigned long long) n;
    }
    return n < 0 ? -1 : (long long) at;
}

static int write_all(int fd, unsigned long long bytes)
{
    /* 251 * 1000 bytes begin the pattern anew. */
    for (size_t i = 0; i < 251000; i++)
        chunk[i] = pattern(i);
    for (unsigned long long at = 0; at < bytes;) {
        size_t want = 251000 - at % 251000;
        ssize_t n;

        if (want > bytes - at)
            want = (size_t) (bytes - at);
        n = write(fd, chunk + at % 251000, want);
        if (n <= 0)
            return -1;
        at += (unsigned long long) n;
    }
    return 0;
}

static int answer(FILE *control, int r, long long a, long long b)
{
    if (r < 0)
        fprintf(control, "error %d\n", errno);
    else
        fprintf(control, "ok %lld %lld\n", a, b);
    return fflush(control);
}

enum direction {
    SENDS,
    RECEIVES,
    DRAINS
};

static void transfer(FILE *control, dialler dial, const unsigned long long n[2],
                     enum direction what)
{
    long long start = now_us(), got = -1;
    int fd = dial((unsigned) n[0]), r = fd < 0 ? -1 : 0;

    if (r == 0 && what == SENDS) {
        r = write_all(fd, n[1]);
        if (r == 0)
            r = shutdown(fd, SHUT_WR);
    }
    if (r == 0)
        got = read_all(fd, what != DRAINS);
    (void) answer(control, got < 0 ? -1 : 0, now_us() - start, got);
    if (fd >= 0)
        (void) close(fd);
}

static void storm(FILE *control, dialler dial, unsigned port, unsigned n)
{
    long long start = now_us();
    int r = 0;

    for (unsigned i = 0; r == 0 && i < n; i++) {
        int fd = dial(port);

        r = fd < 0 ? -1 : close(fd);
    }
    (void) answer(control, r, now_us() - start, 0);
}

static void hold(FILE *control, dialler dial, unsigned port, unsigned n)
{
    int r = 0;

    for (unsigned i = 0; r == 0 && i < n && n_held < HELD_MAX; i++) {
        int fd = dial(port);

        if (fd < 0)
            r = -1;
        else
            held[n_held++] = fd;
    }
    (void) answer(control, r, n_held, 0);
}

static void stuff(FILE *control)
{
    long long total = 0;
    ssize_t n;

    for (int i = 0; i < n_held; i++)
        while ((n = send(held[i], chunk, sizeof(chunk), MSG_DONTWAIT)) > 0)
            total += n;
    (void) answer(control, 0, total, 0);
}

static void drop(FILE *control)
{
    while (n_held > 0)
        (void) close(held[--n_held]);
    (void) answer(control, 0, 0, 0);
}

static void echo_for_ever(int listener)
{
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        ssize_t n = 1;

        while (fd >= 0 && n > 0) {
            n = read(fd, chunk, sizeof(chunk));
            for (ssize_t at = 0, w = 0; at < n && w >= 0; at += w)
                w = write(fd, chunk + at, (size_t) (n - at));
        }
        if (fd >= 0)
            (void) close(fd);
    }
}

static void listen_on(FILE *control, unsigned port)
{
    const struct sockaddr_vm at = { .svm_family = AF_VSOCK, .svm_port = port, .svm_cid = CID_ANY };
    int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int r = fd < 0 ? -1 : bind(fd, (const struct sockaddr *) &at, sizeof(at));

    if (r == 0)
        r = listen(fd, 128);
    if (r == 0 && fork() == 0)
        echo_for_ever(fd);
    (void) answer(control, r, 0, 0);
    if (fd >= 0)
        (void) close(fd);
}

/* Splits "VERB NUMBER NUMBER"; a number that is not there is 0. */
static void split(char *line, unsigned long long numbers[2])
{
    char *at = line + strcspn(line, " \n");

    for (int i = 0; i < 2; i++) {
        numbers[i] = 0;
        if (*at == ' ')
            *at++ = '\0';
        for (; *at >= '0' && *at <= '9'; at++)
            numbers[i] = numbers[i] * 10 + (unsigned) (*at - '0');
    }
    *at = '\0';
}

static void obey(FILE *control)
{
    unsigned long long n[2];
    char line[128];

    while (fgets(line, sizeof(line), control)) {
        bool tcp = strncmp(line, "tcp-", 4) == 0;
        dialler dial = tcp ? dial_tcp : dial_vsock;
        const char *verb = line + (tcp ? 4 : 0);

        split(line, n);
        if (strcmp(verb, "send") == 0)
            transfer(control, dial, n, SENDS);
        else if (strcmp(verb, "recv") == 0)
            transfer(control, dial, n, RECEIVES);
        else if (strcmp(verb, "drain") == 0)
            transfer(control, dial, n, DRAINS);
        else if (strcmp(verb, "storm") == 0)
            storm(control, dial, (unsigned) n[0], (unsigned) n[1]);
        else if (strcmp(verb, "hold") == 0)
            hold(control, dial, (unsigned) n[0], (unsigned) n[1]);
        else if (strcmp(verb, "stuff") == 0)
            stuff(control);
        else if (strcmp(verb, "drop") == 0)
            drop(control);
        else if (strcmp(verb, "listen") == 0)
            listen_on(control, (unsigned) n[0]);
        else if (strcmp(verb, "quit") == 0)
            return;
        else {
            errno = ENOSYS;
            (void) answer(control, -1, 0, 0);
        }
    }
}

int main(void)
{
    const struct rlimit files = { HELD_MAX + 64, HELD_MAX + 64 };
    FILE *control;
    int fd;

    (void) signal(SIGPIPE, SIG_IGN);
    (void) mkdir("/dev", 0755);
    (void) mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
    (void) setrlimit(RLIMIT_NOFILE, &files);
    if (load_modules("order") < 0)
        fprintf(stderr, "no modules: %s\n", strerror(errno));
    /* A word of the kernel's command line: the driver resets the device and begins anew. */
    if (getenv("reload") &&
        (syscall(SYS_delete_module, "vmw_vsock_virtio_transport", O_NONBLOCK) < 0 ||
         load_modules("order") < 0))
        fprintf(stderr, "reload: %s\n", strerror(errno));
    if (getenv("net") && (load_modules("order-net") < 0 || network_up() < 0))
        fprintf(stderr, "network: %s\n", strerror(errno));
    fd = dial_vsock(CONTROL_PORT);
    control = fd < 0 ? NULL : fdopen(fd, "r+");
    if (control)
        obey(control);
    else
        fprintf(stderr, "connect to the host: %s\n", strerror(errno));
    (void) sync();
    (void) reboot(RB_AUTOBOOT); /* what ends QEMU with -no-reboot */
    return 1;
}
