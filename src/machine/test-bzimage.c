/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/bzimage.h"

#include "base/mem.h"

#include <endian.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* One sector of setup behind the boot sector, then the payload. */
#define PAYLOAD_AT 1024
#define IMAGE_MAX 3072

/* `printf 'bare vmlinux' | gzip -n9`: ends with its unpacked length, 12. */
static const uint8_t gzipped[] = { 0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x03, 0x4b,
                                   0x4a, 0x2c, 0x4a, 0x55, 0x28, 0xcb, 0xcd, 0xc9, 0xcc, 0x2b, 0xad,
                                   0x00, 0x00, 0xdf, 0xc7, 0x39, 0x5c, 0x0c, 0x00, 0x00, 0x00 };

struct image {
    uint8_t data[IMAGE_MAX];
    size_t len;
};

static void put_le32(uint8_t *at, uint32_t value)
{
    value = htole32(value);
    memcpy(at, &value, sizeof(value));
}

static struct image image_of(const void *payload, size_t len)
{
    struct image i = { .len = PAYLOAD_AT + len };

    assert_true(i.len <= sizeof(i.data));
    i.data[0x1f1] = 1;
    memcpy(i.data + 0x1fe, "\x55\xaa", 2);
    memcpy(i.data + 0x202, "HdrS", 4);
    i.data[0x206] = 8;
    i.data[0x207] = 2;
    put_le32(i.data + 0x24c, (uint32_t) len);
    memcpy(i.data + PAYLOAD_AT, payload, len);
    return i;
}

static int payload_of(const struct image *i, struct bzimage_payload *ret)
{
    return bzimage_payload(i->data, i->len, ret, NULL);
}

static void extract_gives_the_bare_kernel(void **state)
{
    const struct image i = image_of(gzipped, sizeof(gzipped));
    mvm_autofree char *data = NULL;
    size_t len = 0;

    (void) state;
    assert_int_equal(bzimage_extract(i.data, i.len, &data, &len, NULL), 0);
    assert_int_equal(len, 12);
    assert_string_equal(data, "bare vmlinux");
}

static void extract_refuses_a_payload_that_is_damaged(void **state)
{
    struct image i = image_of(gzipped, sizeof(gzipped));
    mvm_autoerror mvm_error *err = NULL;
    char *data = NULL;
    size_t len = 0;

    (void) state;
    i.data[PAYLOAD_AT + 10] = 0xff; /* a kind of block that DEFLATE does not have */
    assert_int_equal(bzimage_extract(i.data, i.len, &data, &len, &err), MVM_E_FORMAT);
    assert_non_null(strstr(mvm_error_message(err), "boot image: "));
    assert_null(data);
}

static void extract_refuses_an_unpacked_size_that_differs(void **state)
{
    struct image i = image_of(gzipped, sizeof(gzipped));
    char *data = NULL;
    size_t len = 0;

    (void) state;
    put_le32(i.data + i.len - 4, 11); /* the stream has more: never unpacked whole */
    assert_true(bzimage_extract(i.data, i.len, &data, &len, NULL) < 0);
    put_le32(i.data + i.len - 4, 13);
    assert_int_equal(bzimage_extract(i.data, i.len, &data, &len, NULL), MVM_E_FORMAT);
    assert_null(data);
}

static void extract_refuses_an_unknown_compression(void **state)
{
    const struct image i = image_of("LZO\0data\4\0\0\0", 12);
    char *data = NULL;
    size_t len = 0;

    (void) state;
    assert_int_equal(bzimage_extract(i.data, i.len, &data, &len, NULL), MVM_E_UNSUPPORTED);
}

static void payload_leaves_out_the_size_that_the_build_added(void **state)
{
    const struct image plain = image_of("payload\0\4\0\0\0", 12);
    const struct image gzip = image_of(gzipped, sizeof(gzipped));
    struct bzimage_payload p;

    (void) state;
    assert_int_equal(payload_of(&plain, &p), 0);
    assert_ptr_equal(p.data, plain.data + PAYLOAD_AT);
    assert_int_equal(p.len, 8);
    assert_int_equal(p.unpacked_len, 4);
    assert_int_equal(payload_of(&gzip, &p), 0);
    assert_int_equal(p.len, sizeof(gzipped)); /* of gzip it is a part */
}

