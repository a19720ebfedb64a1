/* SPDX-License-Identifier: Apache-2.0 */
#include "base/confine.h"

#include "base/mem.h"

#include <linux/audit.h>
#include <linux/close_range.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#if defined(__x86_64__)
#define CONFINE_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define CONFINE_ARCH AUDIT_ARCH_AARCH64
#else
#error "the number of this architecture (linux/audit.h) is needed here"
#endif

/* Numbers with this bit belong to the x32 ABI, which shares the architecture of x86-64. */
#define X32_BIT 0x40000000u

/* Newer than Debian 12's header: the kernel that runs may know them. */
#define FS_ABI1 0x1fffULL
#define FS_REFER (1ULL << 13)     /* ABI 2 */
#define FS_TRUNCATE (1ULL << 14)  /* ABI 3 */
#define NET_TCP 3ULL              /* bind and connect: ABI 4 */
#define FS_IOCTL_DEV (1ULL << 15) /* ABI 5 */
#define SCOPE 3ULL                /* abstract UNIX sockets and signals: ABI 6 */

struct ruleset_attr {
    uint64_t handled_access_fs;
    uint64_t handled_access_net;
    uint64_t scoped;
};

int confine_privileges(mvm_error **err)
{
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "drop privileges");
    return 0;
}

int confine_descriptors(const int *keep, size_t n, mvm_error **err)
{
    unsigned next = 0;

    for (size_t i = 0; i <= n; i++) {
        unsigned last = i < n ? (unsigned) keep[i] : ~0U;

        if (next < last && close_range(next, i < n ? last - 1 : last, 0) < 0)
            return mvm_fail(err, MVM_E_SYS, errno, "close descriptors");
        next = last + 1;
    }
    return 0;
}

int confine_ruleset(int *ret_fd, int *ret_abi, mvm_error **err)
{
    int abi = (int) syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    const struct ruleset_attr attr = {
        .handled_access_fs = FS_ABI1 | (abi >= 2 ? FS_REFER : 0) | (abi >= 3 ? FS_TRUNCATE : 0) |
                             (abi >= 5 ? FS_IOCTL_DEV : 0),
        .handled_access_net = abi >= 4 ? NET_TCP : 0,
        .scoped = abi >= 6 ? SCOPE : 0,
    };
    int fd;

    if (abi < 1)
        return 0;
    fd = (int) syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);
    if (fd < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "make a Landlock ruleset");
    *ret_fd = fd;
    *ret_abi = abi;
    return 1;
}

int confine_files(mvm_error **err)
{
    mvm_autoclose int fd = -EBADF;
    int abi, r = confine_ruleset(&fd, &abi, err);

    if (r <= 0)
        return r;
    if (syscall(SYS_landlock_restrict_self, fd, 0) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "enter the Landlock ruleset");
    return 0;
}

struct program {
    struct sock_filter code[CONFINE_CALLS_MAX * 5 + 8];
    unsigned short n;
};

static void emit(struct program *p, struct sock_filter f)
{
    p->code[p->n++] = f;
}

#define LOAD(field)      \
    (struct sock_filter) \
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t) offsetof(struct seccomp_data, field))
#define RETURN(what) (struct sock_filter) BPF_STMT(BPF_RET | BPF_K, (what))
#define IF_EQUAL(value, then, other) \
    (struct sock_filter) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (value), (then), (other))

/* The low half of the argument comes first in memory on all that we run on. */
static void emit_call(struct program *p, const struct confine_call *call)
{
    if (!call->first_is) {
        emit(p, IF_EQUAL((uint32_t) call->number, 0, 1));
        emit(p, RETURN(SECCOMP_RET_ALLOW));
        return;
    }
    emit(p, IF_EQUAL((uint32_t) call->number, 0, 4));
    emit(p, LOAD(args[0]));
    emit(p, IF_EQUAL(call->first, 0, 1));
    emit(p, RETURN(SECCOMP_RET_ALLOW));
    emit(p, LOAD(nr));
}

static void emit_all(struct program *p, const struct confine_call *calls, size_t n)
{
    emit(p, LOAD(arch));
    emit(p, IF_EQUAL(CONFINE_ARCH, 1, 0));
    emit(p, RETURN(SECCOMP_RET_KILL_PROCESS));
    emit(p, LOAD(nr));
    emit(p, (struct sock_filter) BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, X32_BIT, 0, 1));
    emit(p, RETURN(SECCOMP_RET_KILL_PROCESS));
    for (size_t i = 0; i < n; i++)
        emit_call(p, &calls[i]);
    emit(p, RETURN(SECCOMP_RET_ERRNO | EPERM));
}

int confine_calls(const struct confine_call *calls, size_t n, mvm_error **err)
{
    mvm_autofree struct program *p = calloc(1, sizeof(*p)); /* 10 KiB: not for the stack */
    struct sock_fprog prog;

    if (!p)
        return mvm_fail_nomem(err);
    if (n > CONFINE_CALLS_MAX)
        return mvm_fail(err, MVM_E_ARG, 0, "%zu system calls, at most %d", n, CONFINE_CALLS_MAX);
    emit_all(p, calls, n);
    prog = (struct sock_fprog){ .len = p->n, .filter = p->code };
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog, 0, 0) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "filter system calls");
    return 0;
}
