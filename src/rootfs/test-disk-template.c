/* SPDX-License-Identifier: Apache-2.0 */
#include "rootfs/disk-template.h"

#include "base/digest.h"
#include "base/io.h"
#include "base/le.h"
#include "base/mem.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cmocka.h>

#define MIB (1ULL << 20)
#define HEADER 56

static int disk_new(uint64_t size)
{
    int fd = memfd_create("disk", MFD_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, (off_t) size), 0);
    return fd;
}

static void put(int fd, const char *text, uint64_t at)
{
    assert_int_equal(pwrite(fd, text, strlen(text), (off_t) at), (ssize_t) strlen(text));
}

static void expect_text(int fd, const char *text, uint64_t at)
{
    char data[32] = "";

    assert_int_equal(pread(fd, data, strlen(text), (off_t) at), (ssize_t) strlen(text));
    assert_string_equal(data, text);
}

static void disk_is_what_the_template_was_made_of(void **state)
{
    const uint64_t size = 64ULL << 30;
    mvm_autoclose int from_fd = disk_new(size);
    mvm_autoclose int to_fd = disk_new(0);
    mvm_autovalue(strbuf) text = STRBUF_INIT(MIB);
    struct stat st;

    (void) state;
    put(from_fd, "first", 0);
    put(from_fd, "within", 5 * MIB + 17);
    put(from_fd, "last", size - 4);
    assert_int_equal(disk_template_encode(from_fd, &text, NULL), 0);
    assert_true(text.len < 3 * 4096 + 200);
    assert_int_equal(disk_template_write(text.data, text.len, size, to_fd, NULL), 0);
    expect_text(to_fd, "first", 0);
    expect_text(to_fd, "within", 5 * MIB + 17);
    expect_text(to_fd, "last", size - 4);
    assert_int_equal(fstat(to_fd, &st), 0);
    assert_true((uint64_t) st.st_size == size);
    assert_true(st.st_blocks <= 3 * 8); /* the holes are holes */
}

static void disk_may_be_one_hole(void **state)
{
    mvm_autoclose int from_fd = disk_new(MIB);
    mvm_autoclose int to_fd = disk_new(0);
    mvm_autovalue(strbuf) text = STRBUF_INIT(MIB);

    (void) state;
    assert_int_equal(disk_template_encode(from_fd, &text, NULL), 0);
    assert_int_equal(text.len, HEADER);
    assert_int_equal(disk_template_write(text.data, text.len, MIB, to_fd, NULL), 0);
    assert_int_equal(lseek(to_fd, 0, SEEK_END), MIB);
}

/* A template of a disk of 1 MiB with the given parts, its digest right, and 8192 bytes of content.
 */
static void make(struct strbuf *out, uint32_t n, const uint64_t *parts)
{
    static const char content[8192];
    char header[HEADER] = "MVMDISK1", number[8];
    struct digest digest;

    le64_put(header + 8, MIB);
    le32_put(header + 16, n);
    strbuf_add(out, header, sizeof(header));
    for (uint32_t i = 0; i < 2 * n; i++) {
        le64_put(number, parts[i]);
        strbuf_add(out, number, sizeof(number));
    }
    strbuf_add(out, content, sizeof(content));
    assert_int_equal(digest_of(DIGEST_SHA256, out->data + HEADER, out->len - HEADER, &digest, NULL),
                     0);
    memcpy(out->data + 24, digest.bytes, 32);
}

static void expect_parts(uint32_t n, const uint64_t *parts, int code)
{
    mvm_autovalue(strbuf) text = STRBUF_INIT(MIB);
    mvm_autoclose int fd = disk_new(0);

    make(&text, n, parts);
    assert_int_equal(disk_template_write(text.data, text.len, MIB, fd, NULL), code);
    assert_int_equal(lseek(fd, 0, SEEK_END), code == 0 ? MIB : 0); /* nothing half-made */
}

