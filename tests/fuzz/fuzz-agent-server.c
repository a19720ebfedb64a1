/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Arbitrary bytes as a client's side of one connection to the guest's agent. Programs are pipes
 * that end when their input is over, files are those of a folder made for each input. What comes
 * back has to be ttrpc, and when the client has gone nothing may be left of it.
 */
#include "guest/agent/conn.h"
#include "guest/agent/server.h"

#include "base/path.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>

/* Programs that one input may start; the next ones are not there. */
#define PROGRAMS_MAX 32
/* So much is sent before the server has its turn. */
#define PIECE 4096

struct world {
    struct server server;
    struct loop *loop;
    int client_fd;
    struct ttrpc_parser parser;
    int stdin_fds[PROGRAMS_MAX]; /* what a program would read */
    unsigned programs;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

static int make_pipe(int *ret_read, int *ret_write)
{
    int ends[2];

    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
        return -1;
    *ret_read = ends[0];
    *ret_write = ends[1];
    return 0;
}

static int start(void *user, const struct agent_start *s, struct program *ret, mvm_error **err)
{
    mvm_autovalue(program) p = PROGRAM_NONE;
    struct world *w = user;
    int ends[3] = { -EBADF, -EBADF, -EBADF };

    if (w->programs == PROGRAMS_MAX)
        return mvm_fail(err, MVM_E_NOT_FOUND, ENOENT, "exec '%s'",
                        s->argv.n > 0 ? s->argv.items[0] : "");
    check(make_pipe(&p.report_fd, &ends[0]) == 0 && make_pipe(&p.out_fd, &ends[1]) == 0 &&
          make_pipe(&p.err_fd, &ends[2]) == 0 &&
          make_pipe(&w->stdin_fds[w->programs], &p.in_fd) == 0);
    check(write(ends[1], "to stdout", 9) == 9 && write(ends[2], "to stderr", 9) == 9);
    for (int i = 0; i < 3; i++)
        (void) close(ends[i]);
    p.reads_stdin = s->stdin_open;
    p.pid = (pid_t) ++w->programs;
    *ret = p;
    p = (struct program) PROGRAM_NONE;
    return 0;
}

static void signal_nobody(void *user, pid_t pid, int number)
{
    (void) user;
    check(pid >= 1 && pid <= PROGRAMS_MAX && number >= 1 && number <= AGENT_SIGNAL_MAX);
}

static void kill_nobody(void *user, pid_t pid)
{
    (void) user;
    check(pid >= 1 && pid <= PROGRAMS_MAX);
}

static void do_nothing(void *user)
{
    (void) user;
}

static int leave_the_clock(void *user, int64_t unix_ns, mvm_error **err)
{
    (void) user, (void) unix_ns, (void) err;
    return 0;
}

static int make_root(int tmp_fd, char **ret_name)
{
    int fd, file;

    check(path_make_temp_dir(tmp_fd, "fuzz-agent-", ret_name, &fd, NULL) == 0);
    check(mkdirat(fd, "dir", 0700) == 0 && symlinkat("/file", fd, "link") == 0);
    file = openat(fd, "file", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    check(file >= 0 && write(file, "content", 7) == 7 && close(file) == 0);
    return fd;
}

/* Reads what the server says, as a client would. */
static void listen_to_server(struct world *w)
{
    for (;;) {
        struct ttrpc_header h;
        struct bytes_view payload;
        size_t room;
        uint8_t *to;
        ssize_t n;
        int r;

        while ((r = ttrpc_parser_next(&w->parser, &h, &payload, NULL)) == 1) {
            struct ttrpc_response m;

            check(h.type == TTRPC_DATA || h.type == TTRPC_RESPONSE);
            check(h.type == TTRPC_DATA ||
                  ttrpc_response_decode(payload.data, payload.len, &m, NULL) == 0);
        }
        check(r == 0);
        to = ttrpc_parser_room(&w->parser, &room);
        check(to != NULL);
        n = recv(w->client_fd, to, room, 0);
        if (n <= 0)
            return;
        ttrpc_parser_filled(&w->parser, (size_t) n);
    }
}

static void turn(struct world *w, int rounds)
{
    while (rounds-- > 0) {
        check(loop_run_once(w->loop, 0, NULL) == 0);
        listen_to_server(w);
    }
}

static void feed(struct world *w, const uint8_t *data, size_t size)
{
    while (size > 0) {
        size_t n = size < PIECE ? size : PIECE;
        ssize_t sent = send(w->client_fd, data, n, MSG_NOSIGNAL);

        if (sent < 0 && errno != EAGAIN)
            return; /* the server has had enough of it */
        data += sent > 0 ? sent : 0;
        size -= sent > 0 ? (size_t) sent : 0;
        turn(w, 4);
    }
    turn(w, 16);
}

/* Every program ends, each in another way. */
static void end_programs(struct world *w)
{
    for (unsigned i = 0; i < w->programs; i++) {
        reaper_note(&w->server.reaper, (pid_t) i + 1, i % 2 ? (int) i << 8 : (int) i);
        (void) close(w->stdin_fds[i]);
    }
    turn(w, 4);
    w->server.reaper.alone(w->server.reaper.user);
    turn(w, 4);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    mvm_autoclose int tmp_fd = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    mvm_autofree char *name = NULL;
    struct world *w = calloc(1, sizeof(*w));
    struct agent_machine machine = {
        .user = w,
        .start = start,
        .signal = signal_nobody,
        .kill_session = kill_nobody,
        .kill_all = do_nothing,
        .sync = do_nothing,
        .set_clock = leave_the_clock,
        .end = do_nothing,
        .root_fd = make_root(tmp_fd, &name),
    };
    int ends[2];

    (void) signal(SIGPIPE, SIG_IGN); /* as for PID 1; a program may end before it has read all */
    check(w && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) == 0);
    w->client_fd = ends[0];
    ttrpc_parser_init(&w->parser, TTRPC_FRAME_MAX);
    check(loop_new(&w->loop, NULL) == 0);
    check(server_init(&w->server, w->loop, &machine, NULL, NULL) == 0);
    check(server_add(&w->server, ends[1], false, NULL) == 0);
    feed(w, data, size);
    end_programs(w);
    (void) close(w->client_fd);
    check(loop_run_once(w->loop, 0, NULL) == 0 && loop_run_once(w->loop, 0, NULL) == 0);
    check(w->server.n_conns == 0 && w->server.n_sessions == 0 && w->server.n_runs == 0 &&
          w->server.n_trees == 0);
    check(w->server.reaper.watches == NULL);
    server_deinit(&w->server);
    loop_free(w->loop);
    ttrpc_parser_deinit(&w->parser);
    (void) close(machine.root_fd);
    check(path_remove_tree(tmp_fd, name, NULL) == 0);
    free(w);
    return 0;
}
