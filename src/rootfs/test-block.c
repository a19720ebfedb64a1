/* SPDX-License-Identifier: Apache-2.0 */
#include "rootfs/block.h"

#include "image/layer-index.h"
#include "image/test-store.h"

/* One file of @blocks blocks, or none for 0. */
static void layer_write(const struct store_layer_draft *draft, const char *path, uint64_t blocks,
                        struct layer_sums *ret)
{
    const struct layer_record record = { .kind = LAYER_FILE,
                                         .path = path,
                                         .path_len = (uint16_t) strlen(path),
                                         .link = "",
                                         .mode = 0644,
                                         .size = blocks * LAYER_BLOCK };
    const struct layer_totals totals = { .data_blocks = blocks, .file_bytes = record.size };
    mvm_auto(layer_writer) w = NULL;
    mvm_autofree char *data = calloc(1, blocks * LAYER_BLOCK + 1);
    mvm_autofree char *index = NULL;
    size_t len = 0;

    assert_int_equal(io_write_all(draft->data_fd, data, blocks * LAYER_BLOCK, NULL), 0);
    assert_int_equal(layer_writer_new(draft->index_fd, &w, NULL), 0);
    if (blocks > 0)
        assert_int_equal(layer_writer_add(w, &record, NULL), 0);
    assert_int_equal(layer_writer_finish(w, &totals, NULL), 0);
    assert_int_equal(lseek(draft->index_fd, 0, SEEK_SET), 0);
    assert_int_equal(io_read_all(draft->index_fd, 1 << 20, &index, &len, NULL), 0);
    *ret = (struct layer_sums){ .data_size = blocks * LAYER_BLOCK,
                                .data_crc = crc64_add(0, data, blocks * LAYER_BLOCK),
                                .index_size = len,
                                .index_crc = crc64_add(0, index, len) };
}

static void layer_put(struct image_store *s, const struct digest *d, const char *path,
                      uint64_t blocks)
{
    mvm_autovalue(store_temp) temp = STORE_TEMP_NONE;
    mvm_autovalue(store_layer_draft) draft = STORE_LAYER_DRAFT_NONE;
    mvm_autoclose int pin = -EBADF;
    struct layer_sums sums;

    assert_int_equal(store_temp_new(s, NULL, &temp, NULL), 0);
    assert_int_equal(store_layer_begin(&temp, d, &draft, NULL), 0);
    layer_write(&draft, path, blocks, &sums);
    assert_int_equal(store_layer_commit(&draft, &sums, NULL, &pin, NULL), 0);
}

/* Three layers, the middle one without content, and the first one once more. */
static struct image *image_put(struct image_store *s)
{
    const struct digest a = test_digest("a"), b = test_digest("b"), c = test_digest("c");
    const struct digest all[] = { a, b, c, a };
    struct image *image = NULL;
    struct digest d;

    layer_put(s, &a, "file", 2);
    layer_put(s, &b, "", 0);
    layer_put(s, &c, "other", 3);
    d = test_image_put(s, all, ARRAY_SIZE(all));
    assert_int_equal(store_load_image(s, &d, NULL, &image, NULL), 0);
    return image;
}

static int count(void *user, const struct image_progress *p)
{
    unsigned *builds = user;

    *builds += p->phase == IMAGE_PHASE_BUILD;
    return 0;
}

static void assert_open(struct image_store *s, const struct image *image)
{
    static const uint64_t sizes[] = { 0, 2 * LAYER_BLOCK, 3 * LAYER_BLOCK, 2 * LAYER_BLOCK };
    mvm_autovalue(rootfs_block) b = { .n = 0 };
    mvm_autoerror mvm_error *err = NULL;

    if (rootfs_block_open(s, image, NULL, NULL, &b, &err) < 0)
        fail_msg("%s", mvm_error_message(err));
    assert_int_equal(b.n, ARRAY_SIZE(sizes));
    for (size_t i = 0; i < b.n; i++) {
        struct stat st;

        assert_int_equal(stat(b.extents[i].path, &st), 0);
        assert_int_equal(st.st_size, b.extents[i].size);
        if (i > 0)
            assert_int_equal(b.extents[i].size, sizes[i]);
    }
    assert_true(b.extents[0].size > 0 && b.extents[0].size % 4096 == 0);
    assert_string_equal(b.extents[1].path, b.extents[3].path);
}

