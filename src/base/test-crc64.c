/* SPDX-License-Identifier: Apache-2.0 */
#include "base/crc64.h"

#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void crc64_is_the_one_of_ecma_182_reflected(void **state)
{
    (void) state;
    /* The check value of the catalogue of parametrised CRC algorithms, CRC-64/XZ. */
    assert_int_equal(crc64_add(0, "123456789", 9), UINT64_C(0x995dc9bbdf1939fa));
    assert_int_equal(crc64_add(crc64_add(0, "1234", 4), "56789", 5), UINT64_C(0x995dc9bbdf1939fa));
    assert_int_equal(crc64_add(77, NULL, 0), 77);
}

static void zeros_count_as_bytes_do(void **state)
{
    static const size_t lengths[] = { 0, 1, 7, 4095, 4096, 4097, 65536, 1000003 };
    mvm_autofree unsigned char *zeros = calloc(1, 1000003);
    uint64_t start = crc64_add(0, "abc", 3);

    (void) state;
    assert_non_null(zeros);
    for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
        assert_int_equal(crc64_add_zeros(start, lengths[i]), crc64_add(start, zeros, lengths[i]));
        assert_int_equal(crc64_add_zeros(0, lengths[i]), crc64_add(0, zeros, lengths[i]));
    }
    /* 6 GiB in one go and in two. */
    assert_int_equal(crc64_add_zeros(start, UINT64_C(6) << 30),
                     crc64_add_zeros(crc64_add_zeros(start, UINT64_C(5) << 30), 1u << 30));
}

static void pieces_join(void **state)
{
    mvm_autofree unsigned char *data = malloc(10000);

    (void) state;
    assert_non_null(data);
    for (size_t i = 0; i < 10000; i++)
        data[i] = (unsigned char) (i * 31 + i / 256);
    for (size_t at = 0; at <= 10000; at += 1250)
        assert_int_equal(
            crc64_join(crc64_add(0, data, at), crc64_add(0, data + at, 10000 - at), 10000 - at),
            crc64_add(0, data, 10000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(crc64_is_the_one_of_ecma_182_reflected),
        cmocka_unit_test(zeros_count_as_bytes_do),
        cmocka_unit_test(pieces_join),
    };

    return cmocka_run_group_tests_name("base-crc64", tests, NULL, NULL);
}
