/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A kernel's options: the lines of a .config, or of a fragment that asks for some of them (Linux,
 * Documentation/kbuild/kconfig.rst): "CONFIG_NAME=value", "# CONFIG_NAME is not set" for n, blank
 * lines and other comments. A later line wins over an earlier one of that name.
 *
 * kconfig itself drops what it does not know or what lacks a dependency, without a word: who asks
 * for an option compares afterwards.
 */
#ifndef MACHINE_KERNEL_CONFIG_H
#define MACHINE_KERNEL_CONFIG_H

#include "base/error.h"
#include "base/mem.h"

/* A whole .config of Debian's has 250 KiB and 10 000 options. */
#define KCONFIG_TEXT_MAX (1u << 20)
#define KCONFIG_OPTIONS_MAX 32768
/* Linux's longest name has some 50. */
#define KCONFIG_NAME_MAX 128
/* Options that one message names. */
#define KCONFIG_NAMED_MAX 8

struct kconfig_option {
    char *name;  /* owned: with CONFIG_ */
    char *value; /* owned: "y", "m", "n", a number, or a string in its quotes */
    size_t line; /* where it was, from 1 */
};
struct kconfig {
    struct kconfig_option *items; /* owned; by name, each once */
    size_t n, cap;
};
void kconfig_deinit(struct kconfig *c);
MVM_DEFINE_AUTOVALUE(kconfig, kconfig_deinit)

/* MVM_E_FORMAT and MVM_E_LIMIT name the line. */
int kconfig_parse(const char *text, size_t len, struct kconfig *ret, mvm_error **err);
/* "n" when it is not there, as in a .config. */
const char *kconfig_get(const struct kconfig *c, const char *name);

/* Each of @wanted is among the names @known, without CONFIG_, sorted by strcmp: what a source tree
 * has. MVM_E_NOT_FOUND names those that are not. */
int kconfig_check_known(const struct kconfig *wanted, const struct strv *known, mvm_error **err);
/* Each of @wanted has in @got the value that it asks for. MVM_E_UNSUPPORTED names the others. */
int kconfig_check_values(const struct kconfig *wanted, const struct kconfig *got, mvm_error **err);

#endif
