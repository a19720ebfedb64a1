/* SPDX-License-Identifier: Apache-2.0 */
#include "rootfs/test-directory.h"

#include <sys/mman.h>

/* Data at two places, a hole between them and one at the end. */
#define SPARSE_SIZE ((UINT64_C(300) << 12) - 7)
static void fill_data(int fd)
{
    mvm_autofree char *block = malloc(LAYER_BLOCK);

    assert_non_null(block);
    memset(block, 'A', LAYER_BLOCK);
    assert_int_equal(io_pwrite_all(fd, block, LAYER_BLOCK, 10 * LAYER_BLOCK, NULL), 0);
    memset(block, 'B', LAYER_BLOCK);
    assert_int_equal(io_pwrite_all(fd, block, LAYER_BLOCK, 110 * LAYER_BLOCK, NULL), 0);
    /* The next file. */
    memset(block, 'C', LAYER_BLOCK);
    memset(block + 3000, 0, LAYER_BLOCK - 3000);
    assert_int_equal(io_pwrite_all(fd, block, LAYER_BLOCK, 310 * LAYER_BLOCK, NULL), 0);
    assert_int_equal(ftruncate(fd, DATA_BLOCKS * LAYER_BLOCK), 0);
}

static const struct record_spec large[] = {
    { .kind = LAYER_FILE, .path = "sparse", .size = SPARSE_SIZE, .data_block = 10 },
    { .kind = LAYER_FILE, .path = "plain", .size = 3000, .data_block = 310 },
    { .kind = LAYER_FILE, .path = "hole", .size = 1u << 20, .data_block = 320 },
    { 0 }
};

static char byte_at(const struct bench *b, const char *path, uint64_t at)
{
    mvm_autoclose int fd = openat(b->root, path, O_RDONLY | O_CLOEXEC);
    char c = '?';

    assert_int_equal(pread(fd, &c, 1, (off_t) at), 1);
    return c;
}

static void expect_large(const struct bench *b)
{
    struct stat st = stat_of(b, "sparse");

    assert_int_equal(st.st_size, SPARSE_SIZE);
    assert_true(st.st_blocks <= 64); /* of 512 bytes: two blocks, and what the file system needs */
    assert_int_equal(byte_at(b, "sparse", 0), 'A');
    assert_int_equal(byte_at(b, "sparse", LAYER_BLOCK - 1), 'A');
    assert_int_equal(byte_at(b, "sparse", LAYER_BLOCK), 0);
    assert_int_equal(byte_at(b, "sparse", 100 * LAYER_BLOCK), 'B');
    assert_int_equal(byte_at(b, "sparse", 101 * LAYER_BLOCK), 0);
    assert_int_equal(byte_at(b, "sparse", SPARSE_SIZE - 1), 0);
    assert_int_equal(stat_of(b, "plain").st_size, 3000);
    assert_int_equal(byte_at(b, "plain", 0), 'C');
    assert_int_equal(byte_at(b, "plain", 2999), 'C');
    st = stat_of(b, "hole");
    assert_int_equal(st.st_size, 1u << 20);
    assert_true(st.st_blocks <= 16);
}

static void contents_keep_their_holes(void **state)
{
    struct sandbox *sb = *state;
    mvm_autovalue(bench) b = bench_new(sb, 0700);

    b.data[0] = openat(sb->fd, "data", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    assert_true(b.data[0] >= 0);
    fill_data(b.data[0]);
    bench_add(&b, large);
    bench_must_make(&b);
    expect_large(&b);
    /* On one file system; which of the two it has is its own. */
    assert_true(b.report.copy == ROOTFS_COPY_CLONE || b.report.copy == ROOTFS_COPY_KERNEL);
}

static void contents_come_from_another_file_system(void **state)
{
    struct sandbox *sb = *state;
    mvm_autovalue(bench) b = bench_new(sb, 0700);

    b.data[0] = memfd_create("data", MFD_CLOEXEC);
    fill_data(b.data[0]);
    bench_add(&b, large);
    bench_must_make(&b);
    expect_large(&b);
    assert_true(b.report.copy == ROOTFS_COPY_KERNEL || b.report.copy == ROOTFS_COPY_PLAIN);
}

static void a_cut_data_file_is_found(void **state)
{
    struct sandbox *sb = *state;
    mvm_autovalue(bench) b = bench_new(sb, 0700);
    mvm_autoerror mvm_error *e = NULL;

    b.data[0] = memfd_create("data", MFD_CLOEXEC);
    fill_data(b.data[0]);
    assert_int_equal(ftruncate(b.data[0], DATA_BLOCKS * LAYER_BLOCK - 1), 0);
    bench_add(&b, large);
    assert_int_equal(bench_make(&b, NULL, &e), MVM_E_DIGEST);
    assert_non_null(strstr(mvm_error_message(e), "layer 1: its data file is cut"));
    assert_int_equal(count_entries(b.folder), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SANDBOX_TEST(contents_keep_their_holes),
        SANDBOX_TEST(contents_come_from_another_file_system),
        SANDBOX_TEST(a_cut_data_file_is_found),
    };

    return cmocka_run_group_tests_name("rootfs-directory-copy", tests, NULL, NULL);
}
