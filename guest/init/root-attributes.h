/* SPDX-License-Identifier: Apache-2.0 */
/* The attributes of the root directory, which an overlay takes from its upper layer. */
#ifndef INIT_ROOT_ATTRIBUTES_H
#define INIT_ROOT_ATTRIBUTES_H

#include "base/error.h"

/* Gives the directory @to_fd the owner, mode, time of modification and extended attributes of
 * @from_fd, but for those that speak to the overlay itself. An attribute for which @to_fd's file
 * system has no place is left out, and told. Both must be open for reading; borrowed. */
int root_attributes_copy(int from_fd, int to_fd, mvm_error **err);

#endif