static void parts_lie_in_order_within_the_disk(void **state)
{
    (void) state;
    expect_parts(2, (const uint64_t[]){ 0, 4096, 4096, 4096 }, 0);
    expect_parts(2, (const uint64_t[]){ 0, 4096, 4095, 4096 }, MVM_E_FORMAT);
    expect_parts(2, (const uint64_t[]){ 8192, 4096, 0, 4096 }, MVM_E_FORMAT);
    expect_parts(1, (const uint64_t[]){ MIB - 8192, 8192 }, 0);
    expect_parts(1, (const uint64_t[]){ MIB - 8191, 8192 }, MVM_E_FORMAT);
    expect_parts(1, (const uint64_t[]){ UINT64_MAX - 4096, 8192 }, MVM_E_FORMAT);
    expect_parts(1, (const uint64_t[]){ 0, UINT64_MAX }, MVM_E_FORMAT);
    expect_parts(1, (const uint64_t[]){ 0, 8191 }, MVM_E_FORMAT); /* trailing bytes */
    expect_parts(1, (const uint64_t[]){ 0, 8193 }, MVM_E_FORMAT);
}

static void expect_refused(const char *data, size_t len, uint64_t size, int code, const char *part)
{
    mvm_autoclose int fd = disk_new(0);
    mvm_autoerror mvm_error *err = NULL;

    assert_int_equal(disk_template_write(data, len, size, fd, &err), code);
    assert_non_null(strstr(mvm_error_message(err), part));
    assert_int_equal(lseek(fd, 0, SEEK_END), 0);
}

static void damage_is_found_before_anything_is_written(void **state)
{
    mvm_autovalue(strbuf) text = STRBUF_INIT(MIB);

    (void) state;
    make(&text, 1, (const uint64_t[]){ 0, 8192 });
    expect_refused(text.data, text.len - 1, MIB, MVM_E_DIGEST, "damaged");
    expect_refused(text.data, HEADER, MIB, MVM_E_DIGEST, "damaged");
    expect_refused(text.data, HEADER - 1, MIB, MVM_E_FORMAT, "not a disk template");
    expect_refused(text.data, 0, MIB, MVM_E_FORMAT, "not a disk template");
    expect_refused(text.data, text.len, MIB + 4096, MVM_E_FORMAT, "another size");
    text.data[text.len - 1] ^= 1;
    expect_refused(text.data, text.len, MIB, MVM_E_DIGEST, "damaged");
    text.data[0] ^= 1;
    expect_refused(text.data, text.len, MIB, MVM_E_FORMAT, "not a disk template");
}

static void number_of_parts_has_a_limit(void **state)
{
    mvm_autovalue(strbuf) text = STRBUF_INIT(MIB);
    mvm_autofree uint64_t *parts = calloc(2 * (DISK_TEMPLATE_PARTS_MAX + 1), sizeof(*parts));

    (void) state;
    assert_non_null(parts);
    parts[1] = 8192;
    for (size_t i = 1; i <= DISK_TEMPLATE_PARTS_MAX; i++)
        parts[2 * i] = 8192; /* of no byte */
    expect_parts(DISK_TEMPLATE_PARTS_MAX, parts, 0);
    expect_parts(DISK_TEMPLATE_PARTS_MAX + 1, parts, MVM_E_FORMAT);
    make(&text, 0, NULL);
    le32_put(text.data + 16, UINT32_MAX);
    expect_refused(text.data, text.len, MIB, MVM_E_FORMAT, "parts that cannot be");
}

static void disk_with_too_much_in_it_makes_no_template(void **state)
{
    mvm_autoclose int fd = disk_new(1ULL << 30);
    mvm_autovalue(strbuf) text = STRBUF_INIT(DISK_TEMPLATE_MAX);

    (void) state;
    for (uint64_t i = 0; i <= DISK_TEMPLATE_PARTS_MAX; i++)
        put(fd, "x", i * 8192);
    assert_int_equal(disk_template_encode(fd, &text, NULL), MVM_E_LIMIT);
    assert_int_equal(ftruncate(fd, (off_t) (DISK_TEMPLATE_PARTS_MAX - 1) * 8192), 0);
    assert_int_equal(disk_template_encode(fd, &text, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(disk_is_what_the_template_was_made_of),
        cmocka_unit_test(disk_may_be_one_hole),
        cmocka_unit_test(parts_lie_in_order_within_the_disk),
        cmocka_unit_test(damage_is_found_before_anything_is_written),
        cmocka_unit_test(number_of_parts_has_a_limit),
        cmocka_unit_test(disk_with_too_much_in_it_makes_no_template),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
