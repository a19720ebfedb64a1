/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/bzimage.h"

#include "machine/test-images.h"

static const char text[] = "this stands for a vmlinux, twice: this stands for a vmlinux";

static void assert_extracts(const struct image *payload)
{
    mvm_autovalue(image) image = image_bzimage(payload->data, payload->len);
    mvm_autoerror mvm_error *err = NULL;
    mvm_autofree char *data = NULL;
    size_t len = 0;
    int r = bzimage_extract(image.data, image.len, &data, &len, &err);

    assert_string_equal(mvm_error_message(err), "");
    assert_int_equal(r, 0);
    assert_int_equal(len, sizeof(text));
    assert_memory_equal(data, text, len);
}

static void assert_refused(const struct image *image, int code, const char *why)
{
    mvm_autoerror mvm_error *err = NULL;
    char *data = NULL;
    size_t len = 0;
    int r = bzimage_extract(image->data, image->len, &data, &len, &err);

    if (r != code || !strstr(mvm_error_message(err), why))
        fail_msg("%d '%s' instead of %d '%s'", r, mvm_error_message(err), code, why);
    assert_null(data);
}

static void every_kind_of_payload_is_unpacked(void **state)
{
    static const char *const filters[] = { "gzip", "bzip2", "lzma", "xz", "zstd", "lz4" };

    (void) state;
    for (size_t i = 0; i < ARRAY_SIZE(filters); i++) {
        mvm_autovalue(image) payload = image_pack(filters[i], text, sizeof(text));

        assert_extracts(&payload);
    }
}

/* What `lz4 -l` makes, and the kernel's build calls: the magic number, then blocks with their
 * lengths. One block of literals here: a token of 15 and a length byte for the rest. */
static void a_legacy_lz4_payload_is_unpacked(void **state)
{
    mvm_autovalue(image) payload = image_new(8 + 2 + sizeof(text) + 4);

    (void) state;
    image_put32(&payload, 0, 0x184c2102);
    image_put32(&payload, 4, 2 + sizeof(text));
    payload.data[8] = 0xf0;
    payload.data[9] = sizeof(text) - 15;
    memcpy(payload.data + 10, text, sizeof(text));
    image_put32(&payload, 10 + sizeof(text), sizeof(text));
    assert_extracts(&payload);
}

static void what_is_no_boot_image_is_refused(void **state)
{
    mvm_autovalue(image) payload = image_pack("gzip", text, sizeof(text));
    mvm_autovalue(image) image = image_bzimage(payload.data, payload.len);
    struct image cut = { .data = image.data, .len = BZIMAGE_HEADER_SIZE - 1 };

    (void) state;
    assert_refused(&cut, MVM_E_FORMAT, "no boot image");
    image.data[0x1fe] = 0;
    assert_refused(&image, MVM_E_FORMAT, "no boot image");
    image.data[0x1fe] = 0x55;
    image.data[0x202] = 'h';
    assert_refused(&image, MVM_E_FORMAT, "no boot image");
}

static void a_protocol_that_does_not_tell_of_its_payload_is_refused(void **state)
{
    mvm_autovalue(image) payload = image_pack("gzip", text, sizeof(text));
    mvm_autovalue(image) image = image_bzimage(payload.data, payload.len);
    struct bzimage_payload p;

    (void) state;
    image_put16(&image, 0x206, 0x0208);
    assert_int_equal(bzimage_payload(image.data, image.len, &p, NULL), 0);
    image_put16(&image, 0x206, 0x0207);
    assert_refused(&image, MVM_E_UNSUPPORTED, "boot protocol 2.07");
}

static void a_payload_outside_of_the_image_is_refused(void **state)
{
    mvm_autovalue(image) payload = image_pack("gzip", text, sizeof(text));
    mvm_autovalue(image) image = image_bzimage(payload.data, payload.len);

    (void) state;
    image_put32(&image, 0x24c, (uint32_t) payload.len + 1);
    assert_refused(&image, MVM_E_FORMAT, "but the boot image has");
    image_put32(&image, 0x24c, UINT32_MAX);
    assert_refused(&image, MVM_E_FORMAT, "but the boot image has");
    image_put32(&image, 0x24c, (uint32_t) payload.len);
    image_put32(&image, 0x248, UINT32_MAX);
    assert_refused(&image, MVM_E_FORMAT, "but the boot image has");
    image_put32(&image, 0x248, 64);
    image.data[0x1f1] = 255;
    assert_refused(&image, MVM_E_FORMAT, "but the boot image has");
}

