/* SPDX-License-Identifier: Apache-2.0 */
/* Where our own programs are. */
#ifndef BASE_PROGRAM_H
#define BASE_PROGRAM_H

#include "base/error.h"

/* The environment variable @env if set, else @name beside the running program, else
 * @installed/@name. *ret is owned by the caller. MVM_E_NOT_FOUND tells the places. */
int program_find(const char *env, const char *name, const char *installed, char **ret,
                 mvm_error **err);

#endif
