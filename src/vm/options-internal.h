/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VM_OPTIONS_INTERNAL_H
#define VM_OPTIONS_INTERNAL_H

#include "base/log.h"
#include "base/mem.h"
#include "image/image.h"
#include "image/registry-options.h"
#include "runner/vsock-map.h"

#include <microvm/fetcher.h>
#include <microvm/options.h>
#include <stdbool.h>

/* Most bytes of a VM's name: it is a folder, a host name in the guest (64 on Linux) and part of
 * socket paths. */
#define VM_NAME_MAX 64

struct mvm_options {
    char *name; /* owned; NULL: made up */
    uint32_t cpus;
    uint32_t memory_mib;
    struct strv arguments;
    char *entrypoint; /* owned; NULL: the image's */
    struct strv env;
    char *workdir; /* owned; NULL: the image's */
    char *user;    /* owned; NULL: the image's */
    bool tty;
    uint16_t rows, cols;
    int stdio[3]; /* borrowed */
    int pull_policy;
    int source_order;
    uint32_t layer_jobs; /* 0: the default */
    bool has_fetcher;
    mvm_fetcher fetcher;
    char *platform; /* owned */
    char *kernel;   /* owned */
    int accel;
    uint64_t disk_size; /* bytes; 0: the default */
    bool tmpfs_root;
    bool read_only;
    uint64_t timeout_ms;
    bool remove;
    bool detached;
    struct vsock_map vsock_ports;
    char *vsock_uds; /* owned; NULL: none */
    bool no_ssh;
    struct registry_options registry;
    char *data_dir; /* owned */
    mvm_progress_fn *progress;
    void *progress_user;
    mvm_log_fn *log_fn;
    void *log_user;
    int log_level;
};

bool vm_name_is_valid(const char *name);
/* The log of these options as the inner folders take it; @options must outlive it. */
struct log options_log(const mvm_options *options);
/* Hands a report to the progress callback of these options, which is @user; there is one. */
int options_progress(void *user, const struct image_progress *progress);

#endif
