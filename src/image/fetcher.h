/* SPDX-License-Identifier: Apache-2.0 */
/* A caller's own fetcher as a source. */
#ifndef IMAGE_FETCHER_H
#define IMAGE_FETCHER_H

#include "image/source.h"

/* All are borrowed and must outlive the source. */
int fetcher_source_open(const mvm_fetcher *fetcher, const struct oci_reference *ref,
                        struct image_source **ret, mvm_error **err);
/* Copies a table of any version of the struct (style of openat2(2): unknown fields must be zero).
 * MVM_E_ARG, MVM_E_UNSUPPORTED. */
int fetcher_copy(const mvm_fetcher *from, mvm_fetcher *ret);

#endif
