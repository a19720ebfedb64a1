/* SPDX-License-Identifier: Apache-2.0 */
#ifndef IMAGE_ARCHIVE_NAME_H
#define IMAGE_ARCHIVE_NAME_H

#include "base/error.h"
#include "base/mem.h"

/* The normal form (archive-index.h) of @name as seen from the folder of the member @from; NULL:
 * from the top. *ret is owned, "" for the top itself. */
int archive_name_resolve(const char *from, const char *name, char **ret, mvm_error **err);

#endif
