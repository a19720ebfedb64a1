/* SPDX-License-Identifier: Apache-2.0 */
#include "image/test-gc.h"

#include <time.h>

#define HOUR 3600

/* Three images with a layer each, and one of all; "old" was used first, "new" last. */
struct stored {
    struct digest layers[4]; /* of old, middle, new; and of all of them */
    struct digest images[3];
    uint64_t bytes[3]; /* of an image and its layer */
    uint64_t shared;
};

static void set_used(struct image_store *s, const struct digest *image, int64_t age_s)
{
    const struct timespec times[2] = { { .tv_sec = time(NULL) - age_s },
                                       { .tv_sec = time(NULL) - age_s } };
    mvm_autoclose int fd = -EBADF;

    assert_int_equal(store_open_image(s, store_image_name(image).text, &fd, NULL), 0);
    store_image_touch(fd);
    assert_int_equal(utimensat(fd, STORE_USED, times, 0), 0);
}

static void fill(struct image_store *s, struct stored *to)
{
    static const char *const names[] = { "old", "middle", "new" };

    to->layers[3] = test_digest("shared");
    put_layer(s, &to->layers[3]);
    to->shared = store_layer_bytes(s, store_layer_name(&to->layers[3]).text);
    for (int i = 0; i < 3; i++) {
        mvm_autoclose int fd = -EBADF;

        to->layers[i] = test_digest(names[i]);
        put_layer(s, &to->layers[i]);
        to->images[i] = put_image(s, names[i], (struct digest[]){ to->layers[3], to->layers[i] },
                                  2);
        set_used(s, &to->images[i], (3 - i) * HOUR - 60);
        assert_int_equal(store_open_image(s, store_image_name(&to->images[i]).text, &fd, NULL), 0);
        to->bytes[i] = store_image_bytes(fd) +
                       store_layer_bytes(s, store_layer_name(&to->layers[i]).text);
    }
}

/* What is told of an image that goes; the layers come after all images. */
static void expect_image(char *text, size_t size, const struct stored *from, int i)
{
    static const char *const names[] = { "old", "middle", "new" };
    size_t n = strlen(text);
    char one[64];

    (void) snprintf(text + n, size - n, "name %s\n%s", names[i],
                    line(one, "image", &from->images[i]));
}

static void assert_left(struct image_store *s, const struct stored *from, int first)
{
    for (int i = 0; i < 3; i++) {
        assert_int_equal(has_image(s, &from->images[i]), i >= first);
        assert_int_equal(has_layer(s, &from->layers[i]), i >= first);
    }
    assert_int_equal(has_layer(s, &from->layers[3]), first < 3);
}

static void images_go_until_the_rest_fits(void **state)
{
    mvm_auto(image_store) s = test_store_open(*state);
    struct image_gc_options o = { .keep_bytes = 0 };
    char text[512] = "", one[64];
    size_t n;
    struct stored st;
    uint64_t all;

    fill(s, &st);
    all = st.bytes[0] + st.bytes[1] + st.bytes[2] + st.shared;
    o.keep_bytes = all;
    assert_gc_with(s, &o, "");
    o.keep_bytes = all - 1;
    expect_image(text, sizeof(text), &st, 0);
    n = strlen(text);
    (void) snprintf(text + n, sizeof(text) - n, "%s", line(one, "layer", &st.layers[0]));
    assert_gc_with(s, &o, text);
    assert_left(s, &st, 1);
    /* What both have is counted once, and stays as long as one of them. */
    o.keep_bytes = st.bytes[2] + st.shared;
    assert_int_equal(image_gc(s, &o, NULL, NULL, NULL), 0);
    assert_left(s, &st, 2);
    o.keep_bytes = 1;
    assert_int_equal(image_gc(s, &o, NULL, NULL, NULL), 0);
    assert_left(s, &st, 3);
}

