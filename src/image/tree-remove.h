/* SPDX-License-Identifier: Apache-2.0 */
/* Removing a large tree while the caller is kept informed. */
#ifndef IMAGE_TREE_REMOVE_H
#define IMAGE_TREE_REMOVE_H

#include "image/tick.h"

/* As path_remove_tree(), asking @tick between the folders of the upper levels. Cancelled, it leaves
 * the rest. */
int tree_remove(int dir_fd, const char *name, struct image_tick *tick, mvm_error **err);

#endif
