/* SPDX-License-Identifier: Apache-2.0 */
/* exec-parts VM N [PROGRAM]: where the time of a program in a VM goes, over one connection. Prints
 * medians in microseconds: a call that the agent answers at once (Health); from a program's start
 * to the word that it has started; from there to its exit status. */
#include "agent/exec-client.h"
#include "agent/wire.h"
#include "base/scan.h"

#include <microvm/microvm.h>
#include <time.h>

/* Milliseconds: far above what anything here takes. */
#define WAIT_MS 30000

struct parts {
    struct loop *loop;
    struct agent_client *client;
    struct agent_start start;
    double started, ended;
    int r;
    uint32_t status;
};

static double now_us(void)
{
    struct timespec t;

    (void) clock_gettime(CLOCK_MONOTONIC, &t);
    return (double) t.tv_sec * 1e6 + (double) t.tv_nsec / 1e3;
}

static void on_started(void *user, uint32_t pid)
{
    struct parts *p = user;

    (void) pid;
    p->started = now_us();
}

static void on_ended(void *user, int r, uint32_t status, uint32_t signal_number,
                     const mvm_error *err)
{
    struct parts *p = user;

    (void) signal_number;
    (void) err;
    p->ended = now_us();
    p->r = r;
    p->status = status;
}

static int run_program(struct parts *p, mvm_error **err)
{
    static const struct exec_client_handler handler = { on_started, on_ended };
    const struct exec_client_spec spec = {
        .start = &p->start, .fds = { -1, -1, -1 }, .handler = &handler, .user = p
    };
    mvm_auto(exec_client) e = NULL;
    int r;

    p->ended = 0;
    r = exec_client_new(p->client, &spec, &e, err);
    while (r == 0 && p->ended == 0)
        r = loop_run_once(p->loop, WAIT_MS, err);
    if (r == 0 && (p->r < 0 || p->status != 0))
        r = mvm_fail(err, MVM_E_GUEST, 0, "the program: code %d, status %u", p->r, p->status);
    return r;
}

static int measure(struct parts *p, double *us[3], size_t n, mvm_error **err)
{
    for (size_t i = 0; i < n; i++) {
        mvm_autovalue(strbuf) response = STRBUF_INIT(AGENT_FRAME_MAX);
        double start = now_us();
        int r = agent_client_call(p->client, "Health", bytes_view_of(NULL, 0), WAIT_MS, &response,
                                  err);

        us[0][i] = now_us() - start;
        start = now_us();
        if (r == 0)
            r = run_program(p, err);
        if (r < 0)
            return r;
        us[1][i] = p->started - start;
        us[2][i] = p->ended - p->started;
    }
    return 0;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *) a, y = *(const double *) b;

    return x < y ? -1 : x > y;
}

static int connect_agent(struct parts *p, const char *name, mvm_error **err)
{
    mvm_vm *vm = NULL;
    int fd = -EBADF;
    int r = mvm_vm_open(name, NULL, &vm, err);

    if (r == 0)
        r = mvm_vm_agent_fd(vm, &fd, err);
    mvm_vm_free(vm);
    if (r == 0)
        r = loop_new(&p->loop, err);
    return r < 0 ? r : agent_client_new(p->loop, fd, NULL, NULL, &p->client, err);
}

int main(int argc, char **argv)
{
    struct parts p = { 0 };
    mvm_autofree double *all = NULL;
    double *us[3];
    mvm_error *err = NULL;
    uint64_t n = 0;
    int r;

    if (argc < 3 || !scan_u64(argv[2], strlen(argv[2]), 1000000, &n) || n == 0)
        return 2;
    all = mem_array(n, 3 * sizeof(*all));
    if (!all || strv_add(&p.start.argv, argc > 3 ? argv[3] : "true") < 0)
        return 2;
    for (size_t i = 0; i < 3; i++)
        us[i] = all + i * n;
    r = connect_agent(&p, argv[1], &err);
    if (r == 0)
        r = measure(&p, us, n, &err);
    for (size_t i = 0; r == 0 && i < 3; i++) {
        qsort(us[i], n, sizeof(*us[i]), by_value);
        printf("%.1f%c", us[i][n / 2], i < 2 ? ' ' : '\n');
    }
    if (r < 0)
        fprintf(stderr, "exec-parts: %s\n", mvm_error_message(err));
    mvm_error_free(err);
    agent_client_free(p.client);
    loop_free(p.loop);
    agent_start_deinit(&p.start);
    return r < 0;
}