static void images_go_that_nobody_used_for_long(void **state)
{
    mvm_auto(image_store) s = test_store_open(*state);
    struct image_gc_options o = { .older_than_s = 3 * HOUR };
    struct stored st;

    fill(s, &st);
    assert_gc_with(s, &o, "");
    o.older_than_s = UINT64_MAX;
    assert_gc_with(s, &o, "");
    o.older_than_s = HOUR;
    assert_int_equal(image_gc(s, &o, NULL, NULL, NULL), 0);
    assert_left(s, &st, 2);
}

static void image_in_use_is_spared_and_the_next_goes(void **state)
{
    mvm_auto(image_store) s = test_store_open(*state);
    mvm_auto(image) image = NULL;
    struct image_gc_options o = { .older_than_s = 0 };
    struct events e = { .text = "" };
    struct stored st;
    char one[64];

    fill(s, &st);
    assert_int_equal(store_load_image(s, &st.images[0], NULL, &image, NULL), 0);
    o.keep_bytes = st.bytes[0] + st.bytes[2] + st.shared;
    assert_int_equal(image_gc(s, &o, on_removal, &e, NULL), 0);
    assert_non_null(strstr(e.text, line(one, "kept", &st.images[0])));
    assert_true(has_image(s, &st.images[0]) && has_layer(s, &st.layers[0]));
    assert_false(has_image(s, &st.images[1]) || has_layer(s, &st.layers[1]));
    assert_true(has_image(s, &st.images[2]));
    assert_gc_with(s, &(struct image_gc_options){ .older_than_s = HOUR },
                   line(one, "kept", &st.images[0]));
    assert_true(has_image(s, &st.images[0]) && has_layer(s, &st.layers[0]));
}

static void image_without_a_stamp_was_used_when_it_was_made(void **state)
{
    mvm_auto(image_store) s = test_store_open(*state);
    const struct timespec times[2] = { { .tv_sec = 1000000, .tv_nsec = 7 },
                                       { .tv_sec = 1000000, .tv_nsec = 7 } };
    const struct digest d = put_image(s, "x", NULL, 0);
    mvm_autoclose int fd = -EBADF;
    int64_t now_ns = (int64_t) time(NULL) * 1000000000;

    assert_int_equal(store_open_image(s, store_image_name(&d).text, &fd, NULL), 0);
    assert_false(sandbox_has(fd, STORE_USED));
    assert_int_equal(utimensat(fd, STORE_MANIFEST, times, 0), 0);
    assert_int_equal(store_image_used_ns(fd), 1000000000000007);
    store_image_touch(fd);
    assert_true(store_image_used_ns(fd) >= now_ns);
}

static void stamp_is_written_once_a_minute(void **state)
{
    mvm_auto(image_store) s = test_store_open(*state);
    const struct digest d = put_image(s, "x", NULL, 0);
    mvm_autoclose int fd = -EBADF;
    int64_t lately;

    assert_int_equal(store_open_image(s, store_image_name(&d).text, &fd, NULL), 0);
    set_used(s, &d, 30);
    lately = store_image_used_ns(fd);
    store_image_touch(fd);
    assert_int_equal(store_image_used_ns(fd), lately);
    /* Too long ago, and a clock that was wrong. */
    for (int64_t age = -HOUR; age <= 90; age += HOUR + 90) {
        int64_t before;

        set_used(s, &d, age);
        before = store_image_used_ns(fd);
        store_image_touch(fd);
        assert_int_not_equal(store_image_used_ns(fd), before);
    }
    /* Nothing is written through a link. */
    assert_int_equal(unlinkat(fd, STORE_USED, 0), 0);
    assert_int_equal(symlinkat(STORE_CONFIG, fd, STORE_USED), 0);
    store_image_touch(fd);
    assert_false(path_is_odd(fd, STORE_USED));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, sandbox_setup, sandbox_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(images_go_until_the_rest_fits),
        TEST(images_go_that_nobody_used_for_long),
        TEST(image_in_use_is_spared_and_the_next_goes),
        TEST(image_without_a_stamp_was_used_when_it_was_made),
        TEST(stamp_is_written_once_a_minute),
    };

    return cmocka_run_group_tests_name("image-gc-evict", tests, NULL, NULL);
}
