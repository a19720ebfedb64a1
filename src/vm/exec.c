/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/exec-client.h"
#include "base/clock.h"
#include "vm/agent.h"
#include "vm/exec-options.h"

#include <fcntl.h>
#include <signal.h>

struct mvm_exec {
    mvm_vm *vm; /* borrowed */
    struct exec_client *client;
    bool ended;
    int r; /* why there is no status of a program's own */
    int status;
    char *message; /* owned; NULL: nothing to say */
};

static void on_ended(void *user, int r, uint32_t status, uint32_t signal_number,
                     const mvm_error *err)
{
    mvm_exec *e = user;

    (void) signal_number; /* the status has it */
    e->ended = true;
    /* MVM_E_TIMEOUT is mvm_exec_wait()'s own word for "not yet". */
    e->r = r == MVM_E_TIMEOUT ? MVM_E_GUEST : r;
    e->status = r == MVM_E_NOT_FOUND ? 127 : r == MVM_E_CHILD ? 126 : (int) status;
    if (r < 0)
        e->message = strdup(mvm_error_message(err)); /* without memory there is just no message */
}

/* The caller's stay the caller's. */
static int copy_stdio(const int *from, int *fds, mvm_error **err)
{
    for (int i = 0; i < 3; i++) {
        fds[i] = from[i] < 0 ? -EBADF : fcntl(from[i], F_DUPFD_CLOEXEC, 0);
        if (from[i] < 0 || fds[i] >= 0)
            continue;
        int r = mvm_fail(err, MVM_E_SYS, errno, "duplicate descriptor %d", from[i]);

        while (i-- > 0)
            if (fds[i] >= 0)
                (void) close(steal_fd(&fds[i]));
        return r;
    }
    return 0;
}

int mvm_vm_exec(mvm_vm *vm, const mvm_exec_options *options, mvm_exec **ret_exec, mvm_error **err)
{
    static const struct exec_client_handler handler = { .ended = on_ended };
    struct exec_client_spec spec = { .handler = &handler };
    struct agent_client *client = NULL;
    mvm_autofree mvm_exec *e = NULL;
    int r;

    if (!vm || !options || !ret_exec || options->start.argv.n == 0)
        return mvm_fail(err, MVM_E_ARG, 0, "mvm_vm_exec: a command is wanted");
    r = vm_agent_get(vm, &client, err);
    if (r < 0)
        return r;
    e = calloc(1, sizeof(*e));
    if (!e)
        return mvm_fail_nomem(err);
    e->vm = vm;
    spec.start = &options->start;
    spec.user = e;
    r = copy_stdio(options->stdio, spec.fds, err);
    if (r == 0)
        r = exec_client_new(client, &spec, &e->client, err);
    if (r < 0)
        return r;
    vm->n_execs++;
    *ret_exec = steal_ptr(&e);
    return 0;
}

int mvm_exec_fd(const mvm_exec *e)
{
    int fd = -EBADF;

    return loop_get_fd(e->vm->agent_loop, &fd, NULL) < 0 ? -EBADF : fd;
}

int mvm_exec_wait(mvm_exec *e, int timeout_ms, int *ret_status, mvm_error **err)
{
    uint64_t deadline = timeout_ms < 0 ? UINT64_MAX : clock_now_ms() + (uint64_t) timeout_ms;
    bool waited = false;

    if (!e || !ret_status)
        return mvm_fail(err, MVM_E_ARG, 0, "mvm_exec_wait: NULL");
    while (!e->ended) {
        uint64_t now = clock_now_ms();
        int left = deadline == UINT64_MAX ? -1 : deadline <= now ? 0 : (int) (deadline - now);
        int r;

        if (waited && left == 0)
            return mvm_fail(err, MVM_E_TIMEOUT, 0, "the program still runs");
        r = loop_run_once(e->vm->agent_loop, left, err);
        if (r < 0)
            return r;
        waited = true;
    }
    if (e->r < 0 && e->r != MVM_E_NOT_FOUND && e->r != MVM_E_CHILD)
        return mvm_fail(err, e->r, 0, "%s", mvm_exec_message(e));
    *ret_status = e->status;
    return 0;
}

const char *mvm_exec_message(const mvm_exec *e)
{
    return e->message ? e->message : "";
}

int mvm_exec_signal(mvm_exec *e, int signal_number, mvm_error **err)
{
    if (!e || signal_number < 1 || signal_number > 64)
        return mvm_fail(err, MVM_E_ARG, 0, "mvm_exec_signal: %d is no signal", signal_number);
    return exec_client_signal(e->client, signal_number, err);
}

int mvm_exec_resize(mvm_exec *e, uint16_t rows, uint16_t cols, mvm_error **err)
{
    if (!e)
        return mvm_fail(err, MVM_E_ARG, 0, "mvm_exec_resize: NULL");
    return exec_client_resize(e->client, rows, cols, err);
}

void mvm_exec_free(mvm_exec *e)
{
    int saved = errno;

    if (!e)
        return;
    if (!e->ended) /* one that cannot be told is gone, or goes with the connection */
        (void) exec_client_signal(e->client, SIGKILL, NULL);
    exec_client_free(e->client);
    e->vm->n_execs--;
    free(e->message);
    free(e);
    errno = saved;
}
