/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MACHINE_ACCEL_INTERNAL_H
#define MACHINE_ACCEL_INTERNAL_H

#include "machine/accel-guest.h"
#include "machine/accel.h"

/* What a report means. @in_time: the probing process ended by itself. */
void accel_judge(const struct probe_report *report, bool in_time, struct accel_result *ret);

/* The remembered result: what was found under @key. @now_s counts from the boot, suspended time
 * included. accel_recall() is false where there is nothing that still counts. */
bool accel_recall(int dir_fd, const char *key, uint64_t now_s, struct accel_result *ret);
void accel_remember(int dir_fd, const char *key, uint64_t now_s, const struct accel_result *result);

#endif
