/* SPDX-License-Identifier: Apache-2.0 */
/*
 * microvm-vsock: the socket device of one VM, in a process of its own. Descriptor 3 is the
 * connected vhost-user socket of the machine, the words of the command line say what is served
 * (ports.h), stderr is the log. It ends with the machine, once the host has what the guest sent, or
 * with the process that started it.
 *
 * Before the first byte from the machine is read, everything goes that is not needed from then on:
 * descriptors, files, privileges, memory without end, and all system calls but those of a loop over
 * sockets.
 */
#include "base/confine.h"
#include "base/io.h"
#include "virtio/vhost-user.h"
#include "virtio/vsock/device.h"
#include "virtio/vsock/packet.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#define EXIT_FAILED 1
#define EXIT_USAGE 2

/* Besides connections and the sockets of the command line: standard streams, machine, loop, rings,
 * and those of a message. */
#define OTHER_FDS 32
/* Where the log ends, if it is a file: refusals come at ten lines a second as long as a guest wants
 * it, which is some hours of them. */
#define LOG_BYTES_MAX (16u << 20)

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifdef SANITIZED
/* The address sanitizer reserves terabytes, which count as data, and its search for leaks at the
 * end needs calls that the filter denies. */
#define LIMIT_MEMORY 0
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "detect_leaks=0";
}
#else
#define LIMIT_MEMORY 1
#endif

static const int log_fd = STDERR_FILENO;

struct server {
    struct loop *loop;
    struct vhost_user *vhost_user;
    struct vsock_device *device;
    const struct log *log;
    bool failed;
};

static void queue_started(void *user, unsigned queue)
{
    struct server *s = user;

    vsock_device_started(s->device, queue, vhost_user_queue(s->vhost_user, queue));
}

static void queue_stopped(void *user, unsigned queue)
{
    vsock_device_stopped(((struct server *) user)->device, queue);
}

/* The device looks at its rings after each round of events. */
static void queue_kicked(void *user, unsigned queue)
{
    (void) user;
    (void) queue;
}

static void session_ended(void *user, const char *reason)
{
    struct server *s = user;

    if (!reason) {
        vsock_device_finish(s->device);
        return;
    }
    log_error(s->log, "vsock", "vhost-user: %s", reason);
    s->failed = true;
    loop_stop(s->loop);
}

static void notify_guest(void *user, unsigned queue)
{
    vhost_user_notify(((struct server *) user)->vhost_user, queue);
}

static void queue_broke(void *user, unsigned queue)
{
    vhost_user_break(((struct server *) user)->vhost_user, queue);
}

static int check_socket(int fd, bool listening, mvm_error **err)
{
    const int options[] = { SO_DOMAIN, SO_TYPE, SO_ACCEPTCONN };
    const int wanted[] = { AF_UNIX, SOCK_STREAM, listening };

    for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
        int value = -1;
        socklen_t len = sizeof(value);

        if (getsockopt(fd, SOL_SOCKET, options[i], &value, &len) < 0)
            return mvm_fail(err, MVM_E_ARG, errno, "descriptor %d", fd);
        if (value != wanted[i])
            return mvm_fail(err, MVM_E_ARG, 0, "descriptor %d is no %s UNIX stream socket", fd,
                            listening ? "listening" : "connected");
    }
    /* accept(2) has to tell that nobody is left. */
    return io_set_nonblock(fd, true, err);
}

static int compare_fds(const void *a, const void *b)
{
    return *(const int *) a - *(const int *) b;
}

/* Checks the descriptors of the command line, and closes the others. */
static int keep_sockets(const struct vsock_ports *ports, mvm_error **err)
{
    int keep[4 + VSOCK_SERVES_MAX] = { STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO,
                                       VSOCK_FD_MACHINE };
    size_t n = 4;
    int r = check_socket(VSOCK_FD_MACHINE, false, err);

    for (size_t i = 0; r == 0 && i < ports->n; i++) {
        const struct vsock_serve *s = &ports->items[i];

        if (s->fd < 0)
            continue;
        r = check_socket(s->fd, s->kind != VSOCK_SERVE_ONCE, err);
        keep[n++] = s->fd;
    }
    if (r < 0)
        return r;
    qsort(keep, n, sizeof(keep[0]), compare_fds);
    return confine_descriptors(keep, n, err);
}

/* We end with whoever started us, who may have ended before we said so. */
static int end_with_parent(mvm_error **err)
{
    const pid_t parent = getppid();

    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "ask for a death signal");
    if (getppid() != parent)
        return mvm_fail(err, MVM_E_STATE, 0, "who started this is gone");
    return 0;
}

static int set_limit(int what, rlim_t value, mvm_error **err)
{
    struct rlimit limit;

    if (getrlimit((__rlimit_resource_t) what, &limit) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "read a limit");
    limit.rlim_cur = value < limit.rlim_max ? value : limit.rlim_max;
    limit.rlim_max = limit.rlim_cur;
    if (setrlimit((__rlimit_resource_t) what, &limit) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "set a limit");
    return 0;
}

/* Where there are fewer descriptors than wanted, there are fewer connections, and none of the
 * agents'. */
static int limit_descriptors(const struct vsock_ports *ports, unsigned *ret_connections,
                             mvm_error **err)
{
    const rlim_t others = OTHER_FDS + ports->n + VSOCK_AGENT_RESERVE;
    struct rlimit limit;
    int r = set_limit(RLIMIT_NOFILE, VSOCK_CONNECTIONS_MAX + others, err);

    if (r < 0)
        return r;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "read a limit");
    if (limit.rlim_cur <= others)
        return mvm_fail(err, MVM_E_SYS, 0, "a limit of %llu open files, where %llu are needed",
                        (unsigned long long) limit.rlim_cur, (unsigned long long) others + 1);
    *ret_connections = (unsigned) (limit.rlim_cur - others); /* VSOCK_CONNECTIONS_MAX at most */
    return 0;
}

