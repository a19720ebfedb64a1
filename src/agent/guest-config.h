/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /etc/go-microvm.json: what the host tells a guest beyond the program (guest.md, section 4). A
 * file that is not there says that all is as usual. One that says anything wrong is an error, and
 * nothing in it counts (G-44); unknown keys are ignored, null leaves the default, and of a repeated
 * key the last one wins (G-45). Bytes, keys and the rule for leaving out are the reference's. The
 * one encoder (host) and the one decoder (guest); no library behind.
 */
#ifndef AGENT_GUEST_CONFIG_H
#define AGENT_GUEST_CONFIG_H

#include "base/error.h"
#include "base/mem.h"
#include "base/strbuf.h"

#include <stdbool.h>
#include <stdint.h>

#define GUEST_CONFIG_PATH "/etc/go-microvm.json"
/* Most bytes of the file: thousands of mounts. */
#define GUEST_CONFIG_MAX (1u << 20)
/* Entries of virtiofs_mounts: as many devices as no machine has. */
#define GUEST_CONFIG_MOUNTS_MAX 256

struct guest_mount {
    char *tag; /* owned */
    bool read_only;
};
struct guest_config {
    uint32_t tmp_size_mib; /* 0: the default */
    bool disable_ssh;
    struct guest_mount *mounts; /* owned */
    size_t n_mounts;
};
void guest_config_deinit(struct guest_config *c);
MVM_DEFINE_AUTOVALUE(guest_config, guest_config_deinit)

/* Appends nothing where all is as by default: then there is no file at all (G-40). Compact, no
 * newline (G-39). Of the keys the host sets disable_ssh alone so far. */
void guest_config_encode(const struct guest_config *c, struct strbuf *out);
/* On failure *@ret has the defaults. */
int guest_config_decode(const char *text, size_t len, struct guest_config *ret, mvm_error **err);
/* The same for a file; an absent one is no error (G-43). */
int guest_config_read(const char *path, struct guest_config *ret, mvm_error **err);

#endif
