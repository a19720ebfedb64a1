/* SPDX-License-Identifier: Apache-2.0 */
#include "image/test-store.h"

static void write_at(int dir_fd, const char *name, const char *text, off_t at)
{
    mvm_autoclose int fd = openat(dir_fd, name, O_WRONLY | O_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, text, strlen(text), at), (ssize_t) strlen(text));
}

static struct store_file file_of(const struct digest *diff_id, const char *suffix)
{
    return store_layer_file(store_layer_name(diff_id).text, suffix);
}

static bool has_file(const struct image_store *s, const struct digest *diff_id, const char *suffix)
{
    return sandbox_has(s->layers_fd, file_of(diff_id, suffix).text);
}

static void layer_is_found_as_it_was_committed(void **state)
{
    mvm_auto(image_store) s = test_store_open(*state);
    const struct digest d = test_digest("one"), none = test_digest("none");
    struct layer_sums sums = { .data_size = 0 };
    mvm_autoclose int pin = -EBADF, again = -EBADF;

    assert_int_equal(store_layer_find(s, &d, NULL, NULL, NULL), MVM_E_NOT_FOUND);
    assert_int_equal(test_layer_put(s, &d, "content", &pin), 0);
    assert_int_equal(store_layer_find(s, &d, &again, &sums, NULL), 0);
    assert_int_equal(sums.data_size, 7);
    assert_int_equal(sums.data_crc, crc64_add(0, "content", 7));
    assert_int_equal(sums.index_size, sizeof("an index"));
    assert_int_equal(store_layer_get(s, &none, NULL, NULL, NULL, NULL), MVM_E_NOT_FOUND);
}

static void layer_without_content_has_no_data(void **state)
{
    mvm_auto(image_store) s = test_store_open(*state);
    const struct digest d = test_digest("empty");
    mvm_autoclose int pin = -EBADF;

    assert_int_equal(test_layer_put(s, &d, "", &pin), 0);
    assert_false(has_file(s, &d, STORE_LAYER_DATA));
    assert_int_equal(store_layer_find(s, &d, NULL, NULL, NULL), 0);
}

/* Reads through what was touched, and finds it without reading afterwards. */
static void touched_layer_is_stamped_anew(void **state)
{
    mvm_auto(image_store) s = test_store_open(*state);
    const struct digest d = test_digest("one");
    mvm_autoclose int pin = -EBADF;
    struct stat before, after;

    assert_int_equal(test_layer_put(s, &d, "content", &pin), 0);
    write_at(s->layers_fd, file_of(&d, STORE_LAYER_DATA).text, "content", 0);
    assert_int_equal(fstat(pin, &before), 0);
    assert_int_equal(store_layer_find(s, &d, NULL, NULL, NULL), MVM_E_NOT_FOUND);
    assert_int_equal(store_layer_get(s, &d, NULL, NULL, NULL, NULL), 0);
    assert_int_equal(store_layer_find(s, &d, NULL, NULL, NULL), 0);
    /* Pins stay good: it is the same record. */
    assert_int_equal(fstatat(s->layers_fd, file_of(&d, STORE_LAYER_OK).text, &after, 0), 0);
    assert_int_equal(before.st_ino, after.st_ino);
}

static void damaged_layer_is_removed(void **state)
{
    static const struct {
        const char *suffix, *text; /* NULL: the file goes */
        off_t at;
    } cases[] = { { STORE_LAYER_DATA, "X", 3 },  { STORE_LAYER_INDEX, "X", 0 },
                  { STORE_LAYER_DATA, "X", 7 },  { STORE_LAYER_OK, "X", 40 },
                  { STORE_LAYER_DATA, NULL, 0 }, { STORE_LAYER_INDEX, NULL, 0 } };
    mvm_auto(image_store) s = test_store_open(*state);
    const struct digest d = test_digest("one");

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        const struct store_file file = file_of(&d, cases[i].suffix);
        mvm_autoclose int pin = -EBADF;

        assert_int_equal(test_layer_put(s, &d, "content", &pin), 0);
        if (cases[i].text)
            write_at(s->layers_fd, file.text, cases[i].text, cases[i].at);
        else
            assert_int_equal(unlinkat(s->layers_fd, file.text, 0), 0);
        assert_int_equal(store_layer_get(s, &d, NULL, NULL, NULL, NULL), MVM_E_DIGEST);
        assert_false(has_file(s, &d, STORE_LAYER_OK));
        assert_false(has_file(s, &d, STORE_LAYER_DATA));
        assert_false(has_file(s, &d, STORE_LAYER_INDEX));
        assert_int_equal(store_layer_get(s, &d, NULL, NULL, NULL, NULL), MVM_E_NOT_FOUND);
    }
}

