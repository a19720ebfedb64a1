/* SPDX-License-Identifier: Apache-2.0 */
/* Finding kernels, and files that are none. */
#include "machine/kernel.h"

#include "base/path.h"
#include "machine/kernel-internal.h"
#include "machine/test-images.h"

#include <fcntl.h>
#include <stdbool.h>
#include <sys/stat.h>

struct place {
    char path[64];
    char *lib;   /* owned */
    char *cache; /* owned */
};

static int setup(void **state)
{
    struct place *p = calloc(1, sizeof(*p));

    assert_non_null(p);
    (void) snprintf(p->path, sizeof(p->path), "/tmp/microvm-kernel-XXXXXX");
    assert_non_null(mkdtemp(p->path));
    p->lib = path_join(p->path, "lib");
    p->cache = path_join(p->path, "cache");
    *state = p;
    return unsetenv("MICROVM_KERNEL");
}

static int teardown(void **state)
{
    struct place *p = *state;
    mvm_autoclose int tmp = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    assert_int_equal(path_remove_tree(tmp, p->path + strlen("/tmp/"), NULL), 0);
    free(p->lib);
    free(p->cache);
    free(p);
    return unsetenv("MICROVM_KERNEL");
}

static void put(const char *dir, const char *name, const void *data, size_t len)
{
    mvm_autoclose int dir_fd = -EBADF;
    mvm_autoclose int fd = -EBADF;

    assert_int_equal(path_make_dirs(dir, 0755, &dir_fd, NULL), 0);
    fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    assert_int_equal(write(fd, data, len), (ssize_t) len);
}

/* A kernel's folder in @dir; @size is what kernel.json says of the file of 3 bytes, @format the
 * beginning of that object. */
static void put_kernel_of(const char *dir, const char *release, int size, const char *format)
{
    mvm_autofree char *folder = NULL;
    mvm_autofree char *info = NULL;

    assert_true(asprintf(&folder, "%s/kernels/%s", dir, release) > 0);
    assert_true(asprintf(&info,
                         "{%s\"release\":\"%s\",\"source\":\"test\",\"vmlinux_size\":%d,"
                         "\"modules_size\":3}",
                         format, release, size) > 0);
    put(folder, "vmlinux", "elf", 3);
    put(folder, "modules.cpio", "070", 3);
    put(folder, "kernel.json", info, strlen(info));
}

static void put_kernel(const char *dir, const char *release, int size)
{
    put_kernel_of(dir, release, size, "\"format\":2,");
}

static void assert_found(const struct place *p, const char *release)
{
    mvm_auto(kernel) k = NULL;

    assert_int_equal(kernel_find(NULL, p->lib, p->cache, &k, NULL), 0);
    assert_string_equal(k->release, release);
    assert_non_null(k->modules_path);
}

static void the_newest_kernel_of_the_cache_is_found(void **state)
{
    const struct place *p = *state;

    put_kernel(p->cache, "6.1.0-9-cloud-amd64", 3);
    put_kernel(p->cache, "6.1.0-56-cloud-amd64", 3);
    put_kernel(p->cache, "5.19.0-1-cloud-amd64", 3);
    assert_found(p, "6.1.0-56-cloud-amd64");
}

static void the_installed_kernel_comes_first(void **state)
{
    const struct place *p = *state;
    struct kernel **list = NULL;
    size_t n = 0;

    put_kernel(p->cache, "6.9", 3);
    put_kernel(p->lib, "6.1", 3);
    assert_found(p, "6.1");
    assert_int_equal(kernel_list(p->lib, p->cache, &list, &n, NULL), 0);
    assert_int_equal(n, 2);
    assert_string_equal(list[0]->release, "6.1");
    assert_string_equal(list[1]->release, "6.9");
    kernel_list_free(list, n);
}

static void kernels_that_are_not_whole_are_passed_over(void **state)
{
    const struct place *p = *state;
    mvm_autofree char *folder = path_join(p->cache, "kernels/7.2");

    put_kernel(p->cache, "6.1", 3);
    put_kernel(p->cache, "7.1", 4);
    put_kernel(p->cache, ".fetch-1234", 3);
    put(folder, "vmlinux", "elf", 3);
    assert_found(p, "6.1");
}

