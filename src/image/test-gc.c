/* SPDX-License-Identifier: Apache-2.0 */
#include "image/test-gc.h"

#include <pthread.h>

static void named_images_and_their_layers_stay(void **state)
{
    mvm_auto(image_store) s = test_store_open(*state);
    const struct digest layers[] = { test_digest("a"), test_digest("b") };
    struct digest d;

    put_layer(s, &layers[0]);
    put_layer(s, &layers[1]);
    d = put_image(s, "x/y:z", layers, 2);
    assert_gc(s, false, "");
    assert_true(has_image(s, &d) && has_layer(s, &layers[0]) && has_layer(s, &layers[1]));
}

static void what_nothing_refers_to_goes(void **state)
{
    mvm_auto(image_store) s = test_store_open(*state);
    const struct digest shared = test_digest("a"), own = test_digest("b"), stray = test_digest("c");
    const struct digest pair[] = { shared, own };
    struct digest kept, gone;
    char one[64], two[64], three[64];
    struct events e = { .text = "" };

    put_layer(s, &shared);
    put_layer(s, &own);
    kept = put_image(s, "x/y:z", &shared, 1);
    gone = put_image(s, NULL, pair, 2);
    assert_int_equal(image_gc(s, NULL, on_removal, &e, NULL), 0);
    assert_true(e.bytes > 0);
    assert_non_null(strstr(e.text, line(one, "image", &gone)));
    assert_non_null(strstr(e.text, line(two, "layer", &own)));
    assert_true(has_image(s, &kept) && has_layer(s, &shared));
    assert_false(has_image(s, &gone) || has_layer(s, &own));
    put_layer(s, &stray);
    assert_gc(s, false, line(three, "layer", &stray));
}

static void image_in_use_is_kept_and_named(void **state)
{
    mvm_auto(image_store) s = test_store_open(*state);
    const struct digest layer = test_digest("a");
    mvm_auto(image) image = NULL;
    struct digest d;
    char one[64];

    put_layer(s, &layer);
    d = put_image(s, "x/y:z", &layer, 1);
    assert_int_equal(store_load_image(s, &d, NULL, &image, NULL), 0);
    assert_gc(s, true, line(one, "kept", &d));
    assert_true(has_image(s, &d) && has_layer(s, &layer));
    image_free(steal_ptr(&image));
    assert_gc(s, false, "");
    assert_int_equal(image_gc(s, &(struct image_gc_options){ .all = true }, NULL, NULL, NULL), 0);
    assert_false(has_image(s, &d) || has_layer(s, &layer));
    assert_int_equal(store_ref_get(s, "x/y:z", "linux/amd64", &d, NULL), MVM_E_NOT_FOUND);
}

static void pinned_layer_stays(void **state)
{
    mvm_auto(image_store) s = test_store_open(*state);
    const struct digest d = test_digest("a");
    mvm_autoclose int pin = -EBADF;
    char one[64];

    assert_int_equal(test_layer_put(s, &d, "content", &pin), 0);
    assert_gc(s, true, "");
    assert_true(has_layer(s, &d));
    (void) close(steal_fd(&pin));
    assert_gc(s, false, line(one, "layer", &d));
    assert_false(has_layer(s, &d));
}

static void remains_go_unless_their_maker_lives(void **state)
{
    mvm_auto(image_store) s = test_store_open(*state);
    const struct digest d = test_digest("a");
    const struct store_name name = store_layer_name(&d);
    mvm_autovalue(store_lock) lock = STORE_LOCK_NONE;
    char one[64];

    sandbox_write(s->layers_fd, store_layer_file(name.text, STORE_LAYER_DATA).text, "half");
    sandbox_write(s->locks_fd, "left-behind", "");
    assert_int_equal(store_lock_take(s, name.text, NULL, &lock, NULL), 0);
    assert_gc(s, false, "");
    store_lock_deinit(&lock);
    assert_gc(s, false, line(one, "litter", &d));
    assert_false(sandbox_has(s->layers_fd, store_layer_file(name.text, STORE_LAYER_DATA).text));
    assert_false(sandbox_has(s->locks_fd, "left-behind"));
}

