/* SPDX-License-Identifier: Apache-2.0 */
/* An OCI layout (OCI image-spec, image-layout.md), wherever its files are: index.json, and blobs
 * named by their digest. */
#ifndef IMAGE_LAYOUT_H
#define IMAGE_LAYOUT_H

#include "image/source.h"

/* The files of a layout. */
struct layout_files {
    /* A reader of the file @name ("index.json", "blobs/sha256/..."), which knows its size; by
     * several threads at once. MVM_E_NOT_FOUND. */
    int (*open)(struct layout_files *files, const char *name, struct blob_reader **ret,
                mvm_error **err);
    void (*free)(struct layout_files *files);
};
void layout_files_free(struct layout_files *files); /* NULL is fine */
MVM_DEFINE_AUTO(layout_files, layout_files_free)

/* Takes over @files, also when it fails. @tag NULL: the sole entry, or the sole one for the
 * platform, or the one called "latest". */
int layout_source_new(struct layout_files *files, const char *tag, struct image_source **ret,
                      mvm_error **err);
/* The same for one document, which @root tells: tags do not count. */
int layout_source_new_at(struct layout_files *files, const struct digest *root,
                         struct image_source **ret, mvm_error **err);

#endif
