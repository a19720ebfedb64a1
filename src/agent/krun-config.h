/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /.krun_config.json: command, environment and working directory of the program, in the bytes that
 * libkrun's init reads (host.md H-48 to H-64, guest.md K-12 to K-14). The one encoder (host) and
 * the one decoder (guest); no library behind.
 */
#ifndef AGENT_KRUN_CONFIG_H
#define AGENT_KRUN_CONFIG_H

#include "base/error.h"
#include "base/mem.h"
#include "base/strbuf.h"

#define KRUN_CONFIG_PATH ".krun_config.json"
/* Most bytes of the file. */
#define KRUN_CONFIG_MAX (4u << 20)

struct krun_config {
    struct strv cmd;
    struct strv env;
    char *workdir; /* owned; NULL means "/" */
};
void krun_config_deinit(struct krun_config *c);
MVM_DEFINE_AUTOVALUE(krun_config, krun_config_deinit)

/* H-55, H-56, H-61, H-62: keys Cmd, Env, WorkingDir, two spaces, no final newline, raw UTF-8,
 * \u00XX for quotes and control characters. Invalid UTF-8 is MVM_E_ARG naming the string (W-58). An
 * empty command is written as null. */
int krun_config_encode(const struct krun_config *c, struct strbuf *out, mvm_error **err);
/* Accepts the forms of K-13; every JSON escape is decoded. */
int krun_config_decode(const char *text, size_t len, struct krun_config *ret, mvm_error **err);

#endif
