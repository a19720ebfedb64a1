/* SPDX-License-Identifier: Apache-2.0 */
#include "base/crc64.h"
#include "base/file.h"
#include "base/io.h"
#include "base/path.h"
#include "base/test-sandbox.h"
#include "image/store-sums.h"

#include <fcntl.h>
#include <sys/stat.h>

static const char *const names[] = { "data", "index" };

static void put(const struct sandbox *sb, const char *name, const char *text)
{
    assert_int_equal(file_write(sb->root_fd, name, text, strlen(text), 0600, NULL), 0);
}

static struct sums sums_of(const char *data, const char *index)
{
    return (struct sums){
        .n = 2,
        .parts = { { .size = strlen(data), .crc = crc64_add(0, data, strlen(data)) },
                   { .size = strlen(index), .crc = crc64_add(0, index, strlen(index)) } }
    };
}

static void decode_undoes_encode(void **state)
{
    const struct sums sums = {
        .n = 2, .parts = { { 1, 2, 3, -4, 5 }, { UINT64_MAX, 7, 8, INT64_MAX, INT64_MIN } }
    };
    unsigned char data[SUMS_SIZE_MAX];
    struct sums back = { .n = 0 };
    size_t len = sums_encode(&sums, data);

    (void) state;
    assert_int_equal(len, SUMS_SIZE_MAX);
    assert_int_equal(sums_decode(data, len, 2, &back, NULL), 0);
    assert_int_equal(back.n, 2);
    assert_memory_equal(back.parts, sums.parts, sizeof(sums.parts));
}

static void every_flipped_bit_is_found(void **state)
{
    const struct sums sums = sums_of("content", "index");
    unsigned char data[SUMS_SIZE_MAX];
    struct sums back;
    size_t len = sums_encode(&sums, data);

    (void) state;
    for (size_t i = 0; i < len * 8; i++) {
        data[i / 8] ^= (unsigned char) (1 << i % 8);
        assert_int_equal(sums_decode(data, len, 2, &back, NULL), MVM_E_FORMAT);
        data[i / 8] ^= (unsigned char) (1 << i % 8);
    }
    for (size_t i = 0; i < len; i++)
        assert_int_equal(sums_decode(data, i, 2, &back, NULL), MVM_E_FORMAT);
    assert_int_equal(sums_decode(data, len, 1, &back, NULL), MVM_E_FORMAT);
}

static void stamps_fit_until_a_file_is_touched(void **state)
{
    struct sandbox *sb = *state;
    const struct timespec times[2] = { { .tv_sec = 1 }, { .tv_sec = 1 } };
    struct sums sums = sums_of("content", "index");

    put(sb, "data", "content");
    put(sb, "index", "index");
    assert_int_equal(sums_stamp(&sums, sb->root_fd, names, NULL), 0);
    assert_true(sums_fit(&sums, sb->root_fd, names));
    assert_int_equal(utimensat(sb->root_fd, "data", times, 0), 0);
    assert_false(sums_fit(&sums, sb->root_fd, names));
    assert_int_equal(sums_verify(&sums, sb->root_fd, names, NULL, NULL), 0);
    assert_int_equal(sums_stamp(&sums, sb->root_fd, names, NULL), 0);
    assert_true(sums_fit(&sums, sb->root_fd, names));
    put(sb, "index", "index"); /* another inode */
    assert_false(sums_fit(&sums, sb->root_fd, names));
    assert_int_equal(sums_verify(&sums, sb->root_fd, names, NULL, NULL), 0);
}

static void other_content_is_damage(void **state)
{
    struct sandbox *sb = *state;
    const struct sums sums = sums_of("content", "index");

    put(sb, "data", "content");
    put(sb, "index", "inDex");
    assert_int_equal(sums_verify(&sums, sb->root_fd, names, NULL, NULL), MVM_E_DIGEST);
    put(sb, "index", "index");
    put(sb, "data", "conten");
    assert_int_equal(sums_verify(&sums, sb->root_fd, names, NULL, NULL), MVM_E_DIGEST);
    put(sb, "data", "content+");
    assert_int_equal(sums_verify(&sums, sb->root_fd, names, NULL, NULL), MVM_E_DIGEST);
    assert_int_equal(sums_stamp(&(struct sums){ .n = 2, .parts = { { .size = 3 }, { .size = 5 } } },
                                sb->root_fd, names, NULL),
                     MVM_E_DIGEST);
    assert_int_equal(unlinkat(sb->root_fd, "data", 0), 0);
    assert_int_equal(sums_verify(&sums, sb->root_fd, names, NULL, NULL), MVM_E_NOT_FOUND);
    assert_int_equal(mkfifoat(sb->root_fd, "data", 0600), 0);
    assert_int_equal(sums_verify(&sums, sb->root_fd, names, NULL, NULL), MVM_E_DIGEST);
}

static void empty_part_needs_no_file(void **state)
{
    struct sandbox *sb = *state;
    struct sums sums = sums_of("", "index");

    put(sb, "index", "index");
    assert_int_equal(sums_stamp(&sums, sb->root_fd, names, NULL), 0);
    assert_true(sums_fit(&sums, sb->root_fd, names));
    assert_int_equal(sums_verify(&sums, sb->root_fd, names, NULL, NULL), 0);
}

static void record_on_disk_has_a_limit(void **state)
{
    struct sandbox *sb = *state;
    struct sums sums = sums_of("a", "b"), back;
    unsigned char data[SUMS_SIZE_MAX + 1] = { 0 };
    size_t len = sums_encode(&sums, data);

    assert_int_equal(sums_read(sb->root_fd, "ok", 2, &back, NULL), MVM_E_NOT_FOUND);
    assert_int_equal(file_write(sb->root_fd, "ok", data, len, 0600, NULL), 0);
    assert_int_equal(sums_read(sb->root_fd, "ok", 2, &back, NULL), 0);
    assert_int_equal(back.parts[1].crc, sums.parts[1].crc);
    assert_int_equal(file_write(sb->root_fd, "ok", data, len + 1, 0600, NULL), 0);
    assert_int_equal(sums_read(sb->root_fd, "ok", 2, &back, NULL), MVM_E_FORMAT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decode_undoes_encode),
        cmocka_unit_test(every_flipped_bit_is_found),
        cmocka_unit_test_setup_teardown(stamps_fit_until_a_file_is_touched, sandbox_setup,
                                        sandbox_teardown),
        cmocka_unit_test_setup_teardown(other_content_is_damage, sandbox_setup, sandbox_teardown),
        cmocka_unit_test_setup_teardown(empty_part_needs_no_file, sandbox_setup, sandbox_teardown),
        cmocka_unit_test_setup_teardown(record_on_disk_has_a_limit, sandbox_setup,
                                        sandbox_teardown),
    };

    return cmocka_run_group_tests_name("image-store-sums", tests, NULL, NULL);
}