static int cancel(void *user, const struct image_progress *progress)
{
    (void) user;
    (void) progress;
    return 1;
}

static void cancelled_look_removes_nothing(void **state)
{
    mvm_auto(image_store) s = test_store_open(*state);
    const struct digest d = test_digest("one");
    struct image_tick tick = { .fn = cancel };
    mvm_autoclose int pin = -EBADF;

    assert_int_equal(test_layer_put(s, &d, "content", &pin), 0);
    write_at(s->layers_fd, file_of(&d, STORE_LAYER_DATA).text, "CONTENT", 0);
    assert_int_equal(store_layer_get(s, &d, &tick, NULL, NULL, NULL), MVM_E_CANCELLED);
    assert_true(has_file(s, &d, STORE_LAYER_OK));
}

static void what_is_no_file_is_damage(void **state)
{
    mvm_auto(image_store) s = test_store_open(*state);
    static const char *const suffixes[] = { STORE_LAYER_OK, STORE_LAYER_DATA, STORE_LAYER_INDEX };
    const struct digest d = test_digest("one");

    for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++) {
        const struct store_file file = file_of(&d, suffixes[i]);
        mvm_autoclose int pin = -EBADF;

        assert_int_equal(test_layer_put(s, &d, "content", &pin), 0);
        assert_int_equal(unlinkat(s->layers_fd, file.text, 0), 0);
        assert_int_equal(symlinkat("/dev/null", s->layers_fd, file.text), 0);
        assert_int_equal(store_layer_find(s, &d, NULL, NULL, NULL), MVM_E_NOT_FOUND);
        assert_int_equal(store_layer_get(s, &d, NULL, NULL, NULL, NULL), MVM_E_DIGEST);
        assert_false(has_file(s, &d, STORE_LAYER_OK) || has_file(s, &d, STORE_LAYER_DATA) ||
                     has_file(s, &d, STORE_LAYER_INDEX));
    }
}

/* Folders where a layer that is just made has its files; that one has no record yet. */
static void layer_replaces_folders(void **state)
{
    mvm_auto(image_store) s = test_store_open(*state);
    static const char *const suffixes[] = { STORE_LAYER_OK, STORE_LAYER_DATA, STORE_LAYER_INDEX };
    const struct digest d = test_digest("one");
    mvm_autoclose int pin = -EBADF;

    for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++)
        assert_int_equal(mkdirat(s->layers_fd, file_of(&d, suffixes[i]).text, 0700), 0);
    assert_int_equal(test_layer_put(s, &d, "content", &pin), 0);
    assert_int_equal(store_layer_find(s, &d, NULL, NULL, NULL), 0);
}