static void kernels_of_an_older_format_are_to_be_fetched_again(void **state)
{
    static const char *const old[] = { "", "\"format\":1,", "\"format\":-1,", "\"format\":\"2\"," };
    const struct place *p = *state;

    for (size_t i = 0; i < ARRAY_SIZE(old); i++) {
        mvm_autoerror mvm_error *err = NULL;
        struct kernel *k = NULL;

        put_kernel_of(p->cache, "6.5", 3, old[i]);
        assert_int_equal(kernel_find(NULL, p->lib, p->cache, &k, &err), MVM_E_NOT_FOUND);
        assert_null(k);
        assert_string_equal(mvm_error_message(err),
                            "the guest kernel here is of an older microvm and lacks modules that "
                            "guests need now: run 'microvm kernel fetch'");
    }
    put_kernel(p->cache, "6.1", 3);
    assert_found(p, "6.1");
    put_kernel_of(p->cache, "6.5", 3, "\"format\":3,");
    assert_found(p, "6.5");
}

static void without_a_kernel_the_command_is_told(void **state)
{
    const struct place *p = *state;
    mvm_autoerror mvm_error *err = NULL;
    struct kernel *k = NULL;

    assert_int_equal(kernel_find(NULL, p->lib, p->cache, &k, &err), MVM_E_NOT_FOUND);
    assert_non_null(strstr(mvm_error_message(err), "run 'microvm kernel fetch'"));
    assert_null(k);
}

static void a_file_of_the_users_wins(void **state)
{
    const struct place *p = *state;
    mvm_autovalue(image) vmlinux = image_vmlinux();
    mvm_autovalue(image) payload = image_pack("gzip", vmlinux.data, vmlinux.len);
    mvm_autovalue(image) small = image_bzimage(payload.data, payload.len);
    mvm_autovalue(image) bzimage = image_new(8192);
    mvm_autofree char *elf_path = path_join(p->path, "a,b=c d");
    mvm_autofree char *bz_path = path_join(p->path, "bz");
    mvm_auto(kernel) by_name = NULL;
    mvm_auto(kernel) by_variable = NULL;

    memcpy(bzimage.data, small.data, small.len);
    put_kernel(p->lib, "6.1", 3);
    put(p->path, "a,b=c d", vmlinux.data, vmlinux.len);
    put(p->path, "bz", bzimage.data, bzimage.len);
    assert_int_equal(setenv("MICROVM_KERNEL", bz_path, 1), 0);
    assert_int_equal(kernel_find(elf_path, p->lib, p->cache, &by_name, NULL), 0);
    assert_string_equal(by_name->vmlinux_path, elf_path);
    assert_string_equal(by_name->source, "file");
    assert_int_equal(kernel_find(NULL, p->lib, p->cache, &by_variable, NULL), 0);
    assert_string_equal(by_variable->vmlinux_path, bz_path);
}

/* A kernel of our own, in the folder @folder below @dir/kernels. */
static void put_built(const char *dir, const char *folder, const char *release)
{
    mvm_autofree char *path = NULL;
    mvm_autofree char *info = NULL;

    assert_true(asprintf(&path, "%s/kernels/%s", dir, folder) > 0);
    assert_true(asprintf(&info,
                         "{\"format\":2,\"release\":\"%s\",\"source\":\"test\","
                         "\"built\":\"sha256:0\",\"vmlinux_size\":3}",
                         release) > 0);
    put(path, "vmlinux", "own", 3);
    put(path, "kernel.json", info, strlen(info));
}

static void assert_named(const struct place *p, const char *name, const char *release, bool built)
{
    mvm_auto(kernel) k = NULL;
    mvm_autoerror mvm_error *err = NULL;

    if (kernel_find(name, p->lib, p->cache, &k, &err) < 0)
        fail_msg("%s: %s", name ? name : "(none)", mvm_error_message(err));
    assert_string_equal(k->release, release);
    assert_int_equal(k->built, built);
    assert_int_equal(k->modules_path != NULL, !built);
}

static void our_own_kernel_comes_before_debians(void **state)
{
    const struct place *p = *state;
    struct kernel **list = NULL;
    struct kernel *fetched = NULL;
    size_t n = 0;

    put_kernel(p->lib, "6.9", 3);
    put_built(p->cache, "6.1-own-1", "6.1-own");
    put_kernel(p->cache, "6.8", 3);
    put_built(p->cache, "6.0-own-1", "6.0-own");
    assert_named(p, NULL, "6.1-own", true);
    assert_int_equal(kernel_list(p->lib, p->cache, &list, &n, NULL), 0);
    assert_int_equal(n, 4);
    assert_string_equal(list[1]->release, "6.0-own");
    assert_string_equal(list[2]->release, "6.9");
    assert_string_equal(list[3]->release, "6.8");
    kernel_list_free(list, n);
    assert_int_equal(kernel_find_fetched(p->cache, &fetched, NULL), 0);
    assert_string_equal(fetched->release, "6.8");
    kernel_free(fetched);
}

