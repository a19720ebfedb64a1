/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/accel.h"

#include "base/file.h"
#include "base/json.h"
#include "machine/accel-internal.h"

#include <fcntl.h>
#include <linux/kvm.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>

#define ACCEL_CACHE "accel.json"
/* Most bytes of the remembered result. */
#define ACCEL_CACHE_MAX 4096

static void reason_not_opened(int errnum, struct accel_result *ret)
{
    const char *text = errnum == ENOENT ? "/dev/kvm is missing"
                       : errnum == EACCES || errnum == EPERM
                           ? "/dev/kvm may not be opened by this user (group kvm may)"
                       : errnum == ENXIO || errnum == ENODEV
                           ? "/dev/kvm has no hypervisor behind it"
                           : NULL;

    if (text)
        (void) snprintf(ret->reason, sizeof(ret->reason), "%s", text);
    else
        (void) snprintf(ret->reason, sizeof(ret->reason), "/dev/kvm cannot be opened (error %d)",
                        errnum);
}

/* A guest that ended otherwise than by its last step. */
static void reason_not_run(const struct probe_report *report, struct accel_result *ret)
{
    const char *step = probe_step_name(report->step);

    if (report->errnum)
        (void) snprintf(ret->reason, sizeof(ret->reason),
                        "/dev/kvm stopped a test guest at %s (error %d)", step, report->errnum);
    else if (report->exit_reason == KVM_EXIT_INTERNAL_ERROR)
        (void) snprintf(
            ret->reason, sizeof(ret->reason),
            "/dev/kvm cannot execute what a kernel needs: it stopped at %s (internal error, suberror %u)",
            step, report->suberror);
    else
        (void) snprintf(
            ret->reason, sizeof(ret->reason),
            "/dev/kvm cannot execute what a kernel needs: a test guest ended at %s (exit %u)", step,
            report->exit_reason);
}

/* All of these fit ACCEL_REASON_MAX: numbers and our own words. */
void accel_judge(const struct probe_report *report, bool in_time, struct accel_result *ret)
{
    *ret = (struct accel_result){ .kvm = in_time && report->stage == PROBE_DONE, .slow = !in_time };
    if (ret->kvm)
        return;
    if (!in_time)
        (void) snprintf(
            ret->reason, sizeof(ret->reason),
            "/dev/kvm emulates instead of executing: a test guest was still at %s after %d ms",
            probe_step_name(report->step), ACCEL_PROBE_TIMEOUT_MS);
    else if (report->stage == PROBE_OPEN)
        reason_not_opened(report->errnum, ret);
    else if (report->stage == PROBE_RUN)
        reason_not_run(report, ret);
    else
        (void) snprintf(ret->reason, sizeof(ret->reason),
                        "/dev/kvm does not give a VM (step %d, error %d)", (int) report->stage,
                        report->errnum);
}

/* Reaps our own child; true when it ended by itself within the time limit. */
static bool wait_probe(pid_t pid)
{
    mvm_autoclose int pidfd = (int) syscall(SYS_pidfd_open, pid, 0); /* CLOEXEC by itself */
    struct pollfd p = { .fd = pidfd, .events = POLLIN };
    siginfo_t info;
    bool in_time;
    int n;

    do
        n = poll(&p, 1, ACCEL_PROBE_TIMEOUT_MS);
    while (n < 0 && errno == EINTR);
    in_time = pidfd >= 0 && n > 0;
    if (!in_time)
        (void) kill(pid, SIGKILL); /* not reaped yet, so that the number is still its own */
    while (waitid(P_PID, (id_t) pid, &info, WEXITED) < 0 && errno == EINTR)
        continue;
    return in_time;
}