static int set_limits(const struct vsock_ports *ports, unsigned *ret_connections, mvm_error **err)
{
    int r = limit_descriptors(ports, ret_connections, err);

    if (r == 0)
        r = set_limit(RLIMIT_CORE, 0, err);
    if (r == 0)
        r = set_limit(RLIMIT_FSIZE, LOG_BYTES_MAX, err);
    if (r == 0 && LIMIT_MEMORY)
        r = set_limit(RLIMIT_DATA, VSOCK_MEMORY_MAX, err);
    return r;
}

/* malloc: brk to mprotect. The C library asks for random bytes in its first malloc, and for the
 * kind of stderr when something is to be printed. */
static int filter_calls(mvm_error **err)
{
    static const struct confine_call calls[] = {
        { .number = __NR_recvmsg },
        { .number = __NR_sendmsg },
        { .number = __NR_epoll_pwait },
#ifdef __NR_epoll_wait
        { .number = __NR_epoll_wait },
#endif
        { .number = __NR_read },
        { .number = __NR_write },
        { .number = __NR_recvfrom },
        { .number = __NR_sendto },
        { .number = __NR_epoll_ctl },
        { .number = __NR_accept4 },
        { .number = __NR_socket, .first_is = true, .first = AF_UNIX },
        { .number = __NR_connect },
        { .number = __NR_shutdown },
        { .number = __NR_close },
        { .number = __NR_fcntl },
        { .number = __NR_fstat },
        { .number = __NR_newfstatat },
        { .number = __NR_brk },
        { .number = __NR_mmap },
        { .number = __NR_munmap },
        { .number = __NR_mremap },
        { .number = __NR_madvise },
        { .number = __NR_mprotect },
        { .number = __NR_getrandom },
        { .number = __NR_clock_gettime },
        { .number = __NR_rt_sigreturn },
        { .number = __NR_restart_syscall },
        { .number = __NR_exit_group },
    };

    return confine_calls(calls, ARRAY_SIZE(calls), err);
}

static int enter_jail(const struct vsock_ports *ports, unsigned *ret_connections, mvm_error **err)
{
    int r = end_with_parent(err);

    if (r == 0)
        r = keep_sockets(ports, err);
    if (r == 0)
        r = set_limits(ports, ret_connections, err);
    if (r == 0)
        r = confine_privileges(err);
    if (r == 0)
        r = confine_files(err);
    return r;
}

static int serve(const struct vsock_ports *ports, unsigned connections, const struct log *log,
                 mvm_error **err)
{
    static const uint8_t config[8] = { VSOCK_CID_GUEST }; /* virtio 1.2, 5.10.4 */
    struct server s = { .log = log };
    const struct vsock_transport transport = { notify_guest, queue_broke, &s };
    const struct vhost_user_device device = {
        .features = VIRTIO_BIT(VIRTIO_F_VERSION_1) | VIRTIO_BIT(VIRTIO_RING_F_EVENT_IDX),
        .protocol_features = VIRTIO_BIT(VHOST_USER_PROTOCOL_F_REPLY_ACK) |
                             VIRTIO_BIT(VHOST_USER_PROTOCOL_F_CONFIG),
        .n_queues = VSOCK_QUEUES,
        .config = config,
        .config_len = sizeof(config),
        .started = queue_started,
        .stopped = queue_stopped,
        .kicked = queue_kicked,
        .ended = session_ended,
        .user = &s,
    };
    mvm_auto(loop) loop = NULL;
    mvm_auto(vsock_device) vsock = NULL;
    mvm_auto(vhost_user) vhost_user = NULL;
    int r = loop_new(&loop, err);

    if (r == 0)
        r = vsock_device_new(loop, ports, &transport, log, &vsock, err);
    s.loop = loop;
    s.device = vsock;
    if (r == 0 && connections < VSOCK_CONNECTIONS_MAX) {
        log_warning(log, "vsock", "the limit of open files leaves %u connections at once",
                    connections);
        vsock_device_limit(vsock, connections);
    }
    if (r == 0)
        r = vhost_user_new(loop, VSOCK_FD_MACHINE, &device, &vhost_user, err);
    s.vhost_user = vhost_user;
    if (r == 0)
        r = filter_calls(err);
    if (r == 0)
        r = loop_run(loop, err);
    return r < 0 ? r : s.failed;
}

int main(int argc, char **argv)
{
    const struct log log = { .sink = log_sink_fd,
                             .user = (void *) &log_fd,
                             .level = LOG_LEVEL_INFO };
    mvm_autovalue(vsock_ports) ports = { .items = NULL };
    mvm_autoerror mvm_error *err = NULL;
    unsigned connections = 0;
    int r;

    (void) argc;
    (void) signal(SIGPIPE, SIG_IGN);
    (void) signal(SIGXFSZ, SIG_IGN); /* a log that is full loses its lines, and nothing more */
    r = vsock_ports_decode(argv + 1, &ports, &err);
    if (r == 0)
        r = enter_jail(&ports, &connections, &err);
    if (r < 0) {
        log_error(&log, "vsock", "%s", mvm_error_message(err));
        return r == MVM_E_ARG || r == MVM_E_LIMIT ? EXIT_USAGE : EXIT_FAILED;
    }
    r = serve(&ports, connections, &log, &err);
    if (r < 0)
        log_error(&log, "vsock", "%s", mvm_error_message(err));
    return r == 0 ? 0 : EXIT_FAILED;
}
