/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/handle.h"

#include "base/clock.h"
#include "runner/control.h"
#include "vm/agent.h"

#include <limits.h>
#include <poll.h>
#include <signal.h>

/* Milliseconds that a runner has to leave after it said how its VM ended, and its machine after a
 * runner that died. */
#define VM_LEAVE_MS 5000
/* Between two looks at a lock. */
#define VM_POLL_MS 10

static void vm_log_forward(void *user, enum log_level level, const char *module,
                           const char *message)
{
    const mvm_vm *vm = user;

    vm->log_fn(vm->log_user, (int) level, module, message);
}

mvm_vm *vm_new(const mvm_options *o)
{
    mvm_vm *vm = calloc(1, sizeof(*vm));

    if (!vm)
        return NULL;
    vm->dir = (struct vmdir) VMDIR_NONE;
    vm->runner = (struct child) CHILD_NONE;
    vm->control_fd = -EBADF;
    vm->status = -1;
    vm->failure = MVM_E_STATE;
    vm->detached = o->detached;
    vm->log_fn = o->log_fn;
    vm->log_user = o->log_user;
    if (o->log_fn)
        vm->log = (struct log){ .sink = vm_log_forward,
                                .user = vm,
                                .level = (enum log_level) o->log_level };
    return vm;
}

const char *mvm_vm_name(const mvm_vm *vm)
{
    return vm->dir.name;
}

int mvm_vm_fd(const mvm_vm *vm)
{
    return vm->control_fd;
}

const char *mvm_vm_message(const mvm_vm *vm)
{
    return vm->message ? vm->message : "";
}

static void set_message(mvm_vm *vm, const char *text)
{
    free(vm->message);
    vm->message = *text ? strdup(text) : NULL; /* without memory there is just no message */
}

/* What stays of the VM's folder once nothing of it runs. */
static void clear_folder(mvm_vm *vm)
{
    mvm_autoerror mvm_error *err = NULL;
    int r;

    r = vmdir_take_back(&vm->dir, VM_LEAVE_MS, &err);
    if (r == MVM_E_NOT_FOUND)
        return;
    /* Busy: another process has just started a VM of that name since, and the folder is its own. */
    if (r == 0)
        vmdir_remove_upper(&vm->dir);
    if (r == 0)
        r = vm->dir.remove || vm->status < 0 ? vmdir_remove(&vm->dir, &err) : 0;
    if (r < 0)
        log_warning(&vm->log, "vm", "%s", mvm_error_message(err));
    if (vm->dir.lock_fd >= 0)
        (void) close(steal_fd(&vm->dir.lock_fd)); /* what stays is anybody's to take or remove */
    /* What was still dying when this VM started has died by now. */
    vmdir_sweep(vm->dir.vms_fd, &vm->log);
}

/* What the state says of a VM that does not run. */
int vm_take_result(mvm_vm *vm, mvm_error **err)
{
    mvm_autovalue(vm_state) state = VM_STATE_NONE;
    int r = vmdir_check_own(&vm->dir, err);

    if (r == 0)
        r = vm_state_read(vm->dir.fd, &state, err);
    if (r < 0)
        return r;
    vm->ended = true;
    vm->status = state.status;
    vm->failure = state.status < 0 ? MVM_E_CHILD : 0;
    vm->started = state.status >= 0;
    vm->message = state.message        ? steal_ptr(&state.message)
                  : state.ended_s == 0 ? strdup("it was killed")
                                       : NULL;
    return 0;
}

/* And not another one of its name, by now. */
static bool is_still_running(const mvm_vm *vm)
{
    return vmdir_is_running(&vm->dir) && vmdir_check_own(&vm->dir, NULL) == 0;
}

/* The runner of a VM that is somebody else's, or nobody's any more, broke off: once it has ended,
 * its state says how. */
