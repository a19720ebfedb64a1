/* SPDX-License-Identifier: Apache-2.0 */
/* kernel.json: what a kernel's folder holds. Written when it is made, read by all that look for
 * one. */
#ifndef MACHINE_KERNEL_INFO_H
#define MACHINE_KERNEL_INFO_H

#include "base/error.h"
#include "base/json.h"

#include <stdbool.h>

/* A new one of the present format. */
int kernel_info_new(json_t **ret, const char *release, const char *source, mvm_error **err);
int kernel_info_set(json_t *info, const char *key, const char *value, mvm_error **err);
/* Writes the file @name below @out_fd and notes its size and digest as <key>_size, <key>_digest. */
int kernel_info_add_file(json_t *info, int out_fd, const char *name, const char *key,
                         const void *data, size_t len, mvm_error **err);
/* Last: a folder without it is no kernel. */
int kernel_info_write(const json_t *info, int out_fd, mvm_error **err);

/* The one below @dir_fd. */
int kernel_info_read(int dir_fd, json_t **ret, mvm_error **err);
/* Whether the file @name is there with the size that was noted: a cheap check of wholeness, since
 * the folder appeared by rename. */
bool kernel_info_has_file(const json_t *info, int dir_fd, const char *name, const char *key);
/* Whether the file @path has the digest that was noted; MVM_E_DIGEST names it. */
int kernel_info_check_digest(const json_t *info, const char *key, const char *path,
                             mvm_error **err);

#endif