static void kernels_go_by_names_and_releases(void **state)
{
    const struct place *p = *state;

    put_kernel(p->cache, "6.8", 3);
    put_kernel(p->cache, "6.7", 3);
    put_built(p->cache, "6.1-own-1", "6.1-own");
    assert_named(p, "own", "6.1-own", true);
    assert_named(p, "stock", "6.8", false);
    assert_named(p, "6.7", "6.7", false);
    assert_int_equal(setenv("MICROVM_KERNEL", "stock", 1), 0);
    assert_named(p, NULL, "6.8", false);
    assert_named(p, "own", "6.1-own", true);
    assert_true(kernel_is_chosen(NULL));
    assert_int_equal(unsetenv("MICROVM_KERNEL"), 0);
    assert_false(kernel_is_chosen(""));
    assert_true(kernel_is_chosen("own"));
}

/* What an image asks for is never a file of the host, even one that is a kernel. */
static void an_image_names_kernels_that_are_here_alone(void **state)
{
    static const char *const names[] = { "own", "6.1.0-1", "" };
    const struct place *p = *state;
    mvm_autofree char *file = path_join(p->cache, "kernels/b/vmlinux");
    struct kernel *k = NULL;

    put_built(p->cache, "b", "6.1.0-2");
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        mvm_autoerror mvm_error *err = NULL;
        int r = kernel_find_here(names[i], p->lib, p->cache, &k, &err);

        assert_int_equal(r, i == 0 ? 0 : MVM_E_NOT_FOUND);
        if (r == 0)
            assert_string_equal(k->release, "6.1.0-2");
        kernel_free(steal_ptr(&k));
    }
    assert_int_equal(kernel_find(file, p->lib, p->cache, &k, NULL), 0);
    kernel_free(steal_ptr(&k));
    assert_int_equal(kernel_find_here(file, p->lib, p->cache, &k, NULL), MVM_E_NOT_FOUND);
}

static void a_name_that_none_has_tells_how_to_get_one(void **state)
{
    const struct place *p = *state;
    mvm_autoerror mvm_error *own = NULL;
    mvm_autoerror mvm_error *stock = NULL;
    struct kernel *k = NULL;

    assert_int_equal(kernel_find("own", p->lib, p->cache, &k, &own), MVM_E_NOT_FOUND);
    assert_non_null(strstr(mvm_error_message(own), "run 'microvm kernel build'"));
    assert_int_equal(kernel_find("stock", p->lib, p->cache, &k, &stock), MVM_E_NOT_FOUND);
    assert_non_null(strstr(mvm_error_message(stock), "run 'microvm kernel fetch'"));
    assert_null(k);
}

static void the_newer_of_two_builds_of_a_release_wins(void **state)
{
    static const struct timespec old[] = { { .tv_sec = 1000 }, { .tv_sec = 1000 } };
    const struct place *p = *state;
    mvm_autofree char *info = path_join(p->cache, "kernels/6.1-own-b/kernel.json");
    mvm_auto(kernel) k = NULL;

    put_built(p->cache, "6.1-own-a", "6.1-own");
    put_built(p->cache, "6.1-own-b", "6.1-own");
    assert_int_equal(utimensat(AT_FDCWD, info, old, 0), 0);
    assert_int_equal(kernel_find(NULL, p->lib, p->cache, &k, NULL), 0);
    assert_non_null(strstr(k->vmlinux_path, "/6.1-own-a/"));
}

static void a_listed_kernel_may_be_named_by_its_file(void **state)
{
    const struct place *p = *state;
    mvm_autofree char *stock = path_join(p->cache, "kernels/6.8/vmlinux");
    mvm_autofree char *own = path_join(p->cache, "kernels/6.1-own-1/vmlinux");

    put_kernel(p->cache, "6.8", 3);
    put_built(p->cache, "6.1-own-1", "6.1-own");
    assert_named(p, stock, "6.8", false);
    assert_named(p, own, "6.1-own", true);
}

