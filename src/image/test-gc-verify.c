/* SPDX-License-Identifier: Apache-2.0 */
#include "image/store-sums.h"
#include "image/test-gc.h"

static const struct image_gc_options verify = { .verify = true };

/* Flips a bit in the middle. */
static void flip(int dir_fd, const char *name)
{
    mvm_autoclose int fd = openat(dir_fd, name, O_RDWR | O_CLOEXEC);
    struct stat st;
    char byte;

    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(pread(fd, &byte, 1, st.st_size / 2), 1);
    byte ^= 1;
    assert_int_equal(pwrite(fd, &byte, 1, st.st_size / 2), 1);
}

/* Writes the times of the files as they are into the record, as if nobody had touched them. */
static void stamp(int dir_fd, const char *record, const char *const *names, size_t n)
{
    unsigned char data[SUMS_SIZE_MAX];
    struct sums sums;

    assert_int_equal(sums_read(dir_fd, record, n, &sums, NULL), 0);
    assert_int_equal(sums_stamp(&sums, dir_fd, names, NULL), 0);
    assert_int_equal(file_write(dir_fd, record, data, sums_encode(&sums, data), 0600, NULL), 0);
}

static void damage_layer(struct image_store *s, const struct digest *d, const char *suffix)
{
    const struct store_name name = store_layer_name(d);
    const struct store_file ok = store_layer_file(name.text, STORE_LAYER_OK);
    const struct store_file data = store_layer_file(name.text, STORE_LAYER_DATA);
    const struct store_file index = store_layer_file(name.text, STORE_LAYER_INDEX);
    const char *const names[] = { data.text, index.text };

    flip(s->layers_fd, store_layer_file(name.text, suffix).text);
    stamp(s->layers_fd, ok.text, names, 2);
    assert_true(has_layer(s, d)); /* as far as its times tell */
}

static void flipped_bit_of_a_layer_is_found(void **state)
{
    mvm_auto(image_store) s = test_store_open(*state);
    static const char *const suffixes[] = { STORE_LAYER_DATA, STORE_LAYER_INDEX };
    const struct digest layers[] = { test_digest("a"), test_digest("b") };
    struct digest d;
    char one[64];

    put_layer(s, &layers[1]);
    d = put_image(s, "x/y:z", layers, 2);
    for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++) {
        put_layer(s, &layers[0]);
        assert_gc_with(s, &verify, "");
        damage_layer(s, &layers[0], suffixes[i]);
        assert_gc(s, false, "");
        assert_gc_with(s, &verify, line(one, "damaged-layer", &layers[0]));
        assert_false(has_layer(s, &layers[0]));
        assert_true(has_layer(s, &layers[1]) && has_image(s, &d));
    }
}

static void record_that_is_damaged_takes_its_layer_along(void **state)
{
    mvm_auto(image_store) s = test_store_open(*state);
    const struct digest layer = test_digest("a");
    const struct store_name name = store_layer_name(&layer);
    char one[64];

    put_layer(s, &layer);
    (void) put_image(s, "x/y:z", &layer, 1);
    flip(s->layers_fd, store_layer_file(name.text, STORE_LAYER_OK).text);
    assert_gc_with(s, &verify, line(one, "damaged-layer", &layer));
    assert_false(sandbox_has(s->layers_fd, store_layer_file(name.text, STORE_LAYER_DATA).text));
}

static void damaged_documents_take_the_image(void **state)
{
    mvm_auto(image_store) s = test_store_open(*state);
    static const char *const files[] = { STORE_MANIFEST, STORE_CONFIG };

    for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
        const struct digest d = put_image(s, "x/y:z", NULL, 0);
        mvm_autoclose int fd = -EBADF;
        char one[64];

        assert_int_equal(store_open_image(s, store_image_name(&d).text, &fd, NULL), 0);
        flip(fd, files[i]);
        assert_gc_with(s, &verify, line(one, "damaged-image", &d));
        assert_false(has_image(s, &d));
    }
}

