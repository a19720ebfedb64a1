/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/kernel-pack.h"

#include "base/file.h"
#include "base/io.h"
#include "base/json.h"
#include "base/path.h"

#include <archive.h>
#include <archive_entry.h>
#include <elf.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <zstd.h>

#include <cmocka.h>

#define RELEASE "6.1.0-test"
#define MODULES "tree/lib/modules/" RELEASE
#define VMLINUX_SIZE 4200

struct place {
    char path[32];
    int fd, tree_fd, out_fd;
};

static void put(const struct place *p, const char *path, const void *data, size_t len)
{
    mvm_autoclose int fd = openat(p->fd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

    assert_true(fd >= 0);
    assert_int_equal(io_write_all(fd, data, len, NULL), 0);
}

/* A boot image around headers and the PVH note, packed by zstd. */
static void put_kernel(const struct place *p, uint32_t note_type)
{
    Elf64_Ehdr e = { .e_ident = ELFMAG,
                     .e_machine = EM_X86_64,
                     .e_phoff = sizeof(e),
                     .e_phentsize = sizeof(Elf64_Phdr),
                     .e_phnum = 1 };
    const Elf64_Phdr ph = { .p_type = PT_NOTE, .p_offset = 4096, .p_filesz = 20 };
    const Elf64_Nhdr note = { 4, 4, note_type };
    uint8_t vmlinux[VMLINUX_SIZE] = { 0 }, image[2048] = { 0 };
    uint32_t len, size = VMLINUX_SIZE;

    e.e_ident[EI_CLASS] = ELFCLASS64;
    e.e_ident[EI_DATA] = ELFDATA2LSB;
    memcpy(vmlinux, &e, sizeof(e));
    memcpy(vmlinux + sizeof(e), &ph, sizeof(ph));
    memcpy(vmlinux + 4096, &note, sizeof(note));
    memcpy(vmlinux + 4108, "Xen", 4);
    image[0x1f1] = 1;
    memcpy(image + 0x1fe, "\x55\xaa", 2);
    memcpy(image + 0x202, "HdrS\x08\x02", 6);
    len = (uint32_t) ZSTD_compress(image + 1024, 1020, vmlinux, sizeof(vmlinux), 3);
    assert_true(len <= 1020);
    memcpy(image + 1024 + len, &size, sizeof(size));
    len += 4;
    memcpy(image + 0x24c, &len, sizeof(len));
    put(p, "tree/boot/vmlinuz-" RELEASE, image, 1024 + len);
}

static void put_module(const struct place *p, const char *name, const char *depends)
{
    static const char names[] = "\0.modinfo";
    Elf64_Ehdr e = { .e_ident = ELFMAG,
                     .e_type = ET_REL,
                     .e_shoff = sizeof(e),
                     .e_shentsize = sizeof(Elf64_Shdr),
                     .e_shnum = 2,
                     .e_shstrndx = 0 };
    Elf64_Shdr s[2] = { { .sh_type = SHT_STRTAB, .sh_size = sizeof(names) },
                        { .sh_name = 1, .sh_type = SHT_PROGBITS } };
    size_t at = sizeof(e) + sizeof(s);
    char data[512], path[128];

    s[0].sh_offset = at;
    s[1].sh_offset = at + sizeof(names);
    s[1].sh_size = strlen(depends);
    e.e_ident[EI_CLASS] = ELFCLASS64;
    e.e_ident[EI_DATA] = ELFDATA2LSB;
    memcpy(data, &e, sizeof(e));
    memcpy(data + sizeof(e), s, sizeof(s));
    memcpy(data + at, names, sizeof(names));
    memcpy(data + at + sizeof(names), depends, strlen(depends));
    (void) snprintf(path, sizeof(path), MODULES "/%s.ko", name);
    put(p, path, data, at + sizeof(names) + strlen(depends));
}

static int setup(void **state)
{
    static const char *const folders[] = {
        "out", "tree", "tree/boot", "tree/lib", "tree/lib/modules", MODULES
    };
    static const char order[] = "virtio_ring.ko\nvirtio_mmio.ko\nvirtio_console.ko\nerofs.ko\n"
                                "overlay.ko\nunused.ko\nvmw_vsock_virtio_transport.ko\n"
                                "vmw_vsock_virtio_transport_common.ko\nvsock.ko\n";
    static const char builtin[] = "kernel/virtio_blk.ko\n";
    struct place *p = calloc(1, sizeof(*p));

    assert_non_null(p);
    (void) snprintf(p->path, sizeof(p->path), "/tmp/microvm-test-XXXXXX");
    assert_non_null(mkdtemp(p->path));
    p->fd = open(p->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (size_t i = 0; i < ARRAY_SIZE(folders); i++)
        assert_int_equal(mkdirat(p->fd, folders[i], 0755), 0);
    p->tree_fd = openat(p->fd, "tree", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    p->out_fd = openat(p->fd, "out", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    put_kernel(p, 18);
    put_module(p, "virtio_ring", "");
    put_module(p, "virtio_mmio", "depends=virtio_ring");
    put_module(p, "virtio_console", "depends=virtio_ring");
    put_module(p, "erofs", "");
    put_module(p, "overlay", "");
    put_module(p, "vsock", "");
    put_module(p, "vmw_vsock_virtio_transport_common", "depends=vsock");
    put_module(p, "vmw_vsock_virtio_transport", "depends=vmw_vsock_virtio_transport_common,vsock");
    put(p, MODULES "/modules.order", order, sizeof(order) - 1);
    put(p, MODULES "/modules.builtin", builtin, sizeof(builtin) - 1);
    *state = p;
    return 0;
}

static int teardown(void **state)
{
    mvm_autoclose int tmp = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct place *p = *state;
    int r = path_remove_tree(tmp, strrchr(p->path, '/') + 1, NULL);

    (void) close(p->fd);
    (void) close(p->tree_fd);
    (void) close(p->out_fd);
    free(p);
    return r;
}

/* libarchive stands for the guest's kernel: another reader of the format. */
static void pack_holds_the_needed_modules_in_load_order(void **state)
{
    static const char *const wanted[] = { "order",
                                          "virtio_ring.ko",
                                          "virtio_mmio.ko",
                                          "erofs.ko",
                                          "overlay.ko",
                                          "vsock.ko",
                                          "vmw_vsock_virtio_transport_common.ko",
                                          "vmw_vsock_virtio_transport.ko" };
    const struct place *p = *state;
    mvm_autofree char *release = NULL;
    mvm_autofree char *data = NULL;
    struct archive *a = archive_read_new();
    struct archive_entry *e;
    size_t len = 0, n = 0;

    assert_int_equal(kernel_pack(p->tree_fd, p->out_fd, "pkg", "1-2", &release, NULL), 0);
    assert_string_equal(release, RELEASE);
    assert_int_equal(file_read(p->out_fd, "modules.cpio", 1 << 20, &data, &len, NULL), 0);
    assert_int_equal(archive_read_support_format_cpio(a), ARCHIVE_OK);
    assert_int_equal(archive_read_open_memory(a, data, len), ARCHIVE_OK);
    while (archive_read_next_header(a, &e) == ARCHIVE_OK)
        if (archive_entry_filetype(e) == AE_IFREG) {
            assert_true(n < ARRAY_SIZE(wanted));
            assert_string_equal(strrchr(archive_entry_pathname(e), '/') + 1, wanted[n++]);
        }
    assert_int_equal(n, ARRAY_SIZE(wanted));
    (void) archive_read_free(a);
}

static void pack_notes_what_it_made(void **state)
{
    const struct place *p = *state;
    mvm_autofree char *release = NULL;
    mvm_autofree char *text = NULL;
    mvm_autojson json_t *info = NULL;
    const char *source = NULL;
    uint64_t size = 0, format = 0;
    size_t len = 0;

    assert_int_equal(kernel_pack(p->tree_fd, p->out_fd, "pkg", "1-2", &release, NULL), 0);
    assert_int_equal(file_read(p->out_fd, "kernel.json", 65536, &text, &len, NULL), 0);
    assert_int_equal(json_parse(text, len, "kernel.json", &info, NULL), 0);
    assert_int_equal(json_need_str(info, "source", &source, NULL), 0);
    assert_string_equal(source, "debian pkg 1-2");
    assert_int_equal(json_get_u64(info, "vmlinux_size", INT64_MAX, &size, NULL), 0);
    assert_int_equal(size, VMLINUX_SIZE);
    assert_int_equal(json_get_u64(info, "format", INT64_MAX, &format, NULL), 0);
    assert_int_equal(format, 2);
}

static void assert_refused(const struct place *p, int code, const char *part)
{
    mvm_autoerror mvm_error *err = NULL;
    char *release = NULL;
    struct stat st;

    assert_int_equal(kernel_pack(p->tree_fd, p->out_fd, "pkg", "1-2", &release, &err), code);
    if (!strstr(mvm_error_message(err), part))
        fail_msg("'%s', without '%s'", mvm_error_message(err), part);
    assert_null(release);
    assert_int_equal(fstatat(p->out_fd, "kernel.json", &st, 0), -1);
}

static void pack_refuses_trees_that_lack_or_have_too_much(void **state)
{
    const struct place *p = *state;

    put_kernel(p, 17);
    assert_refused(p, MVM_E_FORMAT, "CONFIG_PVH");
    put_kernel(p, 18);
    assert_int_equal(unlinkat(p->fd, MODULES "/erofs.ko", 0), 0);
    assert_refused(p, MVM_E_NOT_FOUND, "erofs.ko");
    put_module(p, "erofs", "depends=gone");
    assert_refused(p, MVM_E_NOT_FOUND, "'gone', needed by erofs.ko");
    put(p, "tree/boot/vmlinuz-2", "", 0);
    assert_refused(p, MVM_E_FORMAT, "more than one kernel");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(pack_holds_the_needed_modules_in_load_order, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(pack_notes_what_it_made, setup, teardown),
        cmocka_unit_test_setup_teardown(pack_refuses_trees_that_lack_or_have_too_much, setup,
                                        teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
