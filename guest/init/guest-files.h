/* SPDX-License-Identifier: Apache-2.0 */
/* The host's files for the program's root, from the folder GUEST_FILES_DIR of the initramfs. */
#ifndef INIT_GUEST_FILES_H
#define INIT_GUEST_FILES_H

#include "base/error.h"

/* Copies what lies in @from_dir into the root at @root_dir: folders are made where they are
 * missing, symbolic links of the image are followed within it, a file that is there is replaced.
 * Without @from_dir there is nothing to do. */
int guest_files_install(const char *from_dir, const char *root_dir, mvm_error **err);

#endif
