/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The machine interface: what the runner asks of a hypervisor. Only the runner's process calls it.
 */
#ifndef MACHINE_MACHINE_H
#define MACHINE_MACHINE_H

#include "base/child.h"
#include "base/error.h"
#include "machine/tsc.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Most extents of a root disk, and with that layers of an image: Linux gives overlays of 500, and
 * each takes descriptors of QEMU's process. */
#define MACHINE_EXTENTS_MAX 512
/* The unit of their sizes: a block of the file system that runs over them. */
#define MACHINE_EXTENT_ALIGN 4096

/* Fewest and most of what a VM may ask for. */
#define MACHINE_CPUS_MAX 255
#define MACHINE_MEMORY_MIB_MIN 64

enum machine_accel {
    MACHINE_ACCEL_AUTO = 0,
    MACHINE_ACCEL_KVM = 1,
    MACHINE_ACCEL_TCG = 2
};

/* A file that is one part of the root disk. */
struct machine_extent {
    char *path;    /* whose it is says the owner of the array */
    uint64_t size; /* bytes of it that count: a multiple of MACHINE_EXTENT_ALIGN; 0 in a disk of
                    * one: all */
};

struct machine_spec {
    const char *name; /* of the VM, for the process list */
    unsigned cpus;
    uint64_t memory_mib;
    enum machine_accel accel;    /* KVM or TCG: decided already */
    struct tsc_sample tsc_since; /* taken a while ago, so that nobody need wait for its rate */
    const char *kernel_path;     /* vmlinux or bzImage */
    int initrd_fd;               /* sealed memfd, from its start; borrowed */
    const char *cmdline_extra;   /* appended to the kernel's command line; NULL: nothing */
    const struct machine_extent *root; /* the guest's first disk, read-only; borrowed */
    size_t n_root;                     /* 1 to MACHINE_EXTENTS_MAX */
    const char *upper_path;            /* the second one, read-write; NULL: none */
    int console_fd;    /* gets the guest's console: a connected UNIX stream socket; borrowed */
    int log_fd;        /* the machine's own messages; borrowed */
    int lock_fd;       /* kept open by the machine's process, so that the VM's lock ends with it;
                        * borrowed; negative: none */
    int image_lock_fd; /* the same for the lock of the image; borrowed; negative: none */
    int vsock_fd;      /* a connected UNIX stream socket with the vhost-user server of the vsock
                        * device at its other end; borrowed */
};

/* Checks what can be checked without starting anything: counts, memory against the host's. */
int machine_check(const struct machine_spec *spec, mvm_error **err);

/* Finds QEMU: $MICROVM_QEMU, else qemu-system-<arch> in PATH. MVM_E_NOT_FOUND names the package
 * that has it. */
int qemu_find(char **ret_path, mvm_error **err);
/* Its version from `qemu-system-x86_64 --version`: "7.2.22"; owned by the caller. */
int qemu_version(const char *path, char **ret_version, mvm_error **err);
/* Starts QEMU, which dies with the calling thread (PR_SET_PDEATHSIG). @ret: an own child, to be
 * reaped by the caller. */
int qemu_start(const struct machine_spec *spec, struct child *ret, mvm_error **err);

#endif
