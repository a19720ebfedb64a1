/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two forms: a bzImage (Linux, Documentation/x86/boot.rst: "HdrS" at 0x202, 0xaa55 at 0x1fe), and a
 * bare ELF vmlinux with the PVH entry point in a Xen note (Xen, xen/include/public/elfnote.h,
 * XEN_ELFNOTE_PHYS32_ENTRY).
 */
#include "machine/kernel-image.h"

#include "base/mem.h"

#include <elf.h>
#include <stdbool.h>
#include <sys/stat.h>

#define NOTE_PHYS32_ENTRY 18

static int not_a_kernel(const char *path, const char *why, mvm_error **err)
{
    return mvm_fail(err, MVM_E_FORMAT, 0, "'%s' is not a kernel: %s", path, why);
}

/* A note's parts are padded to 4 bytes. All sizes are the file's word and checked here. */
static bool notes_have_pvh(const uint8_t *data, size_t len)
{
    size_t at = 0;

    while (len - at >= sizeof(Elf64_Nhdr)) {
        Elf64_Nhdr note;
        size_t name, desc;

        memcpy(&note, data + at, sizeof(note));
        at += sizeof(note);
        name = ((size_t) note.n_namesz + 3) & ~(size_t) 3;
        desc = ((size_t) note.n_descsz + 3) & ~(size_t) 3;
        if (name > len - at || desc > len - at - name)
            return false;
        if (note.n_type == NOTE_PHYS32_ENTRY && note.n_namesz == 4 &&
            memcmp(data + at, "Xen", 4) == 0)
            return true;
        at += name + desc;
    }
    return false;
}

static bool segment_has_pvh(int fd, const Elf64_Phdr *p)
{
    mvm_autofree uint8_t *data = NULL;
    ssize_t n;

    if (p->p_type != PT_NOTE || p->p_filesz > KERNEL_NOTES_MAX || p->p_offset > INT64_MAX)
        return false;
    data = malloc(p->p_filesz + 1);
    n = data ? pread(fd, data, p->p_filesz, (off_t) p->p_offset) : -1;
    return n == (ssize_t) p->p_filesz && notes_have_pvh(data, (size_t) n);
}

static int check_elf(int fd, const uint8_t *head, const char *path, mvm_error **err)
{
    Elf64_Ehdr e;

    memcpy(&e, head, sizeof(e));
    if (e.e_ident[EI_CLASS] != ELFCLASS64 || e.e_ident[EI_DATA] != ELFDATA2LSB ||
        e.e_machine != EM_X86_64)
        return not_a_kernel(path, "an ELF file, but not for x86-64", err);
    if (e.e_phentsize != sizeof(Elf64_Phdr) || e.e_phnum > KERNEL_PROGRAM_HEADERS_MAX ||
        e.e_phoff > INT64_MAX - 65536)
        return not_a_kernel(path, "an ELF file whose program headers make no sense", err);
    for (unsigned i = 0; i < e.e_phnum; i++) {
        Elf64_Phdr p;

        if (pread(fd, &p, sizeof(p), (off_t) (e.e_phoff + i * sizeof(p))) == sizeof(p) &&
            segment_has_pvh(fd, &p))
            return 0;
    }
    return not_a_kernel(path, "an ELF file without the entry point of a PVH guest (CONFIG_PVH)",
                        err);
}

int kernel_image_check(int fd, const char *path, mvm_error **err)
{
    uint8_t head[KERNEL_HEAD_SIZE];
    struct stat st;
    ssize_t n;

    if (fstat(fd, &st) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "stat the kernel '%s'", path);
    if (!S_ISREG(st.st_mode))
        return not_a_kernel(path, S_ISDIR(st.st_mode) ? "a folder" : "a special file", err);
    n = pread(fd, head, sizeof(head), 0);
    if (n < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "read the kernel '%s'", path);
    if (n < (ssize_t) sizeof(head))
        return not_a_kernel(path, "it is too short", err);
    if (memcmp(head, ELFMAG, SELFMAG) == 0)
        return check_elf(fd, head, path, err);
    if (head[0x1fe] == 0x55 && head[0x1ff] == 0xaa && memcmp(head + 0x202, "HdrS", 4) == 0)
        return 0;
    return not_a_kernel(path, "neither an ELF file nor a bzImage", err);
}
