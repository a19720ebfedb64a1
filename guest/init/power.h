/* SPDX-License-Identifier: Apache-2.0 */
#ifndef INIT_POWER_H
#define INIT_POWER_H

/*
 * Ends the machine: what is written is synced, then the kernel restarts, which the machine takes as
 * its end (QEMU's -no-reboot; a kernel without ACPI would halt on power-off and never end).
 */
void power_off(void) __attribute__((noreturn));

#endif
