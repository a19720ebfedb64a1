/* SPDX-License-Identifier: Apache-2.0 */
/*
 * QEMU's command line for one machine. Everything that a guest may touch comes as a descriptor: no
 * path of the caller's meets QEMU's option parser, and QEMU needs no right to open one.
 */
#ifndef MACHINE_QEMU_COMMAND_H
#define MACHINE_QEMU_COMMAND_H

#include "base/mem.h"
#include "base/strbuf.h"
#include "machine/machine.h"

/* Numbers of QEMU's descriptors. */
enum qemu_fd {
    QEMU_FD_KERNEL = 3,
    QEMU_FD_INITRD = 4,
    QEMU_FD_ROOT = 5, /* the root disk, or what lists its extents */
    QEMU_FD_CONSOLE = 6,
    QEMU_FD_LOCK = 7,
    QEMU_FD_VSOCK = 8,
    QEMU_FD_IMAGE_LOCK = 9,
    QEMU_FD_UPPER = 10,
    QEMU_FD_EXTENTS = 16, /* and on: those of a root disk of several */
    QEMU_FD_END = QEMU_FD_EXTENTS + MACHINE_EXTENTS_MAX
};

/* What decides about the command line beyond the spec. */
struct qemu_host {
    uint32_t tsc_khz; /* of the host; 0: unknown */
};

/* Most bytes of what lists the extents: a line of at most 64 bytes each. */
#define QEMU_EXTENTS_TEXT_MAX (64 * MACHINE_EXTENTS_MAX + 512)
/* What lists the extents of a root disk of several, for QEMU's driver "vmdk" (VMware, Virtual Disk
 * Format 5.0, "The Descriptor File"). */
int qemu_build_extents(const struct machine_spec *spec, struct strbuf *ret, mvm_error **err);
/* Appends argv to @ret, the program's name first. */
int qemu_build_command(const struct machine_spec *spec, const struct qemu_host *host,
                       struct strv *ret, mvm_error **err);

#endif
