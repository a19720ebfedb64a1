/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Archives of images: the tar's index with its links, manifest.json, the config, and the manifest
 * made of them, which must be one that the rest of a pull takes. The first byte chooses the form.
 */
#include "image/docker-archive.h"

#include <assert.h>
#include <sys/mman.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Each descriptor leads to a blob of the size that it has. */
static void check_blob(struct image_source *source, const struct oci_descriptor *d)
{
    mvm_auto(blob_reader) reader = NULL;
    char buffer[512];
    uint64_t done = 0;
    ssize_t n;

    assert(source->open_blob(source, d, NULL, &reader, NULL) == 0);
    while ((n = reader->read(reader, buffer, sizeof(buffer), NULL)) > 0)
        done += (uint64_t) n;
    assert(n == 0 && done == reader->size);
}

static void check_docker(struct archive_file *a, const struct oci_reference *ref)
{
    mvm_auto(image_source) source = NULL;
    mvm_autovalue(source_document) text = { 0 };
    mvm_autovalue(oci_document) doc = { 0 };

    if (docker_archive_source_new(a, ref, NULL, &source, NULL) < 0)
        return;
    assert(source->open_name(source, NULL, &text, NULL) == 0);
    assert(oci_document_parse(text.text, text.len, text.media_type, &doc, NULL) == 0);
    assert(!doc.is_index && oci_manifest_check_image(&doc.manifest, NULL) == 0);
    check_blob(source, &doc.manifest.config);
    for (size_t i = 0; i < doc.manifest.n_layers; i++)
        check_blob(source, &doc.manifest.layers[i]);
}

static void check_layout(struct archive_file *a)
{
    const struct oci_platform want = { .os = "linux", .architecture = "amd64" };
    mvm_auto(image_source) source = NULL;
    mvm_autovalue(source_document) text = { 0 };
    struct layout_files *files = NULL;

    if (archive_layout_new(a, &files, NULL) == 0 &&
        layout_source_new(files, NULL, &source, NULL) == 0)
        (void) source->open_name(source, &want, &text, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    mvm_autovalue(oci_reference) ref = { 0 };
    mvm_autoclose int store = memfd_create("store", MFD_CLOEXEC);
    struct archive_file *a = NULL;
    int fd;

    /* Compressed archives go through the same inflating as layers, and would need a folder. */
    if (size < 1)
        return 0;
    fd = memfd_create("archive", MFD_CLOEXEC);
    assert(fd >= 0 && store >= 0);
    assert(write(fd, data + 1, size - 1) == (ssize_t) size - 1);
    if (archive_file_new(fd, store, NULL, &a, NULL) < 0)
        return 0;
    if (data[0] == 'l') {
        check_layout(a);
        return 0;
    }
    assert(oci_reference_parse("example.com/app:1", &ref, NULL) == 0);
    check_docker(a, data[0] == 'n' ? &ref : NULL);
    return 0;
}
