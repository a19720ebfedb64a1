/* SPDX-License-Identifier: Apache-2.0 */
/* What files are, as the messages say it. */
#ifndef GUEST_AGENT_FILE_INFO_H
#define GUEST_AGENT_FILE_INFO_H

#include "agent/messages.h"

#include <sys/stat.h>

/* Folders within each other, in one tree that is read or written: of a tree that is read each holds
 * a descriptor. Package trees have some 30. */
#define FILE_DEPTH_MAX 128

/* Of @name in @dir_fd, or of @dir_fd itself where it is "". The name in *@ret is borrowed and is
 * @shown. Names and targets are bytes, of any encoding. */
int file_info_get(int dir_fd, const char *name, const char *shown, struct agent_file *ret,
                  mvm_error **err);
/* Opens what @f is the info of, with flags that let a file which took its place do no harm.
 * MVM_E_CANCELLED: one of another type did. */
int file_info_open(int dir_fd, const char *name, const struct agent_file *f, int *ret_fd,
                   mvm_error **err);
void file_info_release(struct agent_file *f); /* the borrowed name is not freed */

#endif
