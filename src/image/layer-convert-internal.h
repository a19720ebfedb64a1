/* SPDX-License-Identifier: Apache-2.0 */
/* The state that the parts of the conversion share. */
#ifndef IMAGE_LAYER_CONVERT_INTERNAL_H
#define IMAGE_LAYER_CONVERT_INTERNAL_H

#include "image/budget.h"
#include "image/layer-data.h"
#include "image/layer-index.h"
#include "image/layer-name.h"
#include "image/tar-reader.h"

#include <sys/sysmacros.h>

/* An extended attribute of the entry at hand, and which of those of its name the tar had last. */
struct convert_xattr {
    struct layer_xattr x; /* borrowed from the reader */
    size_t order;
};

struct convert {
    struct image_budget *budget; /* borrowed */
    struct tar_reader *tar;      /* borrowed, while entries are read */
    struct layer_writer *writer; /* owned */
    struct layer_data data;
    uint64_t file_bytes;
    struct layer_path path; /* of the entry */
    struct layer_path link; /* of a hard link's source */
    unsigned char small[LAYER_INLINE_MAX];
    struct convert_xattr *found; /* owned */
    size_t found_cap;
    struct layer_xattr *xattrs; /* owned: those of the record */
    size_t xattrs_cap;
};
void convert_free(struct convert *c);
MVM_DEFINE_AUTO(convert, convert_free)

/* layer-convert-content.c: the content of a file, into the record or into the data. */
int convert_content(struct convert *c, const struct tar_entry *e, struct layer_record *record,
                    mvm_error **err);
/* layer-convert-xattr.c: the attributes of the entry that was read last. */
int convert_xattrs(struct convert *c, struct layer_record *record, mvm_error **err);

#endif