static void extents_are_the_names_and_then_the_layers(void **state)
{
    mvm_auto(image_store) s = test_store_open(*state);
    mvm_auto(image) image = image_put(s);

    assert_open(s, image);
    assert_true(sandbox_has(image->lock_fd, "root.ok"));
}

static void names_are_made_once(void **state)
{
    mvm_auto(image_store) s = test_store_open(*state);
    mvm_auto(image) image = image_put(s);
    struct stat before, after;

    assert_open(s, image);
    assert_int_equal(fstatat(image->lock_fd, "root.erofs", &before, 0), 0);
    assert_open(s, image);
    assert_int_equal(fstatat(image->lock_fd, "root.erofs", &after, 0), 0);
    assert_int_equal(before.st_ino, after.st_ino);
}

static void damaged_names_are_made_anew(void **state)
{
    mvm_auto(image_store) s = test_store_open(*state);
    mvm_auto(image) image = image_put(s);
    const char *const files[] = { "root.erofs", "root.ok" };

    assert_open(s, image);
    for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
        mvm_autofree char *before = NULL;
        mvm_autofree char *after = NULL;
        size_t len = 0, again = 0;

        assert_int_equal(file_read(image->lock_fd, "root.erofs", 1 << 20, &before, &len, NULL), 0);
        assert_int_equal(file_write(image->lock_fd, files[i], "x", 1, 0600, NULL), 0);
        sandbox_write(image->lock_fd, "root.new", "left by a kill");
        assert_open(s, image);
        assert_int_equal(file_read(image->lock_fd, "root.erofs", 1 << 20, &after, &again, NULL), 0);
        assert_int_equal(len, again);
        assert_memory_equal(before, after, len);
    }
}

static void touched_names_are_kept(void **state)
{
    mvm_auto(image_store) s = test_store_open(*state);
    mvm_auto(image) image = image_put(s);
    const struct timespec times[2] = { { .tv_sec = 1 }, { .tv_sec = 1 } };
    mvm_autovalue(rootfs_block) b = { .n = 0 };
    unsigned builds = 0;

    assert_open(s, image);
    assert_int_equal(utimensat(image->lock_fd, "root.erofs", times, 0), 0);
    assert_int_equal(rootfs_block_open(s, image, count, &builds, &b, NULL), 0);
    assert_int_equal(builds, 0);
}

static void damaged_layer_is_told(void **state)
{
    mvm_auto(image_store) s = test_store_open(*state);
    mvm_auto(image) image = image_put(s);
    const struct store_name name = store_layer_name(&image->config.diff_ids[2]);
    mvm_autovalue(rootfs_block) b = { .n = 0 };
    mvm_autoerror mvm_error *err = NULL;

    assert_int_equal(unlinkat(s->layers_fd, store_layer_file(name.text, STORE_LAYER_DATA).text, 0),
                     0);
    assert_int_equal(rootfs_block_open(s, image, NULL, NULL, &b, &err), MVM_E_DIGEST);
    assert_non_null(strstr(mvm_error_message(err), "layer 3 of 4, diffID sha256:"));
    mvm_error_free(steal_ptr(&err));
    assert_int_equal(rootfs_block_open(s, image, NULL, NULL, &b, &err), MVM_E_DIGEST);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, sandbox_setup, sandbox_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(extents_are_the_names_and_then_the_layers),
        TEST(names_are_made_once),
        TEST(damaged_names_are_made_anew),
        TEST(touched_names_are_kept),
        TEST(damaged_layer_is_told),
    };

    return cmocka_run_group_tests_name("rootfs-block", tests, NULL, NULL);
}
