/* SPDX-License-Identifier: Apache-2.0 */
/* A store in a fresh folder, and layers and images made without a source. */
#ifndef IMAGE_TEST_STORE_H
#define IMAGE_TEST_STORE_H

#include "base/crc64.h"
#include "base/file.h"
#include "base/io.h"
#include "base/path.h"
#include "base/strbuf.h"
#include "base/test-sandbox.h"
#include "image/store-gc.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

static inline struct image_store *test_store_open(const struct sandbox *sb)
{
    mvm_autofree char *path = NULL;
    mvm_autoerror mvm_error *err = NULL;
    struct image_store *s = NULL;

    assert_int_equal(path_of_fd(sb->root_fd, &path, NULL), 0);
    if (image_store_open(path, &s, &err) < 0)
        fail_msg("%s", mvm_error_message(err));
    return s;
}

static inline struct digest test_digest(const char *text)
{
    struct digest d;

    assert_int_equal(digest_of(DIGEST_SHA256, text, strlen(text), &d, NULL), 0);
    return d;
}

/* Writes a layer whose data are @content, and one that has none for "". */
static inline int test_layer_put(struct image_store *s, const struct digest *diff_id,
                                 const char *content, int *ret_pin)
{
    const struct store_name name = store_layer_name(diff_id);
    mvm_autovalue(store_temp) temp = STORE_TEMP_NONE;
    mvm_autovalue(store_lock) lock = STORE_LOCK_NONE;
    mvm_autovalue(store_layer_draft) draft = STORE_LAYER_DRAFT_NONE;
    static const char index[] = "an index";
    const struct layer_sums sums = { .data_size = strlen(content),
                                     .data_crc = crc64_add(0, content, strlen(content)),
                                     .index_size = sizeof(index),
                                     .index_crc = crc64_add(0, index, sizeof(index)) };

    assert_int_equal(store_lock_take(s, name.text, NULL, &lock, NULL), 0);
    assert_int_equal(store_temp_new(s, NULL, &temp, NULL), 0);
    assert_int_equal(store_layer_begin(&temp, diff_id, &draft, NULL), 0);
    assert_int_equal(io_write_all(draft.data_fd, content, strlen(content), NULL), 0);
    assert_int_equal(io_write_all(draft.index_fd, index, sizeof(index), NULL), 0);
    return store_layer_commit(&draft, &sums, NULL, ret_pin, NULL);
}

/* Puts an image of these layers into the store; gives the digest of its manifest. */
static inline struct digest test_image_put(struct image_store *s, const struct digest *diff_ids,
                                           size_t n)
{
    static const char layer[] =
        "{\"mediaType\":\"application/vnd.oci.image.layer.v1.tar\",\"size\":1,\"digest\":\"%s\"}";
    mvm_autovalue(strbuf) config = STRBUF_INIT(1 << 16);
    mvm_autovalue(strbuf) manifest = STRBUF_INIT(1 << 16);
    mvm_autovalue(store_temp) temp = STORE_TEMP_NONE;
    mvm_auto(image) image = NULL;
    struct digest digest;

    strbuf_adds(&config,
                "{\"os\":\"linux\",\"architecture\":\"amd64\",\"rootfs\":{\"type\":\"layers\","
                "\"diff_ids\":[");
    for (size_t i = 0; i < n; i++)
        strbuf_addf(&config, "%s\"%s\"", i ? "," : "", digest_format(&diff_ids[i]).text);
    strbuf_adds(&config, "]}}");
    assert_int_equal(digest_of(DIGEST_SHA256, config.data, config.len, &digest, NULL), 0);
    strbuf_addf(
        &manifest,
        "{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\","
        "\"config\":{\"mediaType\":\"application/vnd.oci.image.config.v1+json\",\"size\":%zu,"
        "\"digest\":\"%s\"},\"layers\":[",
        config.len, digest_format(&digest).text);
    for (size_t i = 0; i < n; i++) {
        strbuf_adds(&manifest, i ? "," : "");
        strbuf_addf(&manifest, layer, digest_format(&diff_ids[i]).text);
    }
    strbuf_adds(&manifest, "]}");
    assert_int_equal(digest_of(DIGEST_SHA256, manifest.data, manifest.len, &digest, NULL), 0);
    assert_int_equal(store_temp_new(s, NULL, &temp, NULL), 0);
    assert_int_equal(file_write(temp.fd, STORE_CONFIG, config.data, config.len, 0600, NULL), 0);
    assert_int_equal(file_write(temp.fd, STORE_MANIFEST, manifest.data, manifest.len, 0600, NULL),
                     0);
    assert_int_equal(store_commit_image(&temp, &digest, NULL, &image, NULL), 0);
    return digest;
}

#endif