static void find_result(mvm_vm *vm)
{
    uint64_t deadline = clock_now_ms() + VM_LEAVE_MS;

    while (is_still_running(vm) && clock_now_ms() < deadline)
        (void) poll(NULL, 0, VM_POLL_MS);
    if (is_still_running(vm))
        set_message(vm, "its runner broke off, and still runs");
    else if (vm_take_result(vm, NULL) < 0)
        set_message(vm, "it has ended, and its folder is gone");
}

static void vm_end(mvm_vm *vm)
{
    struct child_status status = { .exited = true };

    (void) close(steal_fd(&vm->control_fd));
    if (child_wait(&vm->runner, VM_LEAVE_MS, &status, NULL) < 0)
        child_deinit(&vm->runner);
    if (!vm->ended && (vm->attached || vm->detached)) {
        vm->failure = MVM_E_CHILD;
        find_result(vm);
    } else if (!vm->ended && !vm->message) {
        char text[96];

        (void) snprintf(text, sizeof(text), "the runner ended with %s %d",
                        status.exited ? "status" : "signal", status.code); /* fits */
        set_message(vm, text);
        vm->failure = MVM_E_CHILD;
    }
    vm->ended = true;
    if (!vm->attached && !vm->detached)
        clear_folder(vm);
}

static void on_message(mvm_vm *vm, const struct control_message *m)
{
    switch (m->type) {
    case CONTROL_NOTICE:
        log_warning(&vm->log, "vm", "%s", m->text);
        break;
    case CONTROL_STARTED:
        vm->started = true;
        log_info(&vm->log, "vm", "'%s' runs its program", vm->dir.name);
        break;
    case CONTROL_ENDED:
        vm->ended = true;
        /* One that is not there, or may not be executed, has been tried. */
        vm->started = vm->started || ((m->number == 126 || m->number == 127) && m->text[0]);
        /* Status 125 is ours: the guest could not even try the program. */
        vm->status = m->number == 125 && m->text[0] ? -1 : m->number & 255;
        vm->failure = vm->status < 0 ? MVM_E_GUEST : 0;
        set_message(vm, m->text);
        break;
    case CONTROL_FAILED:
        vm->ended = true;
        /* MVM_E_TIMEOUT is mvm_vm_wait()'s own word for "not yet". */
        vm->failure = m->number >= 0               ? MVM_E_CHILD
                      : m->number == MVM_E_TIMEOUT ? MVM_E_GUEST
                                                   : m->number;
        set_message(vm, m->text);
        break;
    default:
        log_warning(&vm->log, "vm", "the runner sent message %d out of turn", (int) m->type);
        break;
    }
}

/* Takes in what the runner has said; ends the VM when that was the last of it. */
static void vm_drain(mvm_vm *vm)
{
    struct control_message m;
    int r;

    while (!vm->ended && (r = control_receive(vm->control_fd, &m, NULL)) != 0) {
        if (r < 0) {
            vm_end(vm);
            return;
        }
        on_message(vm, &m);
    }
    if (vm->ended)
        vm_end(vm);
}

static int vm_result(const mvm_vm *vm, int *ret_status, mvm_error **err)
{
    if (vm->status < 0)
        return mvm_fail(err, vm->failure, 0, "%s", mvm_vm_message(vm));
    *ret_status = vm->status;
    return 0;
}

/* Until the VM has ended, or until its program runs. */
static int wait_until(mvm_vm *vm, bool started, int timeout_ms, mvm_error **err)
{
    uint64_t deadline = timeout_ms < 0 ? UINT64_MAX : clock_now_ms() + (uint64_t) timeout_ms;

    while (vm->control_fd >= 0 && !(started && vm->started)) {
        struct pollfd p = { .fd = vm->control_fd, .events = POLLIN };
        uint64_t now = clock_now_ms();
        int left = deadline == UINT64_MAX ? -1 : deadline <= now ? 0 : (int) (deadline - now);
        int n = poll(&p, 1, left);

        if (n < 0 && errno != EINTR)
            return mvm_fail(err, MVM_E_SYS, errno, "wait for the runner");
        if (n == 0)
            return mvm_fail(err, MVM_E_TIMEOUT, 0, "'%s' still %s", vm->dir.name,
                            started ? "starts" : "runs");
        if (n > 0)
            vm_drain(vm);
    }
    return 0;
}