static void name_without_an_image_goes(void **state)
{
    mvm_auto(image_store) s = test_store_open(*state);
    const struct digest d = test_digest("gone");

    assert_int_equal(store_ref_set(s, "x/y:z", "linux/amd64", &d, NULL, NULL), 0);
    assert_gc(s, false, "name x/y:z\n");
    assert_gc(s, false, "");
}

static void name_that_means_another_image_by_now_stays(void **state)
{
    mvm_auto(image_store) s = test_store_open(*state);
    mvm_autovalue(store_names) names = { .n = 0 };
    const struct digest old = put_image(s, "x/y:z", NULL, 0), layer = test_digest("a");
    struct events e = { .text = "" };
    const struct gc g = { .store = s, .fn = on_removal, .user = &e };
    struct digest now, found;

    assert_int_equal(store_names_read(s, &names, NULL), 0);
    assert_int_equal(names.n, 1);
    assert_true(digest_equal(&names.items[0].record.manifest, &old));
    now = put_image(s, "x/y:z", &layer, 1);
    assert_int_equal(gc_remove_name(&g, &names.items[0], NULL), 0);
    assert_string_equal(e.text, "");
    assert_int_equal(store_ref_get(s, "x/y:z", "linux/amd64", &found, NULL), 0);
    assert_true(digest_equal(&found, &now));
}

static void assert_remove(struct image_store *s, const char *name, bool force, int expected,
                          const char *events)
{
    struct events e = { .text = "" };

    assert_int_equal(image_remove(s, name, force, on_removal, &e, NULL), expected);
    assert_string_equal(e.text, events);
}

static void last_name_takes_the_image_along(void **state)
{
    mvm_auto(image_store) s = test_store_open(*state);
    const struct digest shared = test_digest("a"), own = test_digest("b");
    const struct digest pair[] = { shared, own };
    char one[64], two[64], all[256];
    struct digest d;

    put_layer(s, &shared);
    put_layer(s, &own);
    (void) put_image(s, "example.org/other:1", &shared, 1);
    d = put_image(s, "example.org/x:1", pair, 2);
    assert_int_equal(store_ref_set(s, "example.org/x:2", "linux/amd64", &d, NULL, NULL), 0);
    assert_remove(s, "example.org/x:3", false, MVM_E_NOT_FOUND, "");
    assert_remove(s, "example.org/x:1", false, 0, "name example.org/x:1\n");
    assert_true(has_image(s, &d));
    (void) snprintf(all, sizeof(all), "name example.org/x:2\n%s%s", line(one, "image", &d),
                    line(two, "layer", &own));
    assert_remove(s, "example.org/x:2", false, 0, all);
    assert_true(has_layer(s, &shared));
    assert_false(has_layer(s, &own));
}

static void digest_means_all_names(void **state)
{
    mvm_auto(image_store) s = test_store_open(*state);
    const struct digest layer = test_digest("a");
    struct digest_text text;
    char prefix[16];
    struct digest d;

    put_layer(s, &layer);
    d = put_image(s, "example.org/x:1", &layer, 1);
    assert_int_equal(store_ref_set(s, "example.org/x:2", "linux/amd64", &d, NULL, NULL), 0);
    text = digest_format(&d);
    assert_remove(s, text.text, false, MVM_E_BUSY, "");
    (void) snprintf(prefix, sizeof(prefix), "%.3s", digest_hex(&text));
    assert_remove(s, prefix, true, MVM_E_NOT_FOUND, "");
    (void) snprintf(prefix, sizeof(prefix), "%.4s", digest_hex(&text));
    assert_int_equal(image_remove(s, prefix, true, NULL, NULL, NULL), 0);
    assert_false(has_image(s, &d) || has_layer(s, &layer));
}

