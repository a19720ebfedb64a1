/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the library tells microvm-runner about one VM: one JSON object, handed over in a sealed
 * memfd and never in argv, since the environment in it may hold secrets (host.md W-62). The one
 * encoder and the one decoder.
 *
 * The reference's keys come first, in its order and with its rule for leaving out (host.md section
 * 9); ours follow, each left out while it has its default.
 */
#ifndef RUNNER_CONFIG_H
#define RUNNER_CONFIG_H

#include "agent/krun-config.h"
#include "base/error.h"
#include "base/mem.h"
#include "machine/machine.h"
#include "runner/root-extents.h"
#include "runner/vsock-map.h"

#include <stdbool.h>
#include <stdint.h>

/* Most bytes of the document: the environment and the command are the bulk, and Linux itself stops
 * at 6 MiB for the two of them (execve(2), Limits on size of arguments and environment). */
#define RUNNER_CONFIG_MAX (16u << 20)

struct runner_config {
    char *root_path; /* owned: the root disk image, or its first extent */
    uint32_t num_vcpus;
    uint32_t ram_mib;
    char *console_log_path; /* owned */
    uint32_t log_level;     /* enum log_level */
    struct vsock_map vsock_ports;

    struct root_extents root_extents; /* of a root disk of several; root_path is the first */
    char *upper_path;   /* owned: the disk of the upper layer; NULL: it is in memory */
    bool read_only;     /* the program finds its root read-only */
    char *name;         /* owned: of the VM */
    char *vm_dir;       /* owned: its folder */
    bool remove_at_end; /* the folder goes with the VM */
    char *vsock_uds;    /* owned: the hybrid socket; NULL: none */
    bool detached;      /* the VM outlives the caller that started it */
    enum machine_accel accel;
    char *cache_dir;     /* owned: where the KVM probe's result is remembered */
    char *kernel_path;   /* owned */
    char *modules_path;  /* owned; NULL: none */
    char *init_path;     /* owned: microvm-init */
    uint64_t timeout_ms; /* the program may run so long; 0: without limit */
    char *user;          /* owned; NULL: root */
    bool tty;
    bool stdin_open;
    uint32_t rows, cols;
    struct krun_config program;
};

void runner_config_deinit(struct runner_config *c);
MVM_DEFINE_AUTOVALUE(runner_config, runner_config_deinit)

/* *ret_text is owned by the caller. */
int runner_config_encode(const struct runner_config *c, char **ret_text, mvm_error **err);
/* @ret must be zeroed. Checks presence, types and ranges. */
int runner_config_decode(const char *text, size_t len, struct runner_config *ret, mvm_error **err);

#endif
