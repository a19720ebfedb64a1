/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fetching from a package source made here, by the host's own apt and dpkg: a folder with a
 * metapackage and a small package that has a boot image and modules. APT_CONFIG leads apt to it.
 */
#include "machine/kernel.h"

#include "base/child.h"
#include "base/file.h"
#include "base/path.h"
#include "machine/test-images.h"

#include <fcntl.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define RELEASE "6.9-test"
#define SCRIPT_MS 60000

struct site {
    char path[64];
    int fd;
    char *cache; /* owned */
};

static void run_script(const char *script, const char *dir)
{
    char *const argv[] = { (char *) "sh", (char *) "-euc", (char *) script,
                           (char *) "sh", (char *) dir,    NULL };
    const struct child_spec spec = { .argv = argv };
    mvm_autoerror mvm_error *err = NULL;
    int r = child_run(&spec, SCRIPT_MS, 65536, NULL, &err);

    assert_string_equal(mvm_error_message(err), "");
    assert_int_equal(r, 0);
}

static void put_file(const struct site *s, const char *dir, const char *name, const void *data,
                     size_t len)
{
    mvm_autofree char *path = path_join(s->path, dir);
    mvm_autoclose int fd = -EBADF;

    assert_non_null(path);
    assert_int_equal(path_make_dirs(path, 0755, &fd, NULL), 0);
    assert_int_equal(file_write(fd, name, data, len, 0644, NULL), 0);
}

static void put_text(const struct site *s, const char *dir, const char *name, const char *text)
{
    put_file(s, dir, name, text, strlen(text));
}

#define TREE "tree/lib/modules/" RELEASE

static void put_module(const struct site *s, const char *name, const char *info, size_t len,
                       bool packed)
{
    mvm_autovalue(image) module = image_module(info, len);
    mvm_autovalue(image) xz = image_pack("xz", module.data, module.len);
    char file[64];

    (void) snprintf(file, sizeof(file), "%s.ko%s", name, packed ? ".xz" : "");
    if (packed) /* without the kernel build's trailer */
        put_file(s, TREE "/kernel", file, xz.data, xz.len - 4);
    else
        put_file(s, TREE "/kernel", file, module.data, module.len);
}

/* A package tree with all that a guest needs. */
static void put_tree(const struct site *s)
{
    mvm_autovalue(image) vmlinux = image_vmlinux();
    mvm_autovalue(image) payload = image_pack("xz", vmlinux.data, vmlinux.len);
    mvm_autovalue(image) kernel = image_bzimage(payload.data, payload.len);

    put_file(s, "tree/boot", "vmlinuz-" RELEASE, kernel.data, kernel.len);
    put_module(s, "virtio_mmio", "depends=virtio", 15, false);
    put_module(s, "virtio", "depends=", 9, true);
    put_module(s, "virtio_console", "depends=virtio", 15, false);
    put_module(s, "virtio_blk", "depends=virtio", 15, true);
    put_module(s, "overlay", "depends=", 9, false);
    put_module(s, "vsock", "depends=", 9, false);
    put_module(s, "vmw_vsock_virtio_transport_common", "depends=vsock", 14, true);
    put_module(s, "vmw_vsock_virtio_transport", "depends=vmw_vsock_virtio_transport_common", 42,
               false);
    put_text(s, TREE, "modules.order",
             "kernel/overlay.ko\nkernel/virtio_mmio.ko\nkernel/virtio.ko\n"
             "kernel/virtio_console.ko\nkernel/virtio_blk.ko\nkernel/vsock.ko\n"
             "kernel/vmw_vsock_virtio_transport.ko\n"
             "kernel/vmw_vsock_virtio_transport_common.ko\n");
    put_text(s, TREE, "modules.builtin", "kernel/fs/erofs/erofs.ko\n");
}