static void image_in_use_loses_its_name_by_force_alone(void **state)
{
    mvm_auto(image_store) s = test_store_open(*state);
    const struct digest layer = test_digest("a");
    mvm_auto(image) image = NULL;
    struct digest d;

    put_layer(s, &layer);
    d = put_image(s, "example.org/x:1", &layer, 1);
    assert_int_equal(store_load_image(s, &d, NULL, &image, NULL), 0);
    assert_remove(s, "example.org/x:1", false, MVM_E_BUSY, "");
    assert_remove(s, "example.org/x:1", true, 0, "name example.org/x:1\n");
    assert_true(has_image(s, &d) && has_layer(s, &layer));
}

static void sizes_count_shared_layers_once(void **state)
{
    mvm_auto(image_store) s = test_store_open(*state);
    const struct digest shared = test_digest("a"), own = test_digest("b");
    const struct digest pair[] = { shared, own };
    struct image_record *records = NULL;
    uint64_t total = 0, own_bytes, shared_bytes;
    size_t n = 0;

    put_layer(s, &shared);
    put_layer(s, &own);
    (void) put_image(s, "a", &shared, 1);
    (void) put_image(s, "b", pair, 2);
    shared_bytes = store_layer_bytes(s, store_layer_name(&shared).text);
    own_bytes = store_layer_bytes(s, store_layer_name(&own).text);
    assert_true(shared_bytes > 0 && own_bytes > 0);
    assert_int_equal(image_list(s, &records, &n, &total, NULL), 0);
    assert_int_equal(n, 2);
    assert_string_equal(records[0].name, "a");
    assert_int_equal(records[0].size - records[0].unique, shared_bytes);
    assert_int_equal(records[1].size - records[1].unique, shared_bytes);
    assert_int_equal(records[0].size + records[1].unique, total);
    image_list_free(records, n);
}

/* A pull in a thread: pins its layer, puts the image there, names it, looks whether all is there.
 */
#define RACE_ROUNDS 200

static void *pull_again_and_again(void *user)
{
    struct image_store *s = user;
    const struct digest layer = test_digest("a");
    intptr_t failures = 0;

    for (unsigned i = 0; i < RACE_ROUNDS; i++) {
        mvm_autoclose int pin = -EBADF;
        mvm_auto(image) image = NULL;
        mvm_auto(image) again = NULL;
        struct digest d;

        if (store_layer_get(s, &layer, NULL, &pin, NULL, NULL) < 0 &&
            test_layer_put(s, &layer, "content", &pin) < 0)
            failures++;
        d = test_image_put(s, &layer, 1);
        if (store_load_image(s, &d, NULL, &image, NULL) < 0)
            continue; /* gone already, with nothing that anybody relies on */
        /* As long as it is loaded, nothing of it goes. */
        failures += store_layer_get(s, &layer, NULL, NULL, NULL, NULL) < 0;
        failures += store_load_image(s, &d, NULL, &again, NULL) < 0;
    }
    return (void *) failures;
}

static void gc_and_a_pull_at_once_lose_nothing(void **state)
{
    mvm_auto(image_store) s = test_store_open(*state);
    mvm_auto(image_store) other = test_store_open(*state);
    pthread_t thread;
    void *failures = NULL;

    assert_int_equal(pthread_create(&thread, NULL, pull_again_and_again, other), 0);
    for (unsigned i = 0; i < RACE_ROUNDS; i++)
        assert_int_equal(image_gc(s, &(struct image_gc_options){ .all = true }, NULL, NULL, NULL),
                         0);
    assert_int_equal(pthread_join(thread, &failures), 0);
    assert_int_equal((intptr_t) failures, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, sandbox_setup, sandbox_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(named_images_and_their_layers_stay),
        TEST(what_nothing_refers_to_goes),
        TEST(image_in_use_is_kept_and_named),
        TEST(pinned_layer_stays),
        TEST(remains_go_unless_their_maker_lives),
        TEST(name_without_an_image_goes),
        TEST(name_that_means_another_image_by_now_stays),
        TEST(last_name_takes_the_image_along),
        TEST(digest_means_all_names),
        TEST(image_in_use_loses_its_name_by_force_alone),
        TEST(sizes_count_shared_layers_once),
        TEST(gc_and_a_pull_at_once_lose_nothing),
    };

    return cmocka_run_group_tests_name("image-gc", tests, NULL, NULL);
}
