/* SPDX-License-Identifier: Apache-2.0 */
/* Health, Stats, Clock and Shutdown: calls of one answer, given at once. */
#include "guest/agent/methods.h"
#include "guest/agent/server.h"

#include "agent/messages.h"
#include "base/scan.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/statvfs.h>
#include <sys/sysinfo.h>
#include <time.h>

/* What is looked at of /proc/meminfo and /proc/stat is in their first lines. */
#define PROC_HEAD_SIZE 1024
/* /proc/stat counts in USER_HZ, 100 on every architecture that we run on (time(7)). */
#define NS_PER_TICK 10000000u
/* sysinfo(2): a load of 1 is 1 << 16. */
#define LOAD_SHIFT 16

static int health_open(struct call *c, struct bytes_view request, mvm_error **err)
{
    const struct server *s = call_server(c);
    struct agent_health m = {
        .protocol = AGENT_PROTOCOL,
        .version = MICROVM_VERSION,
        .ssh = s->machine->ssh,
        .main_running = s->main == MAIN_RUNNING,
    };

    (void) request, (void) err; /* the request has no fields */
    agent_health_encode(&m, call_message(c));
    call_answer(c);
    return 0;
}

/* The file's first bytes as a string; "" when it cannot be read. */
static void read_head(const char *path, char *head, size_t size)
{
    mvm_autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, head, size - 1);

    head[n < 0 ? 0 : n] = '\0';
}

/* The @index-th number of the line that starts with @label in @text; 0 when there is none. */
static uint64_t number_after(const char *text, const char *label, int index)
{
    const char *at = text;
    uint64_t number = 0;

    while (!scan_has_prefix(at, label)) {
        at = strchr(at, '\n');
        if (!at)
            return 0;
        at++;
    }
    at += strlen(label);
    for (;;) {
        size_t len;

        at += strspn(at, " ");
        len = strcspn(at, " \n");
        if (len == 0 || (index-- == 0 && !scan_u64(at, len, UINT64_MAX / NS_PER_TICK, &number)))
            return 0;
        if (index < 0)
            return number;
        at += len;
    }
}

static uint32_t count_processes(void)
{
    DIR *proc = opendir("/proc");
    struct dirent *entry;
    uint32_t n = 0;

    while (proc && (entry = readdir(proc)))
        n += entry->d_name[0] >= '1' && entry->d_name[0] <= '9';
    if (proc)
        (void) closedir(proc);
    return n;
}

static uint64_t boot_ns(void)
{
    struct timespec now = { .tv_sec = 0 };

    (void) clock_gettime(CLOCK_BOOTTIME, &now); /* cannot fail: the clock exists */
    return (uint64_t) now.tv_sec * 1000000000u + (uint64_t) now.tv_nsec;
}

static int stats_open(struct call *c, struct bytes_view request, mvm_error **err)
{
    char memory[PROC_HEAD_SIZE], cpu[PROC_HEAD_SIZE];
    struct sysinfo info = { .uptime = 0 };
    struct statvfs root = { .f_frsize = 0 };
    struct agent_stats m;

    (void) request, (void) err; /* the request has no fields; what is not known is 0 */
    read_head("/proc/meminfo", memory, sizeof(memory));
    read_head("/proc/stat", cpu, sizeof(cpu));
    (void) sysinfo(&info);
    if (statvfs("/", &root) < 0)
        root.f_frsize = 0;
    m = (struct agent_stats){
        .memory_total = number_after(memory, "MemTotal:", 0) * 1024,
        .memory_available = number_after(memory, "MemAvailable:", 0) * 1024,
        .cpu_user_ns = (number_after(cpu, "cpu ", 0) + number_after(cpu, "cpu ", 1)) * NS_PER_TICK,
        .cpu_system_ns = number_after(cpu, "cpu ", 2) * NS_PER_TICK,
        .cpu_idle_ns = number_after(cpu, "cpu ", 3) * NS_PER_TICK,
        .cpus = (uint32_t) sysconf(_SC_NPROCESSORS_ONLN),
        .processes = count_processes(),
        .uptime_ns = boot_ns(),
        .root_total = (uint64_t) root.f_blocks * root.f_frsize,
        .root_available = (uint64_t) root.f_bavail * root.f_frsize,
        .execs = call_server(c)->n_sessions,
        .load_1m_milli = (uint32_t) ((uint64_t) info.loads[0] * 1000 >> LOAD_SHIFT),
    };
    agent_stats_encode(&m, call_message(c));
    call_answer(c);
    return 0;
}

static int clock_open(struct call *c, struct bytes_view request, mvm_error **err)
{
    const struct agent_machine *machine = call_server(c)->machine;
    struct timespec now = { .tv_sec = 0 };
    int64_t wanted;
    int r;

    r = agent_number_decode(request.data, request.len, &wanted, err);
    if (r < 0)
        return r;
    (void) clock_gettime(CLOCK_REALTIME, &now); /* cannot fail: the clock exists */
    if (wanted != 0)
        r = machine->set_clock(machine->user, wanted, err);
    if (r < 0)
        return r;
    agent_number_encode((int64_t) now.tv_sec * 1000000000 + now.tv_nsec, call_message(c));
    call_answer(c);
    return 0;
}

static int shutdown_open(struct call *c, struct bytes_view request, mvm_error **err)
{
    int64_t grace_ms;
    int r;

    r = agent_number_decode(request.data, request.len, &grace_ms, err);
    if (r < 0)
        return r;
    if (grace_ms < 0 || grace_ms > UINT32_MAX)
        return mvm_fail(err, MVM_E_ARG, 0, "grace_ms is out of range");
    (void) call_message(c); /* the answer is empty */
    call_answer(c);
    server_shutdown(call_server(c), c->conn, (uint32_t) grace_ms);
    return 0;
}

const struct call_type call_health = { .method = "Health", .open = health_open };
const struct call_type call_stats = { .method = "Stats", .open = stats_open };
const struct call_type call_clock = { .method = "Clock", .open = clock_open };
const struct call_type call_shutdown = { .method = "Shutdown", .open = shutdown_open };