/* The source without a signature; "[trusted=yes]" in the list of sources stands for one. */
static const char make_source[] =
    "cd \"$1\"; mkdir -p tree/DEBIAN meta/DEBIAN repo\n"
    "for p in 'tree linux-image-" RELEASE " ' 'meta linux-image-cloud-amd64 x'; do\n"
    "  set -- $p\n"
    "  { printf 'Package: %s\\nVersion: 6.9-1\\nArchitecture: all\\nMaintainer: t <t@t>\\n' $2\n"
    "    [ -z \"${3-}\" ] || echo 'Depends: linux-image-" RELEASE " (= 6.9-1)'\n"
    "    printf 'Description: t\\n'; } > $1/DEBIAN/control\n"
    "  dpkg-deb --root-owner-group -Znone --build $1 repo/$2.deb\n"
    "  cat $1/DEBIAN/control >> repo/Packages\n"
    "  printf 'Filename: ./%s.deb\\nSize: %s\\nSHA256: %s\\n\\n' $2 $(stat -c %s repo/$2.deb) \\\n"
    "    $(sha256sum < repo/$2.deb | cut -d' ' -f1) >> repo/Packages\n"
    "done\n";

static void put_sources(const struct site *s, const char *option)
{
    mvm_autofree char *list = NULL;
    mvm_autofree char *conf = NULL;
    mvm_autofree char *conf_path = NULL;

    assert_true(asprintf(&list, "deb %s file:%s/repo ./\n", option, s->path) > 0);
    put_text(s, "etc", "sources.list", list);
    assert_true(asprintf(&conf,
                         "Dir::Etc \"%s/etc\";\nDir::Etc::main \"none\";\nDir::Etc::parts "
                         "\"none\";\nAPT::Get::AllowUnauthenticated \"true\";\n"
                         "Acquire::AllowInsecureRepositories \"true\";\n",
                         s->path) > 0);
    put_text(s, "etc", "apt.conf", conf);
    conf_path = path_join(s->path, "etc/apt.conf");
    assert_int_equal(setenv("APT_CONFIG", conf_path, 1), 0);
}

