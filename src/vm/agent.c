/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/agent.h"

#include "agent/messages.h"
#include "agent/wire.h"
#include "runner/control.h"
#include "vm/attach.h"

#include <microvm/exec.h>
#include <sys/socket.h>

/* Milliseconds for an answer that takes the guest no time. */
#define AGENT_ANSWER_MS 10000

static void on_closed(void *user, const mvm_error *err)
{
    mvm_vm *vm = user;

    (void) err; /* each call was told */
    vm->agent_broken = true;
}

void vm_agent_free(mvm_vm *vm)
{
    agent_client_free(vm->agent);
    vm->agent = NULL;
    loop_free(vm->agent_loop);
    vm->agent_loop = NULL;
}

int mvm_vm_agent_fd(mvm_vm *vm, int *ret_fd, mvm_error **err)
{
    if (!vm || !ret_fd)
        return mvm_fail(err, MVM_E_ARG, 0, "mvm_vm_agent_fd: NULL");
    if (vm->ended)
        return mvm_fail(err, MVM_E_STATE, 0, "'%s' does not run", vm->dir.name);
    return attach_connect(&vm->dir, CONTROL_AGENT_SOCKET, SOCK_STREAM, ret_fd, err);
}

/* Programs that were started over a connection keep it, broken as it is, until they are freed. */
int vm_agent_get(mvm_vm *vm, struct agent_client **ret, mvm_error **err)
{
    int fd = -EBADF, r;

    if (vm->agent && vm->agent_broken && vm->n_execs == 0)
        vm_agent_free(vm);
    if (!vm->agent) {
        r = mvm_vm_agent_fd(vm, &fd, err);
        if (r < 0)
            return r;
        vm->agent_broken = false;
        r = vm->agent_loop ? 0 : loop_new(&vm->agent_loop, err);
        if (r < 0) {
            (void) close(fd);
            return r;
        }
        r = agent_client_new(vm->agent_loop, fd, on_closed, vm, &vm->agent, err);
        if (r < 0)
            return r;
    }
    *ret = vm->agent;
    return 0;
}

int mvm_vm_get_figures(mvm_vm *vm, mvm_vm_figures *ret, mvm_error **err)
{
    mvm_autovalue(strbuf) response = STRBUF_INIT(AGENT_FRAME_MAX);
    struct agent_client *client = NULL;
    struct agent_stats s;
    int r;

    if (!vm || !ret || ret->struct_size < sizeof(*ret))
        return mvm_fail(err, MVM_E_ARG, 0, "mvm_vm_get_figures: a record of %zu bytes is wanted",
                        sizeof(*ret));
    r = vm_agent_get(vm, &client, err);
    if (r == 0)
        r = agent_client_call(client, "Stats", bytes_view_of(NULL, 0), AGENT_ANSWER_MS, &response,
                              err);
    if (r == 0)
        r = agent_stats_decode((const uint8_t *) strbuf_str(&response), response.len, &s, err);
    if (r < 0)
        return mvm_context(err, r, "figures of '%s'", vm->dir.name);
    *ret = (mvm_vm_figures){ .struct_size = sizeof(*ret),
                             .cpus = s.cpus,
                             .memory_total = s.memory_total,
                             .memory_available = s.memory_available,
                             .cpu_user_ns = s.cpu_user_ns,
                             .cpu_system_ns = s.cpu_system_ns,
                             .cpu_idle_ns = s.cpu_idle_ns,
                             .uptime_ns = s.uptime_ns,
                             .root_total = s.root_total,
                             .root_available = s.root_available,
                             .processes = s.processes,
                             .execs = s.execs,
                             .load_1m_milli = s.load_1m_milli };
    return 0;
}