static void assert_refused(const struct place *p, const char *name, int code, const char *why)
{
    mvm_autofree char *path = path_join(p->path, name);
    mvm_autoerror mvm_error *err = NULL;
    struct kernel *k = NULL;
    int r = kernel_find(path, p->lib, p->cache, &k, &err);

    assert_null(k);
    if (r != code || !strstr(mvm_error_message(err), why) || !strstr(mvm_error_message(err), name))
        fail_msg("%d '%s' instead of %d '%s'", r, mvm_error_message(err), code, why);
}

static void files_that_are_no_kernel_are_named_with_what_they_are(void **state)
{
    const struct place *p = *state;
    mvm_autovalue(image) vmlinux = image_vmlinux();
    mvm_autovalue(image) text = image_new(8192);
    mvm_autofree char *fifo = path_join(p->path, "fifo");

    assert_refused(p, "absent", MVM_E_NOT_FOUND, "No such file");
    put(p->path, "empty", "", 0);
    assert_refused(p, "empty", MVM_E_FORMAT, "not a kernel: it is too short");
    put(p->path, "text", text.data, text.len);
    assert_refused(p, "text", MVM_E_FORMAT, "neither an ELF file nor a bzImage");
    assert_refused(p, "", MVM_E_FORMAT, "a folder");
    assert_int_equal(mkfifo(fifo, 0600), 0);
    assert_refused(p, "fifo", MVM_E_FORMAT, "a special file");
    image_put32(&vmlinux, 4104, 17);
    put(p->path, "no-pvh", vmlinux.data, vmlinux.len);
    assert_refused(p, "no-pvh", MVM_E_FORMAT, "without the entry point of a PVH guest");
    image_put16(&vmlinux, offsetof(Elf64_Ehdr, e_machine), EM_AARCH64);
    put(p->path, "arm", vmlinux.data, vmlinux.len);
    assert_refused(p, "arm", MVM_E_FORMAT, "not for x86-64");
}

static void headers_and_notes_that_leave_the_file_make_no_kernel(void **state)
{
    static const struct {
        size_t at;
        uint32_t value;
    } damages[] = {
        { offsetof(Elf64_Ehdr, e_phoff), UINT32_MAX },
        { offsetof(Elf64_Ehdr, e_phoff) + 4, UINT32_MAX },
        { offsetof(Elf64_Ehdr, e_phnum), 0xffff },
        { offsetof(Elf64_Ehdr, e_phentsize), 8 },
        { 64 + offsetof(Elf64_Phdr, p_offset), 8180 },
        { 64 + offsetof(Elf64_Phdr, p_offset) + 4, UINT32_MAX },
        { 64 + offsetof(Elf64_Phdr, p_filesz), 15 },
        { 64 + offsetof(Elf64_Phdr, p_filesz) + 4, 1 },
        { 4096, UINT32_MAX },
        { 4100, 5 },
    };
    const struct place *p = *state;

    for (size_t i = 0; i < ARRAY_SIZE(damages); i++) {
        mvm_autovalue(image) vmlinux = image_vmlinux();

        image_put32(&vmlinux, damages[i].at, damages[i].value);
        put(p->path, "vmlinux", vmlinux.data, vmlinux.len);
        assert_refused(p, "vmlinux", MVM_E_FORMAT, "is not a kernel: an ELF file");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_newest_kernel_of_the_cache_is_found, setup, teardown),
        cmocka_unit_test_setup_teardown(the_installed_kernel_comes_first, setup, teardown),
        cmocka_unit_test_setup_teardown(kernels_that_are_not_whole_are_passed_over, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(kernels_of_an_older_format_are_to_be_fetched_again, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(without_a_kernel_the_command_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(a_file_of_the_users_wins, setup, teardown),
        cmocka_unit_test_setup_teardown(our_own_kernel_comes_before_debians, setup, teardown),
        cmocka_unit_test_setup_teardown(kernels_go_by_names_and_releases, setup, teardown),
        cmocka_unit_test_setup_teardown(an_image_names_kernels_that_are_here_alone, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_name_that_none_has_tells_how_to_get_one, setup, teardown),
        cmocka_unit_test_setup_teardown(the_newer_of_two_builds_of_a_release_wins, setup, teardown),
        cmocka_unit_test_setup_teardown(a_listed_kernel_may_be_named_by_its_file, setup, teardown),
        cmocka_unit_test_setup_teardown(files_that_are_no_kernel_are_named_with_what_they_are,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(headers_and_notes_that_leave_the_file_make_no_kernel, setup,
                                        teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
