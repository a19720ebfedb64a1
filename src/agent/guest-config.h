/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /etc/go-microvm.json: what the host asks of the guest's init (guest.md section 4). Bytes, keys
 * and the rule for leaving out are the reference's. The one encoder (host) and the one decoder
 * (guest); no library behind.
 */
#ifndef AGENT_GUEST_CONFIG_H
#define AGENT_GUEST_CONFIG_H

#include "base/error.h"
#include "base/strbuf.h"

#include <stdbool.h>

#define GUEST_CONFIG_PATH "etc/go-microvm.json"
/* Most bytes of the file that are read. */
#define GUEST_CONFIG_MAX 65536

struct guest_config {
    bool disable_ssh; /* no SSH server, no keys read for one */
};

/* Nothing where all is as by default: then there is no file at all (G-40). Compact, no newline
 * (G-39). */
void guest_config_encode(const struct guest_config *c, struct strbuf *out);
/* Unknown keys are ignored, null leaves a default, the last of a repeated key counts (G-45); on
 * failure *ret is all defaults (G-44). */
int guest_config_decode(const char *text, size_t len, struct guest_config *ret, mvm_error **err);

#endif
