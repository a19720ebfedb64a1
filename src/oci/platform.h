/* SPDX-License-Identifier: Apache-2.0 */
/* Platforms in Go's words: "linux/amd64", "linux/arm/v7" (OCI image-spec, image-index.md, Platform
 * Variants). */
#ifndef OCI_PLATFORM_H
#define OCI_PLATFORM_H

#include "base/error.h"
#include "base/mem.h"

/* Most characters of each part; the longest known name ("mips64p32le") has 11. */
#define OCI_PLATFORM_PART_MAX 31
#define OCI_PLATFORM_TEXT_MAX (3 * OCI_PLATFORM_PART_MAX + 2)

struct oci_platform {
    char os[OCI_PLATFORM_PART_MAX + 1];
    char architecture[OCI_PLATFORM_PART_MAX + 1];
    char variant[OCI_PLATFORM_PART_MAX + 1]; /* "" when unset */
};
struct oci_platform_text {
    char text[OCI_PLATFORM_TEXT_MAX + 1];
};

/* "os/arch[/variant]", as a user types it. */
int oci_platform_parse(const char *text, struct oci_platform *ret, mvm_error **err);
/* Linux on this machine's architecture, with the highest variant that its processor runs. */
int oci_platform_host(struct oci_platform *ret, mvm_error **err);
/* The platform that an image must fit: @text, or the host's for NULL. Where @text leaves the
 * variant out, it is the host's own on the host's architecture, and v7 for arm elsewhere, as
 * container engines have it. */
int oci_platform_want(const char *text, struct oci_platform *ret, mvm_error **err);
/* What a uname(2) machine name is called; MVM_E_UNSUPPORTED when that is unknown. */
int oci_platform_from_machine(const char *machine, struct oci_platform *ret, mvm_error **err);
struct oci_platform_text oci_platform_format(const struct oci_platform *p);
/* How well what is offered suits what is wanted: -1 not at all, else the level of its variant,
 * higher is better. A missing variant is the architecture's base level. */
int oci_platform_rank(const struct oci_platform *want, const struct oci_platform *offer);

#endif
