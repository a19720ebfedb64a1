/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel's settings that keep programs from what only an attacker needs (guest.md section 8).
 */
#ifndef INIT_SYSCTL_H
#define INIT_SYSCTL_H

#include "base/error.h"

/* Sets @key, with dots, to @value, below the folder @root: "/proc/sys". The error names both. */
int sysctl_set(const char *root, const char *key, const char *value, mvm_error **err);
/* Each of them; what this kernel lacks is told on the console, and keeps nobody from the rest. */
void sysctl_harden(void);

#endif
