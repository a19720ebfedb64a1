/* SPDX-License-Identifier: Apache-2.0 */
#include "image/layer-data.h"

#include "base/crc64.h"
#include "image/layer-index.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cmocka.h>

static int memory_file(void)
{
    int fd = memfd_create("data", MFD_CLOEXEC);

    assert_true(fd >= 0);
    return fd;
}

/* The finished file is @want, its sum that of @want. */
static void expect_file(struct layer_data *d, const unsigned char *want, size_t len)
{
    mvm_autofree unsigned char *got = malloc(len + 1);
    struct stat st;

    assert_int_equal(layer_data_finish(d, NULL), 0);
    assert_int_equal(d->at, len);
    assert_int_equal(fstat(d->fd, &st), 0);
    assert_int_equal(st.st_size, len);
    assert_int_equal(pread(d->fd, got, len, 0), len);
    assert_memory_equal(got, want, len);
    assert_int_equal(d->crc, crc64_add(0, want, len));
}

static void small_contents_share_large_writes(void **state)
{
    const size_t n = 2000, size = 3000;
    mvm_autofree unsigned char *want = calloc(n, LAYER_BLOCK);
    mvm_autoclose int fd = memory_file();
    mvm_autovalue(layer_data) d = { 0 };

    (void) state;
    assert_int_equal(layer_data_init(&d, fd, NULL), 0);
    for (size_t i = 0; i < n; i++) {
        memset(want + i * LAYER_BLOCK, (int) i + 1, size);
        assert_int_equal(layer_data_block(&d), i);
        assert_int_equal(layer_data_add(&d, want + i * LAYER_BLOCK, size, NULL), 0);
        assert_int_equal(layer_data_end(&d, NULL), 0);
    }
    expect_file(&d, want, n * LAYER_BLOCK);
    assert_int_equal(d.calls, (n * LAYER_BLOCK + LAYER_DATA_BUFFER - 1) / LAYER_DATA_BUFFER);
}

static void zeros_count_wherever_they_begin_and_end(void **state)
{
    static const size_t before[] = { 0, 1, 4095, 4096, LAYER_DATA_BUFFER - 1 };
    static const size_t zeros[] = { 0,
                                    1,
                                    4095,
                                    LAYER_DATA_HOLE_MIN - 1,
                                    LAYER_DATA_HOLE_MIN,
                                    LAYER_DATA_HOLE_MIN + 1,
                                    1000000,
                                    1048576 };
    mvm_autofree unsigned char *want = calloc(1, 2u << 20);

    (void) state;
    for (size_t i = 0; i < ARRAY_SIZE(before); i++)
        for (size_t k = 0; k < ARRAY_SIZE(zeros); k++) {
            mvm_autoclose int fd = memory_file();
            mvm_autovalue(layer_data) d = { 0 };
            size_t end = before[i] + zeros[k] + 5;

            memset(want, 0, 2u << 20);
            memset(want, 'b', before[i]);
            memset(want + end - 5, 'e', 5);
            assert_int_equal(layer_data_init(&d, fd, NULL), 0);
            assert_int_equal(layer_data_add(&d, want, before[i], NULL), 0);
            assert_int_equal(layer_data_add_zeros(&d, zeros[k], NULL), 0);
            assert_int_equal(layer_data_add(&d, "eeeee", 5, NULL), 0);
            assert_int_equal(layer_data_end(&d, NULL), 0);
            expect_file(&d, want, (end + LAYER_BLOCK - 1) / LAYER_BLOCK * LAYER_BLOCK);
        }
}

static void holes_stay_holes(void **state)
{
    mvm_autoclose int fd = memory_file();
    mvm_autovalue(layer_data) d = { 0 };
    const uint64_t hole = UINT64_C(6) << 30;
    struct stat st;

    (void) state;
    assert_int_equal(layer_data_init(&d, fd, NULL), 0);
    assert_int_equal(layer_data_add(&d, "begin", 5, NULL), 0);
    assert_int_equal(layer_data_add_zeros(&d, hole, NULL), 0);
    assert_int_equal(layer_data_end(&d, NULL), 0);
    assert_int_equal(layer_data_block(&d), (hole >> 12) + 1);
    assert_int_equal(layer_data_add(&d, "next", 4, NULL), 0);
    assert_int_equal(layer_data_end(&d, NULL), 0);
    assert_int_equal(layer_data_add_zeros(&d, hole, NULL), 0);
    assert_int_equal(layer_data_finish(&d, NULL), 0);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_size, 2 * hole + 2 * LAYER_BLOCK);
    assert_true(st.st_blocks <= 16 * (int) LAYER_BLOCK / 512);
    /* The last block of the first content ends with zeros, which are written. */
    assert_int_equal(lseek(fd, 2 * LAYER_BLOCK, SEEK_DATA), hole);
}

static void data_has_the_limit_of_a_file(void **state)
{
    mvm_autoclose int fd = memory_file();
    mvm_autovalue(layer_data) d = { 0 };
    const uint64_t most = (uint64_t) INT64_MAX - LAYER_DATA_BUFFER;

    (void) state;
    assert_int_equal(layer_data_init(&d, fd, NULL), 0);
    assert_int_equal(layer_data_add_zeros(&d, most + 1, NULL), MVM_E_LIMIT);
    assert_int_equal(layer_data_add_zeros(&d, UINT64_MAX, NULL), MVM_E_LIMIT);
    assert_int_equal(layer_data_add_zeros(&d, most, NULL), 0);
    assert_int_equal(layer_data_add_zeros(&d, LAYER_DATA_HOLE_MIN, NULL), MVM_E_LIMIT);
}

static void full_disk_is_told(void **state)
{
    mvm_autoclose int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
    mvm_autoerror mvm_error *e = NULL;
    mvm_autovalue(layer_data) d = { 0 };

    (void) state;
    assert_true(fd >= 0);
    assert_int_equal(layer_data_init(&d, fd, NULL), 0);
    assert_int_equal(layer_data_add(&d, "x", 1, NULL), 0);
    assert_int_equal(layer_data_finish(&d, &e), MVM_E_SYS);
    assert_int_equal(mvm_error_errno(e), ENOSPC);
    assert_non_null(strstr(mvm_error_message(e), "the layer's data: write"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_contents_share_large_writes),
        cmocka_unit_test(zeros_count_wherever_they_begin_and_end),
        cmocka_unit_test(holes_stay_holes),
        cmocka_unit_test(data_has_the_limit_of_a_file),
        cmocka_unit_test(full_disk_is_told),
    };

    return cmocka_run_group_tests_name("image-layer-data", tests, NULL, NULL);
}
