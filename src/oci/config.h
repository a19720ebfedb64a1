/* SPDX-License-Identifier: Apache-2.0 */
/* The image config (OCI image-spec, config.md): what of it a run needs. Parsing and nothing else.
 */
#ifndef OCI_CONFIG_H
#define OCI_CONFIG_H

#include "base/digest.h"
#include "base/mem.h"

/* Most bytes of a config document (image.md I-124). */
#define OCI_CONFIG_MAX (8u << 20)

/* The label by which an image names the guest kernel that it wants. */
#define OCI_LABEL_KERNEL "microvm.kernel"

struct oci_config {
    char *os;           /* owned; "" when unset */
    char *architecture; /* owned; "" when unset */
    char *variant;      /* owned; "" when unset */
    struct strv entrypoint;
    struct strv cmd;
    struct strv env;
    char *workdir;           /* owned; "" when unset */
    char *user;              /* owned; "" when unset */
    char *kernel;            /* owned: its label OCI_LABEL_KERNEL; "" when unset */
    struct digest *diff_ids; /* owned; base first */
    size_t n_diff_ids;
};

/* @config must be zeroed or deinitialised. */
int oci_config_parse(const char *text, size_t len, struct oci_config *config, mvm_error **err);
void oci_config_deinit(struct oci_config *config);
MVM_DEFINE_AUTOVALUE(oci_config, oci_config_deinit)

#endif
