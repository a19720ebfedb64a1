/* SPDX-License-Identifier: Apache-2.0 */
/* What runs in the guest: the image's config with the caller's wishes on top. */
#ifndef VM_PROGRAM_H
#define VM_PROGRAM_H

#include "agent/krun-config.h"
#include "oci/config.h"
#include "vm/options-internal.h"

/* PATH of a program whose image sets none (host.md H-50). */
#define PROGRAM_PATH_DEFAULT "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* The command is entrypoint followed by cmd, each the image's or the caller's; the environment has
 * each name once, the default PATH first, the image's value over it, the caller's over that
 * (image.md I-36; the reference kept duplicates, host.md W-56). An empty command is MVM_E_ARG. */
int program_build(const mvm_options *options, const struct oci_config *image,
                  struct krun_config *ret, mvm_error **err);
/* Sets "NAME=VALUE" in @env, in the place of an entry of that name. Entries without '=' are
 * dropped. */
int program_merge_env(struct strv *env, const char *entry);

#endif