static void damaged_root_goes_and_its_image_stays(void **state)
{
    mvm_auto(image_store) s = test_store_open(*state);
    const struct digest d = put_image(s, "x/y:z", NULL, 0);
    const char *const names[] = { STORE_ROOT };
    struct sums sums = { .n = 1, .parts = { { .size = 4, .crc = crc64_add(0, "root", 4) } } };
    unsigned char data[SUMS_SIZE_MAX];
    mvm_autoclose int fd = -EBADF;
    char one[64];

    assert_int_equal(store_open_image(s, store_image_name(&d).text, &fd, NULL), 0);
    sandbox_write(fd, STORE_ROOT, "root");
    assert_int_equal(sums_stamp(&sums, fd, names, NULL), 0);
    assert_int_equal(file_write(fd, STORE_ROOT_OK, data, sums_encode(&sums, data), 0600, NULL), 0);
    assert_gc_with(s, &verify, "");
    flip(fd, STORE_ROOT);
    stamp(fd, STORE_ROOT_OK, names, 1);
    assert_gc_with(s, &verify, line(one, "damaged-root", &d));
    assert_false(sandbox_has(fd, STORE_ROOT) || sandbox_has(fd, STORE_ROOT_OK));
    assert_true(has_image(s, &d));
    assert_gc_with(s, &verify, "");
}

static void what_is_in_use_is_left_and_named(void **state)
{
    mvm_auto(image_store) s = test_store_open(*state);
    const struct digest layer = test_digest("a");
    mvm_auto(image) image = NULL;
    mvm_autoclose int pin = -EBADF;
    char one[64];
    struct digest d;

    put_layer(s, &layer);
    d = put_image(s, "x/y:z", &layer, 1);
    damage_layer(s, &layer, STORE_LAYER_DATA);
    assert_int_equal(store_load_image(s, &d, NULL, &image, NULL), 0);
    assert_gc_with(s, &verify, line(one, "kept-damaged", &d));
    assert_true(has_layer(s, &layer));
    image_free(steal_ptr(&image));
    assert_int_equal(store_layer_find(s, &layer, &pin, NULL, NULL), 0);
    assert_gc_with(s, &verify, line(one, "kept-damaged", &layer));
    assert_true(has_layer(s, &layer));
    (void) close(steal_fd(&pin));
    assert_gc_with(s, &verify, line(one, "damaged-layer", &layer));
}

/* A name of another file is a bit that was flipped as well. */
static void names_are_read_too(void **state)
{
    mvm_auto(image_store) s = test_store_open(*state);
    static const char *const bad[] = {
        "{", "{\"name\":\"x\",\"platform\":\"linux/amd64\",\"created\":1,\"digest\":\"sha256:"
             "0000000000000000000000000000000000000000000000000000000000000000\"}"
    };
    const struct digest d = put_image(s, "x/y:z", NULL, 0);
    struct digest found;

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct image_tick tick = { .fn = NULL };
        struct events e = { .text = "" };
        const struct gc g = { .store = s, .fn = on_removal, .user = &e, .tick = &tick };

        sandbox_write(s->refs_fd, "bad.json", bad[i]);
        assert_int_equal(gc_verify(&g, NULL), 0);
        assert_string_equal(e.text, "damaged-name bad.json\n");
        assert_false(sandbox_has(s->refs_fd, "bad.json"));
    }
    assert_int_equal(mkdirat(s->refs_fd, "bad.json", 0700), 0);
    assert_gc_with(s, &verify, "damaged-name bad.json\n");
    assert_int_equal(store_ref_get(s, "x/y:z", "linux/amd64", &found, NULL), 0);
    assert_true(digest_equal(&found, &d));
}

static int cancel(void *user, const struct image_progress *progress)
{
    (void) user;
    return progress->phase == IMAGE_PHASE_VERIFY;
}

static void reading_can_be_cancelled(void **state)
{
    mvm_auto(image_store) s = test_store_open(*state);
    const struct image_gc_options o = { .verify = true, .progress = cancel };
    const struct digest layer = test_digest("a");

    put_layer(s, &layer);
    (void) put_image(s, "x/y:z", &layer, 1);
    damage_layer(s, &layer, STORE_LAYER_DATA);
    assert_int_equal(image_gc(s, &o, NULL, NULL, NULL), MVM_E_CANCELLED);
    assert_true(has_layer(s, &layer));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, sandbox_setup, sandbox_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(flipped_bit_of_a_layer_is_found),  TEST(record_that_is_damaged_takes_its_layer_along),
        TEST(damaged_documents_take_the_image), TEST(damaged_root_goes_and_its_image_stays),
        TEST(what_is_in_use_is_left_and_named), TEST(names_are_read_too),
        TEST(reading_can_be_cancelled),
    };

    return cmocka_run_group_tests_name("image-gc-verify", tests, NULL, NULL);
}
