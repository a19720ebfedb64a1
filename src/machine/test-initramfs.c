/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/initramfs.h"

#include "base/io.h"
#include "base/scan.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cmocka.h>

/* libarchive stands for the kernel: an independent reader of the format. */
static void assert_next(struct archive *a, const char *path, mode_t mode, const char *content)
{
    struct archive_entry *e;
    char data[64];
    la_ssize_t n;

    assert_int_equal(archive_read_next_header(a, &e), ARCHIVE_OK);
    assert_string_equal(archive_entry_pathname(e), path);
    assert_int_equal(archive_entry_mode(e), mode);
    assert_int_equal(archive_entry_uid(e), 0);
    assert_int_equal(archive_entry_mtime(e), 0);
    n = archive_read_data(a, data, sizeof(data));
    assert_int_equal(n, strlen(content));
    assert_memory_equal(data, content, strlen(content));
}

static void cpio_is_read_back_by_another_reader(void **state)
{
    const struct initramfs_file files[] = {
        { .path = "etc", .mode = S_IFDIR | 0755 },
        { .path = "etc/a", .mode = S_IFREG | 0600, .data = "x", .len = 1 },
        { .path = "etc/empty", .mode = S_IFREG | 0644 },
        { .path = "etc/four", .mode = S_IFREG | 0644, .data = "four", .len = 4 },
    };
    mvm_autovalue(strbuf) out = STRBUF_INIT(65536);
    struct archive *a = archive_read_new();
    struct archive_entry *e;

    (void) state;
    assert_int_equal(cpio_append(&out, files, ARRAY_SIZE(files), NULL), 0);
    assert_int_equal(out.len % 4, 0);
    assert_int_equal(archive_read_support_format_cpio(a), ARCHIVE_OK);
    assert_int_equal(archive_read_open_memory(a, out.data, out.len), ARCHIVE_OK);
    assert_next(a, "etc", S_IFDIR | 0755, "");
    assert_next(a, "etc/a", S_IFREG | 0600, "x");
    assert_next(a, "etc/empty", S_IFREG | 0644, "");
    assert_next(a, "etc/four", S_IFREG | 0644, "four");
    assert_int_equal(archive_read_next_header(a, &e), ARCHIVE_EOF);
    archive_read_free(a);
}

static void cpio_refuses_paths_that_are_not_plain(void **state)
{
    static const char *const paths[] = { "", "/etc", "a//b", "a/", ".", "a/../b", "..", "a/." };
    mvm_autovalue(strbuf) out = STRBUF_INIT(65536);

    (void) state;
    for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
        const struct initramfs_file f = { .path = paths[i], .mode = S_IFREG | 0600 };

        if (cpio_append(&out, &f, 1, NULL) != MVM_E_ARG)
            fail_msg("accepted '%s'", paths[i]);
    }
}

static void cpio_refuses_more_than_the_buffer_takes(void **state)
{
    const struct initramfs_file f = {
        .path = "a", .mode = S_IFREG | 0600, .data = "0123456789", .len = 10
    };
    mvm_autovalue(strbuf) out = STRBUF_INIT(64);

    (void) state;
    assert_int_equal(cpio_append(&out, &f, 1, NULL), MVM_E_LIMIT);
}

static void temp_file(char *path, const char *content)
{
    int fd = mkostemp(path, O_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(io_write_all(fd, content, strlen(content), NULL), 0);
    (void) close(fd);
}

static void build_puts_init_modules_and_files_after_one_another(void **state)
{
    const struct initramfs_file f = {
        .path = ".secret", .mode = S_IFREG | 0600, .data = "s", .len = 1
    };
    char init[] = "/tmp/test-initramfs-XXXXXX", modules[] = "/tmp/test-initramfs-XXXXXX";
    mvm_autofree char *data = NULL;
    mvm_autoclose int archive_fd = -EBADF;
    mvm_autoclose int fd = -EBADF;
    size_t len = 0;

    (void) state;
    temp_file(init, "INIT");
    temp_file(modules, "MODULES");
    assert_int_equal(io_memfd("archive", "ARCHIVE", 7, false, &archive_fd, NULL), 0);
    const struct initramfs_parts parts = { init, modules, &f, 1, archive_fd };

    assert_int_equal(initramfs_build(&parts, &fd, NULL), 0);
    assert_int_equal(io_read_all(fd, 65536, &data, &len, NULL), 0);
    assert_true(memmem(data, len, "INIT", 4) < memmem(data, len, "MODULES", 7));
    assert_true(memmem(data, len, "MODULES", 7) < memmem(data, len, ".secret", 7));
    assert_true(memmem(data, len, ".secret", 7) < memmem(data, len, "ARCHIVE", 7));
    /* Whatever is before it, an archive starts at a multiple of 4. */
    assert_int_equal(((char *) memmem(data, len, "MODULES", 7) - data) % 4, 0);
    assert_int_equal(((char *) memmem(data, len, ".secret", 7) - 110 - data) % 4, 0);
    assert_int_equal(((char *) memmem(data, len, "ARCHIVE", 7) - data) % 4, 0);
    /* Sealed: nobody who inherits the descriptor can change what the guest starts with. */
    assert_int_equal(write(fd, "x", 1), -1);
    assert_int_equal(fcntl(fd, F_GET_SEALS) & F_SEAL_WRITE, F_SEAL_WRITE);
    (void) unlink(init);
    (void) unlink(modules);
}

static void build_names_a_file_that_is_missing(void **state)
{
    const struct initramfs_parts parts = { .init_path = "/nowhere/init", .archive_fd = -1 };
    mvm_autoerror mvm_error *err = NULL;
    int fd = -EBADF;

    (void) state;
    assert_int_equal(initramfs_build(&parts, &fd, &err), MVM_E_NOT_FOUND);
    assert_non_null(strstr(mvm_error_message(err), "/nowhere/init"));
    assert_int_equal(fd, -EBADF);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cpio_is_read_back_by_another_reader),
        cmocka_unit_test(cpio_refuses_paths_that_are_not_plain),
        cmocka_unit_test(cpio_refuses_more_than_the_buffer_takes),
        cmocka_unit_test(build_puts_init_modules_and_files_after_one_another),
        cmocka_unit_test(build_names_a_file_that_is_missing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
