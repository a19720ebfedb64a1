/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MACHINE_ACCEL_INTERNAL_H
#define MACHINE_ACCEL_INTERNAL_H

#include "machine/accel-guest.h"
#include "machine/accel.h"

/* What a report means. @in_time: the probing process ended by itself. */
void accel_judge(const struct probe_report *report, bool in_time, struct accel_result *ret);

#endif
