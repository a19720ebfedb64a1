/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What our own init needs beyond /.krun_config.json: a private file of the initramfs, written by
 * the runner and read by microvm-init. One encoder and one decoder. The format is "key=value"
 * records, each ended by a NUL byte; unknown keys are ignored, so that an older init boots under a
 * newer host.
 */
#ifndef AGENT_BOOT_CONFIG_H
#define AGENT_BOOT_CONFIG_H

#include "base/error.h"
#include "base/mem.h"
#include "base/strbuf.h"

#include <stdbool.h>
#include <stdint.h>

#define BOOT_CONFIG_PATH ".microvm-boot"
#define BOOT_CONFIG_MAX 65536
/* The folder of the initramfs whose content init copies into the program's root. */
#define GUEST_FILES_DIR ".guest-files"

struct boot_config {
    char *hostname;      /* owned; NULL: "localhost" */
    char *user;          /* owned; "user[:group]" by name or number; NULL or "": root */
    char *root_device;   /* owned; NULL: "/dev/vda" */
    char *root_fstype;   /* owned; NULL: "erofs" */
    char *upper_device;  /* owned: with an ext4 for the upper layer; NULL: that is in memory */
    bool read_only;      /* the root is read-only once it is complete */
    bool tty;            /* the program gets a terminal: stdin and stdout share it, stderr too */
    bool stdin_open;     /* else the program's stdin is at its end at once */
    uint16_t rows, cols; /* of the terminal; 0: unknown */
};
void boot_config_deinit(struct boot_config *c);
MVM_DEFINE_AUTOVALUE(boot_config, boot_config_deinit)
int boot_config_encode(const struct boot_config *c, struct strbuf *out, mvm_error **err);
int boot_config_decode(const char *data, size_t len, struct boot_config *ret, mvm_error **err);

#endif