int mvm_vm_wait(mvm_vm *vm, int timeout_ms, int *ret_status, mvm_error **err)
{
    int r;

    if (!vm || !ret_status)
        return mvm_fail(err, MVM_E_ARG, 0, "mvm_vm_wait: NULL");
    r = wait_until(vm, false, timeout_ms, err);
    return r < 0 ? r : vm_result(vm, ret_status, err);
}

int mvm_vm_wait_started(mvm_vm *vm, int timeout_ms, mvm_error **err)
{
    int r;

    if (!vm)
        return mvm_fail(err, MVM_E_ARG, 0, "mvm_vm_wait_started: NULL");
    r = wait_until(vm, true, timeout_ms, err);
    if (r == 0 && !vm->started)
        r = mvm_fail(err, vm->failure ? vm->failure : MVM_E_STATE, 0, "%s",
                     vm->message ? vm->message : "it ended before its program was started");
    return r;
}

static int vm_tell(mvm_vm *vm, const struct control_message *m, mvm_error **err)
{
    int r;

    if (vm->control_fd < 0)
        return mvm_fail(err, MVM_E_STATE, 0, "'%s' has ended", vm->dir.name);
    r = control_send(vm->control_fd, m, err);
    return r < 0 ? mvm_context(err, r, "%s", vm->dir.name) : 0;
}

int mvm_vm_signal(mvm_vm *vm, int signal_number, mvm_error **err)
{
    const struct control_message m = { .type = CONTROL_SIGNAL, .number = signal_number };

    if (!vm || signal_number < 1 || signal_number > 64)
        return mvm_fail(err, MVM_E_ARG, 0, "mvm_vm_signal: %d is no signal", signal_number);
    return vm_tell(vm, &m, err);
}

int mvm_vm_resize(mvm_vm *vm, uint16_t rows, uint16_t cols, mvm_error **err)
{
    const struct control_message m = { .type = CONTROL_RESIZE, .rows = rows, .cols = cols };

    if (!vm)
        return mvm_fail(err, MVM_E_ARG, 0, "mvm_vm_resize: NULL");
    return vm_tell(vm, &m, err);
}

int mvm_vm_stop(mvm_vm *vm, int grace_ms, mvm_error **err)
{
    const struct control_message m = { .type = CONTROL_STOP,
                                       .number = grace_ms < 0 ? INT_MAX : grace_ms };

    mvm_autoerror mvm_error *cause = NULL;
    int r;

    if (!vm)
        return mvm_fail(err, MVM_E_ARG, 0, "mvm_vm_stop: NULL");
    if (vm->control_fd < 0)
        return 0;
    r = vm_tell(vm, &m, &cause);
    /* Nobody is there any more: what was asked for is so. */
    if (r == 0 || mvm_error_errno(cause) == EPIPE || mvm_error_errno(cause) == ECONNRESET)
        return 0;
    error_move(err, steal_ptr(&cause));
    return r;
}

void mvm_vm_free(mvm_vm *vm)
{
    int saved = errno;

    if (!vm)
        return;
    if (vm->control_fd >= 0 && (vm->attached || vm->detached)) {
        const struct control_message detach = { .type = CONTROL_DETACH };

        if (vm->detached)
            (void) control_send(vm->control_fd, &detach, NULL); /* one that is gone needs none */
        (void) close(steal_fd(&vm->control_fd));
    } else if (vm->control_fd >= 0) {
        (void) mvm_vm_stop(vm, 0, NULL); /* a runner that cannot be told is killed below */
        (void) mvm_vm_wait(vm, VM_LEAVE_MS, &(int){ 0 }, NULL);
        if (vm->control_fd >= 0)
            vm_end(vm);
    }
    vm_agent_free(vm);
    child_deinit(&vm->runner);
    vmdir_deinit(&vm->dir);
    free(vm->message);
    free(vm);
    errno = saved;
}
