/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A session is found in /proc by the id that its processes carry, so that a process which has made
 * a group of its own (every shell with job control does) is found as well. The leader is not reaped
 * while this is asked for, and so the id cannot have passed to somebody else.
 */
#include "guest/agent/machine.h"

#include "base/scan.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <time.h>

/* Rounds over /proc until no process of the session is left that was not killed: one that forks
 * between our look and our signal has a child for the next round. */
#define KILL_ROUNDS_MAX 16
/* /proc/PID/stat up to its sixth field, of which the second has at most 64 bytes (proc(5)). */
#define STAT_HEAD_SIZE 256

void machine_signal(void *user, pid_t pid, int number)
{
    (void) user;
    /* A child that has not made its group yet is alone in it. */
    if (kill(-pid, number) < 0)
        (void) kill(pid, number);
}

/* The state and the session of "PID (NAME) STATE PPID PGRP SESSION ..."; NAME may hold anything. */
static bool parse_stat(const char *text, size_t len, char *ret_state, pid_t *ret_session)
{
    const char *at = memrchr(text, ')', len), *end = text + len;
    uint64_t session;

    if (!at || end - at < 4)
        return false;
    *ret_state = at[2];
    at += 4;
    for (int skip = 0; skip < 2; skip++) {
        at = memchr(at, ' ', (size_t) (end - at));
        if (!at)
            return false;
        at++;
    }
    len = (size_t) (end - at);
    if (memchr(at, ' ', len))
        len = (size_t) ((const char *) memchr(at, ' ', len) - at);
    if (!scan_u64(at, len, INT32_MAX, &session))
        return false;
    *ret_session = (pid_t) session;
    return true;
}

/* Kills @entry if it is of the session and runs; true if so. */
static bool kill_member(int proc_fd, const char *entry, pid_t session)
{
    char path[64], text[STAT_HEAD_SIZE], state;
    mvm_autoclose int fd = -EBADF;
    uint64_t pid;
    pid_t found;
    ssize_t n;

    if (!scan_u64(entry, strlen(entry), INT32_MAX, &pid) || pid <= 1)
        return false;
    (void) snprintf(path, sizeof(path), "%s/stat", entry); /* fits: a number */
    fd = openat(proc_fd, path, O_RDONLY | O_CLOEXEC);
    n = fd < 0 ? -1 : read(fd, text, sizeof(text));
    if (n <= 0 || !parse_stat(text, (size_t) n, &state, &found) || found != session)
        return false;
    if (state == 'Z' || state == 'X')
        return false;
    return kill((pid_t) pid, SIGKILL) == 0;
}

bool machine_kill_members(pid_t session)
{
    DIR *proc = opendir("/proc");
    struct dirent *entry;
    bool any = false;

    while (proc && (entry = readdir(proc)))
        if (kill_member(dirfd(proc), entry->d_name, session))
            any = true;
    if (proc)
        (void) closedir(proc);
    return any;
}

void machine_kill_session(void *user, pid_t pid)
{
    (void) user;
    (void) kill(-pid, SIGKILL); /* most sessions are one group */
    (void) kill(pid, SIGKILL);
    for (int round = 0; round < KILL_ROUNDS_MAX && machine_kill_members(pid); round++)
        continue;
}

/* A process that forks while it is being killed leaves no child: fork() looks for signals. */
void machine_kill_all(void *user)
{
    (void) user;
    (void) kill(-1, SIGKILL); /* ESRCH: nobody is left */
}

void machine_sync(void *user)
{
    (void) user;
    sync();
}

int machine_set_clock(void *user, int64_t unix_ns, mvm_error **err)
{
    const struct timespec ts = { .tv_sec = unix_ns / 1000000000, .tv_nsec = unix_ns % 1000000000 };

    (void) user;
    if (unix_ns < 0)
        return mvm_fail(err, MVM_E_ARG, 0, "a time before 1970");
    if (clock_settime(CLOCK_REALTIME, &ts) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "set the clock");
    return 0;
}