/* Each of them waits for who has the lock, and can be called off. */
static void waiting_for_a_folder_can_be_cancelled(void **state)
{
    mvm_auto(image_store) s = test_store_open(*state);
    const struct digest d = test_image_put(s, NULL, 0);
    mvm_autoclose int top = openat(s->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    mvm_autoclose int refs = openat(s->refs_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    mvm_autovalue(store_temp) temp = STORE_TEMP_NONE;
    struct image_tick tick = { .fn = cancel };

    assert_int_equal(flock(top, LOCK_EX), 0);
    assert_int_equal(flock(refs, LOCK_EX), 0);
    assert_int_equal(store_temp_new(s, &tick, &temp, NULL), MVM_E_CANCELLED);
    assert_int_equal(store_discard_image(s, store_image_name(&d).text, -EBADF, &tick, NULL),
                     MVM_E_CANCELLED);
    assert_int_equal(store_ref_set(s, "a", "linux/amd64", &d, &tick, NULL), MVM_E_CANCELLED);
    assert_int_equal(store_ref_remove(s, "a.json", &d, &tick, NULL), MVM_E_CANCELLED);
    assert_true(sandbox_has(s->images_fd, store_image_name(&d).text));
}

static void lock_is_had_by_one(void **state)
{
    mvm_auto(image_store) s = test_store_open(*state);
    mvm_autovalue(store_lock) one = STORE_LOCK_NONE, two = STORE_LOCK_NONE;

    assert_int_equal(store_lock_take(s, "name", NULL, &one, NULL), 0);
    assert_int_equal(store_lock_try(s, "name", &two, NULL), MVM_E_BUSY);
    store_lock_deinit(&one);
    assert_int_equal(store_lock_try(s, "name", &two, NULL), 0);
    store_lock_deinit(&two);
    assert_false(sandbox_has(s->locks_fd, "name"));
}

static void image_is_loaded_with_a_lock(void **state)
{
    mvm_auto(image_store) s = test_store_open(*state);
    const struct digest layers[] = { test_digest("a"), test_digest("b") };
    const struct digest d = test_image_put(s, layers, 2);
    const struct gc g = { .store = s };
    mvm_auto(image) image = NULL;
    mvm_autoclose int fd = -EBADF;

    assert_int_equal(store_load_image(s, &d, NULL, &image, NULL), 0);
    assert_int_equal(image->config.n_diff_ids, 2);
    assert_true(digest_equal(&image->config.diff_ids[1], &layers[1]));
    assert_int_equal(gc_lock_image(&g, store_image_name(&d).text, &fd, NULL), MVM_E_BUSY);
    image_free(steal_ptr(&image));
    assert_int_equal(gc_lock_image(&g, store_image_name(&d).text, &fd, NULL), 0);
}

static void damaged_documents_are_no_image(void **state)
{
    mvm_auto(image_store) s = test_store_open(*state);
    const char *const files[] = { STORE_MANIFEST, STORE_CONFIG };

    for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
        const struct digest layer = test_digest("a"), d = test_image_put(s, &layer, 1);
        mvm_autoclose int folder = sandbox_open(s->images_fd, store_image_name(&d).text);
        mvm_autoerror mvm_error *err = NULL;
        struct image *image = NULL;

        write_at(folder, files[i], " ", 0);
        assert_int_equal(store_load_image(s, &d, NULL, &image, &err), MVM_E_NOT_FOUND);
        assert_non_null(strstr(mvm_error_message(err), "is damaged"));
        /* Made anew it takes the place of the damaged one. */
        (void) test_image_put(s, &layer, 1);
        assert_int_equal(store_load_image(s, &d, NULL, &image, NULL), 0);
        image_free(image);
    }
}

static size_t count_temps(struct image_store *s)
{
    mvm_autoclose int fd = openat(s->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fdopendir(steal_fd(&fd));
    size_t n = 0;

    assert_non_null(dir);
    for (const struct dirent *e; (e = readdir(dir)) != NULL;)
        n += strncmp(e->d_name, STORE_TEMP_PREFIX, strlen(STORE_TEMP_PREFIX)) == 0;
    (void) closedir(dir);
    return n;
}

static void image_in_use_is_put_away_and_goes_later(void **state)
{
    mvm_auto(image_store) s = test_store_open(*state);
    const struct digest layer = test_digest("a"), d = test_image_put(s, &layer, 1);
    mvm_auto(image) image = NULL;
    mvm_auto(image) none = NULL;

    assert_int_equal(store_load_image(s, &d, NULL, &image, NULL), 0);
    assert_int_equal(store_discard_image(s, store_image_name(&d).text, -EBADF, NULL, NULL), 0);
    assert_int_equal(store_load_image(s, &d, NULL, &none, NULL), MVM_E_NOT_FOUND);
    image_store_close(test_store_open(*state));
    assert_int_equal(count_temps(s), 1);
    assert_true(sandbox_has(image->lock_fd, STORE_MANIFEST));
    image_free(steal_ptr(&image));
    image_store_close(test_store_open(*state));
    assert_int_equal(count_temps(s), 0);
}

static void unknown_version_is_told(void **state)
{
    static const char *const bad[] = { "1\n", "3\n", "", "x\n", "2 \n", "22222222222222222222\n" };
    struct sandbox *sb = *state;
    mvm_autofree char *path = NULL;

    image_store_close(test_store_open(sb));
    image_store_close(test_store_open(sb));
    assert_int_equal(path_of_fd(sb->root_fd, &path, NULL), 0);
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        mvm_autoerror mvm_error *err = NULL;
        struct image_store *s = NULL;

        assert_int_equal(
            file_write(sb->root_fd, "image-store-version", bad[i], strlen(bad[i]), 0600, NULL), 0);
        assert_int_equal(image_store_open(path, &s, &err), MVM_E_UNSUPPORTED);
        assert_non_null(strstr(mvm_error_message(err), "purge the store: cd '"));
    }
}

static void images_of_the_first_form_are_removed(void **state)
{
    struct sandbox *sb = *state;

    assert_int_equal(mkdirat(sb->root_fd, "images", 0700), 0);
    assert_int_equal(mkdirat(sb->root_fd, "images/0123", 0700), 0);
    sandbox_write(sb->root_fd, "images/0123/rootfs.erofs", "x");
    image_store_close(test_store_open(sb));
    assert_false(sandbox_has(sb->root_fd, "images/0123"));
    assert_true(sandbox_has(sb->root_fd, "image-store-version"));
    /* With a version nothing is thrown away. */
    assert_int_equal(mkdirat(sb->root_fd, "images/0123", 0700), 0);
    image_store_close(test_store_open(sb));
    assert_true(sandbox_has(sb->root_fd, "images/0123"));
}

static int stop(void *user, const struct image_progress *progress)
{
    (void) user;
    (void) progress;
    return 1;
}

/* Who has the exclusive lock may be stopped, or busy. */
static void wait_for_an_image_is_cancelled(void **state)
{
    mvm_auto(image_store) s = test_store_open(*state);
    const struct digest d = test_image_put(s, NULL, 0);
    struct image_tick tick = { .fn = stop };
    mvm_autoclose int fd = -EBADF;
    mvm_auto(image) image = NULL;

    assert_int_equal(path_open_beneath(s->images_fd, store_image_name(&d).text,
                                       O_RDONLY | O_DIRECTORY, 0, &fd, NULL),
                     0);
    assert_int_equal(flock(fd, LOCK_EX), 0);
    assert_int_equal(store_load_image(s, &d, &tick, &image, NULL), MVM_E_CANCELLED);
    assert_int_equal(flock(fd, LOCK_UN), 0);
    assert_int_equal(store_load_image(s, &d, &tick, &image, NULL), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, sandbox_setup, sandbox_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(wait_for_an_image_is_cancelled),
        TEST(layer_is_found_as_it_was_committed),
        TEST(layer_without_content_has_no_data),
        TEST(touched_layer_is_stamped_anew),
        TEST(damaged_layer_is_removed),
        TEST(cancelled_look_removes_nothing),
        TEST(what_is_no_file_is_damage),
        TEST(layer_replaces_folders),
        TEST(waiting_for_a_folder_can_be_cancelled),
        TEST(lock_is_had_by_one),
        TEST(image_is_loaded_with_a_lock),
        TEST(damaged_documents_are_no_image),
        TEST(image_in_use_is_put_away_and_goes_later),
        TEST(unknown_version_is_told),
        TEST(images_of_the_first_form_are_removed),
    };

    return cmocka_run_group_tests_name("image-store", tests, NULL, NULL);
}
