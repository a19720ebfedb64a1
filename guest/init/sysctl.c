/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/init/sysctl.h"

#include "guest/init/kmsg.h"

#include "base/io.h"
#include "base/mem.h"

#include <fcntl.h>

/* In the reference's order and with its values, but for ptrace_scope: its 2 keeps debuggers from
 * everybody but root, and from a program's own children; 1 keeps them to those. */
static const struct {
    const char *key, *value;
} settings[] = {
    { "kernel.kptr_restrict", "2" },
    { "kernel.dmesg_restrict", "1" },
    { "kernel.unprivileged_bpf_disabled", "1" },
    { "kernel.perf_event_paranoid", "3" },
    { "kernel.yama.ptrace_scope", "1" },
    { "net.core.bpf_jit_harden", "2" },
    { "kernel.sysrq", "0" },
};

int sysctl_set(const char *root, const char *key, const char *value, mvm_error **err)
{
    mvm_autoclose int fd = -EBADF;
    char path[128];
    int n = snprintf(path, sizeof(path), "%s/%s", root, key);

    if (n < 0 || (size_t) n >= sizeof(path))
        return mvm_fail(err, MVM_E_LIMIT, 0, "set %s to %s: the name is too long", key, value);
    for (char *at = path + strlen(root); *at; at++)
        if (*at == '.')
            *at = '/';
    fd = open(path, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || io_write_all(fd, value, strlen(value), NULL) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "set %s to %s", key, value);
    return 0;
}

void sysctl_harden(void)
{
    for (size_t i = 0; i < ARRAY_SIZE(settings); i++) {
        mvm_autoerror mvm_error *why = NULL;

        if (sysctl_set("/proc/sys", settings[i].key, settings[i].value, &why) < 0)
            kmsg_tell("%s", mvm_error_message(why));
    }
}