static void setup_sects_of_0_means_4(void **state)
{
    mvm_autovalue(image) image = image_new(5 * 512 + 16);
    struct bzimage_payload p;

    (void) state;
    image_put16(&image, 0x1fe, 0xaa55);
    memcpy(image.data + 0x202, "HdrS", 4);
    image_put16(&image, 0x206, 0x020f);
    image_put32(&image, 0x24c, 16);
    image_put32(&image, 5 * 512 + 12, 1);
    assert_int_equal(bzimage_payload(image.data, image.len, &p, NULL), 0);
    assert_ptr_equal(p.data, image.data + 5 * 512);
    assert_int_equal(p.len, 12);
}

static void a_payload_that_lies_about_its_size_is_refused(void **state)
{
    mvm_autovalue(image) payload = image_pack("xz", text, sizeof(text));
    mvm_autovalue(image) image = image_bzimage(payload.data, payload.len);

    (void) state;
    image_put32(&image, image.len - 4, sizeof(text) + 1);
    assert_refused(&image, MVM_E_FORMAT, "its trailer says");
    image_put32(&image, image.len - 4, sizeof(text) - 1);
    assert_refused(&image, MVM_E_LIMIT, "decompressed data");
    image_put32(&image, image.len - 4, 0);
    assert_refused(&image, MVM_E_FORMAT, "0 unpacked bytes");
}

static void the_unpacked_size_is_limited(void **state)
{
    mvm_autovalue(image) payload = image_pack("xz", text, sizeof(text));
    mvm_autovalue(image) image = image_bzimage(payload.data, payload.len);
    struct bzimage_payload p;

    (void) state;
    image_put32(&image, image.len - 4, BZIMAGE_VMLINUX_MAX);
    assert_int_equal(bzimage_payload(image.data, image.len, &p, NULL), 0);
    assert_int_equal(p.unpacked_len, BZIMAGE_VMLINUX_MAX);
    image_put32(&image, image.len - 4, BZIMAGE_VMLINUX_MAX + 1);
    assert_refused(&image, MVM_E_LIMIT, "more than");
}

static void a_payload_is_at_least_8_bytes(void **state)
{
    mvm_autovalue(image) image = image_bzimage("\x1f\x8b..\x01\0\0\0", 8);
    struct bzimage_payload p;

    (void) state;
    assert_int_equal(bzimage_payload(image.data, image.len, &p, NULL), 0);
    image_put32(&image, 0x24c, 7);
    assert_refused(&image, MVM_E_FORMAT, "payload of 7 bytes");
}

static void unknown_and_damaged_compression_is_refused(void **state)
{
    mvm_autovalue(image) plain = image_bzimage("plain words\x07\0\0\0", 15);
    mvm_autovalue(image) lzo = image_bzimage("\x89LZO\0\r\n\x1a\n12345678\x07\0\0\0", 21);
    mvm_autovalue(image) payload = image_pack("zstd", text, sizeof(text));
    mvm_autovalue(image) damaged = image_bzimage(payload.data, payload.len);

    (void) state;
    assert_refused(&plain, MVM_E_UNSUPPORTED, "unknown kind of compression");
    assert_refused(&lzo, MVM_E_UNSUPPORTED, "unknown kind of compression");
    damaged.data[IMAGE_PAYLOAD_AT + 4] ^= 0xff;
    assert_refused(&damaged, MVM_E_FORMAT, "decompress");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_of_payload_is_unpacked),
        cmocka_unit_test(a_legacy_lz4_payload_is_unpacked),
        cmocka_unit_test(what_is_no_boot_image_is_refused),
        cmocka_unit_test(a_protocol_that_does_not_tell_of_its_payload_is_refused),
        cmocka_unit_test(a_payload_outside_of_the_image_is_refused),
        cmocka_unit_test(setup_sects_of_0_means_4),
        cmocka_unit_test(a_payload_that_lies_about_its_size_is_refused),
        cmocka_unit_test(the_unpacked_size_is_limited),
        cmocka_unit_test(a_payload_is_at_least_8_bytes),
        cmocka_unit_test(unknown_and_damaged_compression_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