static int setup(void **state)
{
    struct site *s = calloc(1, sizeof(*s));

    assert_non_null(s);
    (void) snprintf(s->path, sizeof(s->path), "/tmp/microvm-fetch-XXXXXX");
    assert_non_null(mkdtemp(s->path));
    assert_int_equal(chmod(s->path, 0755), 0);
    s->fd = open(s->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    s->cache = path_join(s->path, "cache");
    put_tree(s);
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    struct site *s = *state;
    mvm_autoclose int tmp = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    (void) close(s->fd);
    assert_int_equal(path_remove_tree(tmp, s->path + strlen("/tmp/"), NULL), 0);
    free(s->cache);
    free(s);
    return unsetenv("APT_CONFIG");
}

static struct kernel *fetch(const struct site *s, bool force)
{
    mvm_autoerror mvm_error *err = NULL;
    struct kernel *k = NULL;
    int r = kernel_fetch_debian(s->cache, force, NULL, &k, &err);

    assert_string_equal(mvm_error_message(err), "");
    assert_int_equal(r, 0);
    return k;
}

/* Nothing but kernels and the lock is in the cache. */
static void assert_clean(const struct site *s)
{
    run_script("! ls -A \"$1\"/cache/kernels | grep -q '^[.]fetch'", s->path);
}

static void a_kernel_is_fetched_and_found(void **state)
{
    const struct site *s = *state;
    mvm_auto(kernel) k = NULL;
    mvm_auto(kernel) found = NULL;
    mvm_autovalue(image) vmlinux = image_vmlinux();
    mvm_autofree char *data = NULL;
    size_t len;

    run_script(make_source, s->path);
    put_sources(s, "[trusted=yes]");
    k = fetch(s, false);
    assert_string_equal(k->release, RELEASE);
    assert_string_equal(k->source, "debian linux-image-" RELEASE " 6.9-1");
    assert_int_equal(kernel_verify(k, NULL), 0);
    assert_int_equal(
        file_read(s->fd, "cache/kernels/" RELEASE "/vmlinux", 65536, &data, &len, NULL), 0);
    assert_int_equal(len, vmlinux.len);
    assert_memory_equal(data, vmlinux.data, len);
    assert_int_equal(kernel_find(NULL, "/nowhere", s->cache, &found, NULL), 0);
    assert_string_equal(found->vmlinux_path, k->vmlinux_path);
    assert_clean(s);
}

static void modules_are_archived_in_load_order(void **state)
{
    const struct site *s = *state;
    mvm_auto(kernel) k = NULL;
    struct archive *a = archive_read_new();
    struct archive_entry *e;
    char order[256] = "";

    run_script(make_source, s->path);
    put_sources(s, "[trusted=yes]");
    k = fetch(s, false);
    assert_int_equal(archive_read_support_format_cpio(a), ARCHIVE_OK);
    assert_int_equal(archive_read_open_filename(a, k->modules_path, 4096), ARCHIVE_OK);
    while (archive_read_next_header(a, &e) == ARCHIVE_OK)
        if (strcmp(archive_entry_pathname(e), "lib/modules/" RELEASE "/order") == 0)
            assert_true(archive_read_data(a, order, sizeof(order) - 1) > 0);
    assert_int_equal(archive_read_free(a), ARCHIVE_OK);
    assert_string_equal(
        order, "virtio.ko\nvirtio_mmio.ko\nvirtio_blk.ko\noverlay.ko\n"
               "vsock.ko\nvmw_vsock_virtio_transport_common.ko\nvmw_vsock_virtio_transport.ko\n");
}

static void a_fetched_kernel_is_not_fetched_again(void **state)
{
    const struct site *s = *state;
    mvm_auto(kernel) first = NULL;
    mvm_auto(kernel) second = NULL;
    struct kernel *forced = NULL;

    run_script(make_source, s->path);
    put_sources(s, "[trusted=yes]");
    first = fetch(s, false);
    run_script("rm -r \"$1\"/repo", s->path);
    second = fetch(s, false);
    assert_string_equal(second->release, RELEASE);
    assert_int_equal(kernel_fetch_debian(s->cache, true, NULL, &forced, NULL), MVM_E_NOT_FOUND);
    assert_int_equal(kernel_verify(first, NULL), 0);
    assert_clean(s);
}

static void a_damaged_kernel_is_replaced(void **state)
{
    const struct site *s = *state;
    mvm_auto(kernel) first = NULL;
    mvm_auto(kernel) second = NULL;

    run_script(make_source, s->path);
    put_sources(s, "[trusted=yes]");
    first = fetch(s, false);
    run_script("printf x | dd of=\"$1\"/cache/kernels/" RELEASE
               "/modules.cpio bs=1 seek=300 conv=notrunc",
               s->path);
    assert_int_equal(kernel_verify(first, NULL), MVM_E_DIGEST);
    second = fetch(s, false);
    assert_int_equal(kernel_verify(second, NULL), 0);
    assert_clean(s);
}

/* One that an older program packed, without a format in its kernel.json. */
static void a_kernel_of_an_older_format_is_replaced(void **state)
{
    const struct site *s = *state;
    mvm_auto(kernel) first = NULL;
    mvm_auto(kernel) second = NULL;
    mvm_auto(kernel) found = NULL;

    run_script(make_source, s->path);
    put_sources(s, "[trusted=yes]");
    first = fetch(s, false);
    run_script("cd \"$1\"/cache/kernels/" RELEASE "; grep -q '\"format\": 2' kernel.json\n"
               "sed -i /format/d kernel.json; touch old",
               s->path);
    assert_int_equal(kernel_find(NULL, "/nowhere", s->cache, &found, NULL), MVM_E_NOT_FOUND);
    second = fetch(s, false);
    assert_int_equal(kernel_verify(second, NULL), 0);
    assert_int_equal(kernel_find(NULL, "/nowhere", s->cache, &found, NULL), 0);
    run_script("test ! -e \"$1\"/cache/kernels/" RELEASE "/old", s->path);
    assert_clean(s);
}

static void what_a_killed_fetch_left_is_removed(void **state)
{
    const struct site *s = *state;
    mvm_auto(kernel) k = NULL;

    run_script(make_source, s->path);
    put_sources(s, "[trusted=yes]");
    run_script("mkdir -p \"$1\"/cache/kernels/.fetch-1/deb \"$1\"/cache/kernels/.fetch-2", s->path);
    k = fetch(s, false);
    assert_clean(s);
}

static void assert_fails(const struct site *s, int code, const char *why)
{
    mvm_autoerror mvm_error *err = NULL;
    struct kernel *k = NULL;
    int r = kernel_fetch_debian(s->cache, false, NULL, &k, &err);

    assert_null(k);
    if (r != code || !strstr(mvm_error_message(err), why))
        fail_msg("%d '%s' instead of %d '%s'", r, mvm_error_message(err), code, why);
    assert_clean(s);
}

/* The system's own configuration allows it in this test: ours must win. */
static void an_unsigned_source_is_refused(void **state)
{
    const struct site *s = *state;

    run_script(make_source, s->path);
    put_sources(s, "");
    assert_fails(s, MVM_E_NOT_FOUND, "no signed package source of this host offers");
}

static void a_source_that_is_down_is_told(void **state)
{
    const struct site *s = *state;

    put_sources(s, "[trusted=yes]");
    assert_fails(s, MVM_E_NOT_FOUND, "no signed package source of this host offers");
}

static void a_package_that_differs_from_its_list_is_refused(void **state)
{
    const struct site *s = *state;

    run_script(make_source, s->path);
    put_sources(s, "[trusted=yes]");
    run_script("printf x | dd of=\"$1\"/repo/linux-image-" RELEASE
               ".deb bs=1 seek=2000 conv=notrunc",
               s->path);
    assert_fails(s, MVM_E_CHILD, "download linux-image-" RELEASE);
}

static void a_package_without_a_needed_module_is_refused(void **state)
{
    const struct site *s = *state;

    put_text(s, TREE, "modules.builtin", "");
    run_script(make_source, s->path);
    put_sources(s, "[trusted=yes]");
    assert_fails(s, MVM_E_NOT_FOUND, "the kernel has no module 'erofs'");
}

static void a_package_without_a_kernel_is_refused(void **state)
{
    const struct site *s = *state;

    run_script("rm \"$1\"/tree/boot/*", s->path);
    run_script(make_source, s->path);
    put_sources(s, "[trusted=yes]");
    assert_fails(s, MVM_E_FORMAT, "there is no boot/vmlinuz-<release>");
}

/* Two at once do the work once; the second finds the first one's result. */
static void two_fetches_at_once_end_with_one_kernel(void **state)
{
    const struct site *s = *state;
    mvm_auto(kernel) k = NULL;
    pid_t pid;
    int status;

    run_script(make_source, s->path);
    put_sources(s, "[trusted=yes]");
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct kernel *other = NULL;

        _exit(kernel_fetch_debian(s->cache, false, NULL, &other, NULL) == 0 ? 0 : 1);
    }
    k = fetch(s, false);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(kernel_verify(k, NULL), 0);
    assert_clean(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_kernel_is_fetched_and_found, setup, teardown),
        cmocka_unit_test_setup_teardown(modules_are_archived_in_load_order, setup, teardown),
        cmocka_unit_test_setup_teardown(a_fetched_kernel_is_not_fetched_again, setup, teardown),
        cmocka_unit_test_setup_teardown(a_damaged_kernel_is_replaced, setup, teardown),
        cmocka_unit_test_setup_teardown(a_kernel_of_an_older_format_is_replaced, setup, teardown),
        cmocka_unit_test_setup_teardown(what_a_killed_fetch_left_is_removed, setup, teardown),
        cmocka_unit_test_setup_teardown(an_unsigned_source_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(a_source_that_is_down_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(a_package_that_differs_from_its_list_is_refused, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_package_without_a_needed_module_is_refused, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_package_without_a_kernel_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(two_fetches_at_once_end_with_one_kernel, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
