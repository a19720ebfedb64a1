/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/kernel.h"

#include "base/io.h"
#include "base/path.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>

#include <cmocka.h>

/* <base>/lib and <base>/cache, as an install and a user have them. */
struct place {
    char base[32], lib[64], cache[64];
};

static int setup(void **state)
{
    struct place *p = calloc(1, sizeof(*p));

    assert_non_null(p);
    (void) snprintf(p->base, sizeof(p->base), "/tmp/microvm-test-XXXXXX");
    assert_non_null(mkdtemp(p->base));
    (void) snprintf(p->lib, sizeof(p->lib), "%s/lib", p->base);
    (void) snprintf(p->cache, sizeof(p->cache), "%s/cache", p->base);
    *state = p;
    return unsetenv("MICROVM_KERNEL");
}

static int teardown(void **state)
{
    mvm_autoclose int fd = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct place *p = *state;
    int r = path_remove_tree(fd, strrchr(p->base, '/') + 1, NULL);

    free(p);
    return r < 0 ? r : unsetenv("MICROVM_KERNEL");
}

static void put_file(const char *dir, const char *name, const void *data, size_t len)
{
    mvm_autofree char *path = path_join(dir, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

    assert_true(fd >= 0);
    assert_int_equal(io_write_all(fd, data, len, NULL), 0);
    assert_int_equal(close(fd), 0);
}

/* A kernel of four bytes whose kernel.json says @size. */
static void put_kernel(const char *dir, const char *release, int size)
{
    char folder[256], json[512];
    int fd = -EBADF;

    (void) snprintf(folder, sizeof(folder), "%s/kernels/%s", dir, release);
    (void) snprintf(json, sizeof(json),
                    "{\"release\": \"%s\", \"source\": \"debian x\", \"vmlinux_size\": %d, "
                    "\"modules_size\": 7}",
                    release, size);
    assert_int_equal(path_make_dirs(folder, 0755, &fd, NULL), 0);
    (void) close(fd);
    put_file(folder, "vmlinux", "four", 4);
    put_file(folder, "modules.cpio", "modules", 7);
    put_file(folder, "kernel.json", json, strlen(json));
}

/* A boot image as far as its check looks. */
static char *put_user_kernel(const struct place *p, const char *name)
{
    uint8_t data[4096] = { 0 };

    memcpy(data + 0x1fe, "\x55\xaa", 2);
    memcpy(data + 0x202, "HdrS", 4);
    put_file(p->base, name, data, sizeof(data));
    return path_join(p->base, name);
}

static void assert_found(const struct place *p, const char *file, const char *release,
                         const char *below)
{
    mvm_auto(kernel) k = NULL;

    assert_int_equal(kernel_find(file, p->lib, p->cache, &k, NULL), 0);
    assert_string_equal(k->release, release);
    if (strncmp(k->vmlinux_path, below, strlen(below)) != 0)
        fail_msg("'%s' is not below '%s'", k->vmlinux_path, below);
}

static void find_says_how_to_get_a_kernel_when_there_is_none(void **state)
{
    const struct place *p = *state;
    mvm_autoerror mvm_error *err = NULL;
    mvm_auto(kernel) k = NULL;

    assert_int_equal(kernel_find(NULL, p->lib, p->cache, &k, &err), MVM_E_NOT_FOUND);
    assert_non_null(strstr(mvm_error_message(err), "microvm kernel fetch"));
}

static void find_prefers_file_then_variable_then_install_then_cache(void **state)
{
    const struct place *p = *state;
    mvm_autofree char *file = put_user_kernel(p, "file");
    mvm_autofree char *variable = put_user_kernel(p, "variable");

    put_kernel(p->cache, "6.9.0", 4);
    assert_found(p, NULL, "6.9.0", p->cache);
    put_kernel(p->lib, "6.1.0", 4);
    assert_found(p, NULL, "6.1.0", p->lib);
    assert_int_equal(setenv("MICROVM_KERNEL", variable, 1), 0);
    assert_found(p, NULL, "", variable);
    assert_found(p, "", "", variable);
    assert_found(p, file, "", file);
}

static void find_takes_the_newest_by_version(void **state)
{
    const struct place *p = *state;

    put_kernel(p->cache, "6.1.0-9-cloud-amd64", 4);
    put_kernel(p->cache, "6.1.0-56-cloud-amd64", 4);
    put_kernel(p->cache, "6.1.0-10-cloud-amd64", 4);
    assert_found(p, NULL, "6.1.0-56-cloud-amd64", p->cache);
}

static void find_skips_what_is_not_whole(void **state)
{
    static const char *const missing[] = { "vmlinux", "modules.cpio", "kernel.json" };
    const struct place *p = *state;
    char path[256];

    put_kernel(p->cache, "1.0", 4);
    put_kernel(p->cache, "2.0", 5); /* wrong size */
    put_kernel(p->cache, ".fetch-1", 4);
    for (size_t i = 0; i < ARRAY_SIZE(missing); i++) {
        put_kernel(p->cache, "3.0", 4);
        (void) snprintf(path, sizeof(path), "%s/kernels/3.0/%s", p->cache, missing[i]);
        assert_int_equal(unlink(path), 0);
        assert_found(p, NULL, "1.0", p->cache);
    }
    (void) snprintf(path, sizeof(path), "%s/kernels/3.0", p->cache);
    put_file(path, "kernel.json", "{", 1);
    assert_found(p, NULL, "1.0", p->cache);
}

static void find_refuses_a_file_that_is_no_kernel(void **state)
{
    const struct place *p = *state;
    mvm_autofree char *fifo = path_join(p->base, "fifo");
    mvm_autofree char *text = path_join(p->base, "text");
    const char *const files[] = { fifo, text, p->base };
    mvm_auto(kernel) k = NULL;

    assert_int_equal(mkfifo(fifo, 0600), 0);
    put_file(p->base, "text", "hello", 5);
    for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
        mvm_autoerror mvm_error *err = NULL;

        assert_int_equal(kernel_find(files[i], p->lib, p->cache, &k, &err), MVM_E_FORMAT);
        assert_non_null(strstr(mvm_error_message(err), "is not a kernel"));
    }
    assert_int_equal(kernel_find("/nowhere/k", p->lib, p->cache, &k, NULL), MVM_E_NOT_FOUND);
}

static void list_starts_with_the_one_that_find_takes(void **state)
{
    static const char *const wanted[] = { "", "6.1.0", "6.10.0", "6.9.0" };
    const struct place *p = *state;
    mvm_autofree char *variable = put_user_kernel(p, "variable");
    struct kernel **kernels = NULL;
    size_t n = 0;

    put_kernel(p->cache, "6.9.0", 4);
    put_kernel(p->cache, "6.10.0", 4);
    put_kernel(p->lib, "6.1.0", 4);
    assert_int_equal(setenv("MICROVM_KERNEL", variable, 1), 0);
    assert_int_equal(kernel_list(p->lib, p->cache, &kernels, &n, NULL), 0);
    assert_int_equal(n, ARRAY_SIZE(wanted));
    for (size_t i = 0; i < n; i++)
        assert_string_equal(kernels[i]->release, wanted[i]);
    kernel_list_free(kernels, n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define CASE(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
        CASE(find_says_how_to_get_a_kernel_when_there_is_none),
        CASE(find_prefers_file_then_variable_then_install_then_cache),
        CASE(find_takes_the_newest_by_version),
        CASE(find_skips_what_is_not_whole),
        CASE(find_refuses_a_file_that_is_no_kernel),
        CASE(list_starts_with_the_one_that_find_takes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
