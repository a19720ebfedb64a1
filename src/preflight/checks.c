/* SPDX-License-Identifier: Apache-2.0 */
#include "preflight/preflight.h"

#include "base/mem.h"
#include "rootfs/upper.h"

#include <sys/statvfs.h>
#include <sys/sysinfo.h>

/* What the reference asks for by default (host.md section 19): 2.0 GB of disk, 1.0 GiB of memory.
 */
#define DISK_MIN_BYTES (2ULL << 30)
#define MEMORY_MIN_BYTES (1ULL << 30)

static double gib(uint64_t bytes)
{
    return (double) bytes / (double) (1ULL << 30);
}

static void check_mke2fs(const struct preflight_host *host, struct preflight_result *ret)
{
    mvm_autofree char *path = rootfs_upper_find_mke2fs();

    (void) host;
    if (path)
        preflight_pass(ret, "%s", path);
    else
        preflight_miss(ret, "apt-get install e2fsprogs",
                       "mke2fs, which makes the VMs' own disks, is not installed");
}

/* Of the nearest folder that is there, since the store may not have been made yet. */
static void check_disk(const struct preflight_host *host, struct preflight_result *ret)
{
    mvm_autofree char *path = strdup(host->cache_dir);
    struct statvfs st;
    uint64_t free_bytes;
    char *slash;

    if (!path) {
        preflight_miss(ret, "", "out of memory");
        return;
    }
    while (statvfs(path, &st) < 0 && (slash = strrchr(path, '/'))) {
        if (slash == path) {
            path[1] = '\0';
            if (statvfs(path, &st) < 0)
                memset(&st, 0, sizeof(st));
            break;
        }
        *slash = '\0';
    }
    free_bytes = (uint64_t) st.f_bavail * st.f_frsize;
    if (free_bytes < DISK_MIN_BYTES)
        preflight_miss(ret, "", "%.1f GiB free in '%s', %.1f recommended", gib(free_bytes), path,
                       gib(DISK_MIN_BYTES));
    else
        preflight_pass(ret, "%.1f GiB free in '%s'", gib(free_bytes), path);
}

static void check_resources(const struct preflight_host *host, struct preflight_result *ret)
{
    struct sysinfo info;
    uint64_t total;

    (void) host;
    if (sysinfo(&info) < 0) {
        preflight_miss(ret, "", "the host does not tell its memory");
        return;
    }
    total = (uint64_t) info.totalram * info.mem_unit;
    if (total < MEMORY_MIN_BYTES)
        preflight_miss(ret, "", "%.1f GiB of memory, %.1f recommended", gib(total),
                       gib(MEMORY_MIN_BYTES));
    else
        preflight_pass(ret, "%ld CPUs, %.1f GiB of memory", sysconf(_SC_NPROCESSORS_ONLN),
                       gib(total));
}

const struct preflight_check preflight_host_checks[PREFLIGHT_HOST_CHECKS] = {
    { "e2fsprogs", "the maker of the VMs' own disks", true, check_mke2fs },
    { "disk-space", "room for images", false, check_disk },
    { "resources", "CPUs and memory", false, check_resources },
};
