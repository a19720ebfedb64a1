/* SPDX-License-Identifier: Apache-2.0 */
/* The preflight checks of the machine: KVM, QEMU, guest kernel. */
#ifndef MACHINE_CHECKS_H
#define MACHINE_CHECKS_H

#include "preflight/preflight.h"

#define MACHINE_CHECKS 3
extern const struct preflight_check machine_checks[MACHINE_CHECKS];

#endif