static void payload_reads_no_setup_sectors_as_four(void **state)
{
    struct image i = image_of("", 0);
    struct bzimage_payload p;

    (void) state;
    i.data[0x1f1] = 0;
    i.len = 5 * 512 + 12;
    put_le32(i.data + 0x24c, 12);
    put_le32(i.data + i.len - 4, 1);
    assert_int_equal(payload_of(&i, &p), 0);
    assert_ptr_equal(p.data, i.data + 5 * 512);
}

static void payload_refuses_what_is_no_boot_image(void **state)
{
    struct image i = image_of(gzipped, sizeof(gzipped));
    struct bzimage_payload p;

    (void) state;
    assert_false(bzimage_is_one(i.data, BZIMAGE_HEADER_SIZE - 1));
    assert_true(bzimage_is_one(i.data, BZIMAGE_HEADER_SIZE));
    assert_int_equal(bzimage_payload(i.data, 0, &p, NULL), MVM_E_FORMAT);
    i.data[0x1fe] = 0;
    assert_int_equal(payload_of(&i, &p), MVM_E_FORMAT);
    i.data[0x1fe] = 0x55;
    i.data[0x202] = 'h';
    assert_int_equal(payload_of(&i, &p), MVM_E_FORMAT);
}

static void payload_refuses_protocols_that_do_not_tell(void **state)
{
    struct image i = image_of(gzipped, sizeof(gzipped));
    struct bzimage_payload p;

    (void) state;
    i.data[0x206] = 7;
    assert_int_equal(payload_of(&i, &p), MVM_E_UNSUPPORTED);
}

static void payload_refuses_sizes_that_leave_the_image(void **state)
{
    static const struct {
        uint32_t offset, len;
        uint8_t sectors;
    } cases[] = {
        { 0, sizeof(gzipped) + 1, 1 },
        { 1, sizeof(gzipped), 1 },
        { UINT32_MAX, 8, 1 },
        { 0, UINT32_MAX, 1 },
        { 0, 7, 1 },
        { 0, 0, 1 },
        { 0, 8, 2 },
        { 0, 8, 255 },
    };

    (void) state;
    for (size_t c = 0; c < ARRAY_SIZE(cases); c++) {
        struct image i = image_of(gzipped, sizeof(gzipped));
        struct bzimage_payload p;

        put_le32(i.data + 0x248, cases[c].offset);
        put_le32(i.data + 0x24c, cases[c].len);
        i.data[0x1f1] = cases[c].sectors;
        if (payload_of(&i, &p) != MVM_E_FORMAT)
            fail_msg("case %zu was taken", c);
    }
}

static void payload_takes_unpacked_sizes_up_to_their_limit(void **state)
{
    struct image i = image_of("payload\0\0\0\0\0", 12);
    struct bzimage_payload p;

    (void) state;
    assert_int_equal(payload_of(&i, &p), MVM_E_FORMAT);
    put_le32(i.data + i.len - 4, BZIMAGE_VMLINUX_MAX);
    assert_int_equal(payload_of(&i, &p), 0);
    put_le32(i.data + i.len - 4, BZIMAGE_VMLINUX_MAX + 1);
    assert_int_equal(payload_of(&i, &p), MVM_E_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(extract_gives_the_bare_kernel),
        cmocka_unit_test(extract_refuses_a_payload_that_is_damaged),
        cmocka_unit_test(extract_refuses_an_unpacked_size_that_differs),
        cmocka_unit_test(extract_refuses_an_unknown_compression),
        cmocka_unit_test(payload_leaves_out_the_size_that_the_build_added),
        cmocka_unit_test(payload_reads_no_setup_sectors_as_four),
        cmocka_unit_test(payload_refuses_what_is_no_boot_image),
        cmocka_unit_test(payload_refuses_protocols_that_do_not_tell),
        cmocka_unit_test(payload_refuses_sizes_that_leave_the_image),
        cmocka_unit_test(payload_takes_unpacked_sizes_up_to_their_limit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
