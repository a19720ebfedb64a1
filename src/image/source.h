/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where images come from: one interface, implemented by an OCI layout (layout.c) as a folder or an
 * archive, by a docker archive (docker-archive.c), by a container engine (daemon.c), by a registry
 * (registry.c) and by a caller's own fetcher (fetcher.c). A source hands out documents and byte
 * readers and verifies what its transport alone can tell; digests and sizes are compared by who
 * reads.
 */
#ifndef IMAGE_SOURCE_H
#define IMAGE_SOURCE_H

#include "base/digest.h"
#include "image/tick.h"
#include "oci/manifest.h"
#include "oci/reference.h"

#include <sys/types.h>

struct registry_options;

/* A stream of bytes, pulled by its reader, so that a slow reader slows the sender down. */
struct blob_reader {
    /* Up to @len bytes; 0 at the end; a negative code. */
    ssize_t (*read)(struct blob_reader *reader, void *data, size_t len, mvm_error **err);
    void (*free)(struct blob_reader *reader);
    bool has_size; /* the transport said how long it is */
    uint64_t size;
};
void blob_reader_free(struct blob_reader *reader); /* NULL is fine */
MVM_DEFINE_AUTO(blob_reader, blob_reader_free)
/* Reads all of a small blob; more than @max bytes, or another size or digest than the descriptor's,
 * is an error. */
int blob_read_all(struct blob_reader *reader, const struct oci_descriptor *d, size_t max,
                  char **ret, size_t *ret_len, mvm_error **err);
/* All of a small file whose reader knows its size; *ret is NUL-ended. */
int blob_read_text(struct blob_reader *reader, size_t max, char **ret, size_t *ret_len,
                   mvm_error **err);

/* Layers of an image: each costs a pull a descriptor, and the machine's disk has 512 parts, the
 * first of which has the names. docker builds 127 at most. */
#define SOURCE_LAYERS_MAX 511

/* A manifest or an index as it was received. */
struct source_document {
    char *text; /* owned */
    size_t len;
    char *media_type; /* owned: of the answer; "" when unknown */
};
/* MVM_E_DIGEST unless it has the digest @want. */
int source_document_check(const struct source_document *doc, const struct digest *want,
                          mvm_error **err);
void source_document_deinit(struct source_document *doc);
MVM_DEFINE_AUTOVALUE(source_document, source_document_deinit)

struct image_source {
    /* What the name stands for, with as little fetched as can be: a text that always means the same
     * image, owned by the caller; NULL when it cannot tell. MVM_E_NOT_FOUND when the source lacks
     * the image or has it for another platform. NULL: this kind of source never can. Comes before
     * open_name(). */
    int (*identify)(struct image_source *source, const struct oci_platform *want,
                    char **ret_identity, mvm_error **err);
    /* The document that the name itself leads to (@want chooses where the name is a choice), or
     * that a descriptor points at. */
    int (*open_name)(struct image_source *source, const struct oci_platform *want,
                     struct source_document *ret, mvm_error **err);
    int (*open_manifest)(struct image_source *source, const struct oci_descriptor *d,
                         struct source_document *ret, mvm_error **err);
    /* By several threads at once, once the documents have been read. @d and @tick are borrowed and
     * must outlive the reader; without a tick nobody is told. */
    int (*open_blob)(struct image_source *source, const struct oci_descriptor *d,
                     struct image_tick *tick, struct blob_reader **ret, mvm_error **err);
    /* A blob that it gave was wrong, by its digest. Whether the next one comes from somewhere else,
     * so that another try makes sense. By any thread; NULL: never. */
    bool (*doubt)(struct image_source *source);
    void (*free)(struct image_source *source);
};
void image_source_free(struct image_source *source); /* NULL is fine */
bool image_source_doubt(struct image_source *source);
/* As the functions of the same names, but content inside the descriptor is not asked for. */
int image_source_open_manifest(struct image_source *source, const struct oci_descriptor *d,
                               struct source_document *ret, mvm_error **err);
int image_source_open_blob(struct image_source *source, const struct oci_descriptor *d,
                           struct image_tick *tick, struct blob_reader **ret, mvm_error **err);
MVM_DEFINE_AUTO(image_source, image_source_free)

/* @path is the layout's folder; @tag as in layout_source_new(). */
int layout_source_open(const char *path, const char *tag, struct image_source **ret,
                       mvm_error **err);
/* @ref, @options (NULL: no wishes) and @tick are borrowed and must outlive the source. Reads where
 * credentials are, but connects to nothing before the first document is asked for. */
int registry_source_open(const struct oci_reference *ref, const struct registry_options *options,
                         struct image_tick *tick, const struct log *log, struct image_source **ret,
                         mvm_error **err);

#endif