int accel_probe(struct accel_result *ret, mvm_error **err)
{
    struct probe_report *report = mmap(NULL, sizeof(*report), PROT_READ | PROT_WRITE,
                                       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    bool in_time;
    pid_t pid;

    if (report == MAP_FAILED)
        return mvm_fail(err, MVM_E_SYS, errno, "map memory");
    pid = fork();
    if (pid == 0) {
        /* A probe that hangs must not outlive its parent, nor keep the parent's locks. */
        (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void) syscall(SYS_close_range, 3, ~0U, 0);
        probe_run_guest(report);
        _exit(0);
    }
    if (pid < 0) {
        int r = mvm_fail(err, MVM_E_SYS, errno, "fork");

        (void) munmap(report, sizeof(*report));
        return r;
    }
    in_time = wait_probe(pid);
    accel_judge(report, in_time, ret);
    (void) munmap(report, sizeof(*report));
    return 0;
}

/* What the result depends on: another boot, another kernel, other rights or another device may
 * change it. */
static int cache_key(char **ret, mvm_error **err)
{
    mvm_autofree char *boot_id = NULL;
    mvm_autoclose int proc_fd = open("/proc/sys/kernel/random", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct utsname name;
    mvm_autoclose int kvm_fd = -EBADF;
    struct stat st = { .st_rdev = 0 };
    size_t len = 0;

    if (proc_fd < 0 || file_read(proc_fd, "boot_id", 128, &boot_id, &len, NULL) < 0 ||
        uname(&name) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "read the host's boot id");
    boot_id[strcspn(boot_id, "\n")] = '\0';
    (void) stat("/dev/kvm", &st); /* absent: all zero */
    kvm_fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    if (asprintf(ret, "%s %s %llu %o %u:%u %u:%u %d", boot_id, name.release,
                 (unsigned long long) st.st_rdev, st.st_mode, st.st_uid, st.st_gid, geteuid(),
                 getegid(), kvm_fd < 0 ? errno : 0) < 0)
        return mvm_fail_nomem(err);
    return 0;
}

bool accel_recall(int dir_fd, const char *key, uint64_t now_s, struct accel_result *ret)
{
    mvm_autofree char *text = NULL;
    mvm_autojson json_t *j = NULL;
    const char *known = NULL, *reason = NULL;
    uint64_t slow_s = 0;
    bool kvm = false;
    size_t len = 0;

    if (file_read(dir_fd, ACCEL_CACHE, ACCEL_CACHE_MAX, &text, &len, NULL) < 0 ||
        json_parse(text, len, ACCEL_CACHE, &j, NULL) < 0 ||
        json_need_str(j, "key", &known, NULL) < 0 || json_get_bool(j, "kvm", &kvm, NULL) < 0 ||
        json_need_str(j, "reason", &reason, NULL) < 0 ||
        json_get_u64(j, "slow_s", INT64_MAX, &slow_s, NULL) < 0)
        return false;
    if (strcmp(known, key) != 0 || strlen(reason) >= sizeof(ret->reason) || (!kvm && !*reason))
        return false;
    if (slow_s && (now_s < slow_s || now_s - slow_s >= ACCEL_SLOW_KEPT_S))
        return false;
    ret->slow = slow_s != 0;
    ret->kvm = kvm;
    memcpy(ret->reason, reason, strlen(reason) + 1);
    return true;
}

void accel_remember(int dir_fd, const char *key, uint64_t now_s, const struct accel_result *result)
{
    mvm_autojson json_t *j = json_pack("{s:s, s:b, s:s}", "key", key, "kvm", result->kvm, "reason",
                                       result->reason);
    mvm_autofree char *text = NULL;

    if (j && result->slow && json_object_set_new(j, "slow_s", json_integer((json_int_t) now_s)) < 0)
        return;
    text = j ? json_dumps(j, JSON_COMPACT) : NULL;
    /* A result that cannot be kept is found again next time. */
    if (text)
        (void) file_write(dir_fd, ACCEL_CACHE, text, strlen(text), 0600, NULL);
}

/* Seconds since the boot, which the key names; never 0, which means no time in the file. */
static uint64_t boot_time_s(void)
{
    struct timespec now = { .tv_sec = 0 };

    (void) clock_gettime(CLOCK_BOOTTIME, &now); /* there since Linux 2.6.39 */
    return (uint64_t) now.tv_sec + 1;
}

int accel_probe_cached(int cache_dir_fd, struct accel_result *ret, mvm_error **err)
{
    mvm_autofree char *key = NULL;
    int r = cache_key(&key, err);

    if (r < 0)
        return r;
    if (accel_recall(cache_dir_fd, key, boot_time_s(), ret))
        return 0;
    r = accel_probe(ret, err);
    if (r == 0)
        accel_remember(cache_dir_fd, key, boot_time_s(), ret);
    return r;
}
