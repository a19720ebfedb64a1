/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/kernel-image.h"

#include "base/io.h"
#include "base/mem.h"

#include <elf.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define NOTES_AT KERNEL_HEAD_SIZE
#define FILE_SIZE (NOTES_AT + KERNEL_NOTES_MAX + 16)

/* A vmlinux without its code: headers, and one note segment behind them. */
struct image {
    uint8_t *data; /* owned: FILE_SIZE bytes */
    Elf64_Ehdr e;
    Elf64_Phdr p;
    Elf64_Nhdr note;
};

static struct image image_new(void)
{
    struct image i = {
        .data = calloc(1, FILE_SIZE),
        .e = { .e_ident = ELFMAG,
               .e_machine = EM_X86_64,
               .e_phoff = sizeof(Elf64_Ehdr),
               .e_phentsize = sizeof(Elf64_Phdr),
               .e_phnum = 1 },
        .p = { .p_type = PT_NOTE, .p_offset = NOTES_AT, .p_filesz = sizeof(Elf64_Nhdr) + 8 },
        .note = { .n_namesz = 4, .n_descsz = 4, .n_type = 18 },
    };

    assert_non_null(i.data);
    i.e.e_ident[EI_CLASS] = ELFCLASS64;
    i.e.e_ident[EI_DATA] = ELFDATA2LSB;
    memcpy(i.data + NOTES_AT + sizeof(Elf64_Nhdr), "Xen", 4);
    return i;
}

static int check_bytes(const void *data, size_t len, mvm_error **err)
{
    int fd = -EBADF, r;

    assert_int_equal(io_memfd("image", data, len, true, &fd, NULL), 0);
    r = kernel_image_check(fd, "the-file", err);
    (void) close(fd);
    return r;
}

/* Writes the headers into the file, checks its first @len bytes and frees it. */
static int image_check(struct image *i, size_t len, mvm_error **err)
{
    int r;

    memcpy(i->data, &i->e, sizeof(i->e));
    memcpy(i->data + sizeof(i->e), &i->p, sizeof(i->p));
    memcpy(i->data + NOTES_AT, &i->note, sizeof(i->note));
    r = check_bytes(i->data, len, err);
    free(i->data);
    return r;
}

static void assert_not_a_kernel(int r, mvm_error *err, const char *why)
{
    assert_int_equal(r, MVM_E_FORMAT);
    if (!strstr(mvm_error_message(err), "'the-file' is not a kernel: ") ||
        !strstr(mvm_error_message(err), why))
        fail_msg("'%s', without '%s'", mvm_error_message(err), why);
    mvm_error_free(err);
}

static void check_takes_an_elf_file_with_the_note(void **state)
{
    struct image i = image_new();

    (void) state;
    assert_int_equal(image_check(&i, FILE_SIZE, NULL), 0);
}

static void check_finds_the_note_behind_another(void **state)
{
    struct image i = image_new();

    (void) state;
    memcpy(i.data + NOTES_AT + 20, &i.note, sizeof(i.note));
    memcpy(i.data + NOTES_AT + 32, "Xen", 4);
    i.note.n_type = 1;
    i.note.n_descsz = 1; /* padded to 4 */
    i.p.p_filesz = 40;
    assert_int_equal(image_check(&i, FILE_SIZE, NULL), 0);
}

static void check_refuses_other_machines(void **state)
{
    struct image narrow = image_new(), big = image_new(), arm = image_new();
    mvm_error *err = NULL;
    int r;

    (void) state;
    narrow.e.e_ident[EI_CLASS] = ELFCLASS32;
    r = image_check(&narrow, FILE_SIZE, &err);
    assert_not_a_kernel(r, steal_ptr(&err), "not for x86-64");
    big.e.e_ident[EI_DATA] = ELFDATA2MSB;
    r = image_check(&big, FILE_SIZE, &err);
    assert_not_a_kernel(r, steal_ptr(&err), "not for x86-64");
    arm.e.e_machine = EM_AARCH64;
    r = image_check(&arm, FILE_SIZE, &err);
    assert_not_a_kernel(r, steal_ptr(&err), "not for x86-64");
}

static void check_refuses_program_headers_that_make_no_sense(void **state)
{
    struct image size = image_new(), many = image_new(), far = image_new();
    mvm_error *err = NULL;
    int r;

    (void) state;
    size.e.e_phentsize--;
    r = image_check(&size, FILE_SIZE, &err);
    assert_not_a_kernel(r, steal_ptr(&err), "make no sense");
    many.e.e_phnum = KERNEL_PROGRAM_HEADERS_MAX + 1;
    r = image_check(&many, FILE_SIZE, &err);
    assert_not_a_kernel(r, steal_ptr(&err), "make no sense");
    far.e.e_phoff = UINT64_MAX;
    r = image_check(&far, FILE_SIZE, &err);
    assert_not_a_kernel(r, steal_ptr(&err), "make no sense");
}

static void check_takes_the_most_program_headers(void **state)
{
    struct image i = image_new();
    size_t last = sizeof(i.e) + (KERNEL_PROGRAM_HEADERS_MAX - 1) * sizeof(i.p);

    (void) state;
    memcpy(i.data + last, &i.p, sizeof(i.p));
    i.p.p_type = PT_LOAD;
    i.e.e_phnum = KERNEL_PROGRAM_HEADERS_MAX;
    assert_int_equal(image_check(&i, FILE_SIZE, NULL), 0);
}

static void check_takes_notes_up_to_their_limit(void **state)
{
    struct image most = image_new(), more = image_new();
    mvm_error *err = NULL;
    int r;

    (void) state;
    most.p.p_filesz = KERNEL_NOTES_MAX;
    assert_int_equal(image_check(&most, FILE_SIZE, NULL), 0);
    more.p.p_filesz = KERNEL_NOTES_MAX + 1;
    r = image_check(&more, FILE_SIZE, &err);
    assert_not_a_kernel(r, steal_ptr(&err), "CONFIG_PVH");
}

static void check_refuses_notes_that_are_not_the_one(void **state)
{
    static const struct {
        Elf64_Nhdr note;
        uint32_t type;
        uint64_t offset, size;
    } cases[] = {
        { { 4, 4, 17 }, PT_NOTE, NOTES_AT, 20 }, /* another entry */
        { { 3, 4, 18 }, PT_NOTE, NOTES_AT, 20 }, /* "Xen" without its NUL */
        { { 4, 4, 18 }, PT_LOAD, NOTES_AT, 20 }, /* no notes */
        { { 4, 4, 18 }, PT_NOTE, NOTES_AT, 19 }, /* cut off in the descriptor */
        { { 4, 4, 18 }, PT_NOTE, NOTES_AT, 12 }, /* before the name */
        { { 4, 4, 18 }, PT_NOTE, NOTES_AT, 11 }, /* in the header */
        { { 4, 4, 18 }, PT_NOTE, NOTES_AT, 0 },  /* empty */
        { { 4, 5, 18 }, PT_NOTE, NOTES_AT, 20 }, /* the descriptor's padding */
        { { UINT32_MAX, 4, 18 }, PT_NOTE, NOTES_AT, 20 },
        { { 4, UINT32_MAX, 18 }, PT_NOTE, NOTES_AT, 20 },
        { { 4, 4, 18 }, PT_NOTE, FILE_SIZE - 19, 20 }, /* leaves the file by a byte */
        { { 4, 4, 18 }, PT_NOTE, UINT64_MAX, 20 },
        { { 4, 4, 18 }, PT_NOTE, INT64_MAX, 20 },
        { { 4, 4, 18 }, PT_NOTE, NOTES_AT, UINT64_MAX },
    };

    (void) state;
    for (size_t c = 0; c < ARRAY_SIZE(cases); c++) {
        struct image i = image_new();

        i.note = cases[c].note;
        i.p.p_type = cases[c].type;
        i.p.p_offset = cases[c].offset;
        i.p.p_filesz = cases[c].size;
        if (image_check(&i, FILE_SIZE, NULL) != MVM_E_FORMAT)
            fail_msg("case %zu was taken", c);
    }
}

static void check_refuses_files_that_are_too_short(void **state)
{
    struct image least = image_new(), less = image_new();
    mvm_error *err = NULL;
    int r;

    (void) state;
    r = check_bytes("", 0, &err);
    assert_not_a_kernel(r, steal_ptr(&err), "too short");
    r = check_bytes("#!/bin/sh\n", 10, &err);
    assert_not_a_kernel(r, steal_ptr(&err), "too short");
    r = image_check(&less, KERNEL_HEAD_SIZE - 1, &err);
    assert_not_a_kernel(r, steal_ptr(&err), "too short");
    /* Long enough to be looked at: what it lacks now is the note behind the head. */
    r = image_check(&least, KERNEL_HEAD_SIZE, &err);
    assert_not_a_kernel(r, steal_ptr(&err), "CONFIG_PVH");
}

static void check_knows_a_boot_image_by_flag_and_magic(void **state)
{
    uint8_t data[KERNEL_HEAD_SIZE] = { 0 };
    mvm_error *err = NULL;
    int r;

    (void) state;
    memcpy(data + 0x1fe, "\x55\xaa", 2);
    memcpy(data + 0x202, "HdrS", 4);
    assert_int_equal(check_bytes(data, sizeof(data), NULL), 0);
    data[0x1ff] = 0;
    r = check_bytes(data, sizeof(data), &err);
    assert_not_a_kernel(r, steal_ptr(&err), "neither an ELF file nor a bzImage");
    data[0x1ff] = 0xaa;
    data[0x205] = 's';
    r = check_bytes(data, sizeof(data), &err);
    assert_not_a_kernel(r, steal_ptr(&err), "neither an ELF file nor a bzImage");
}

static void check_refuses_a_long_text(void **state)
{
    char text[KERNEL_HEAD_SIZE];
    mvm_error *err = NULL;
    int r;

    (void) state;
    memset(text, 'x', sizeof(text));
    r = check_bytes(text, sizeof(text), &err);
    assert_not_a_kernel(r, steal_ptr(&err), "neither an ELF file nor a bzImage");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(check_takes_an_elf_file_with_the_note),
        cmocka_unit_test(check_finds_the_note_behind_another),
        cmocka_unit_test(check_refuses_other_machines),
        cmocka_unit_test(check_refuses_program_headers_that_make_no_sense),
        cmocka_unit_test(check_takes_the_most_program_headers),
        cmocka_unit_test(check_takes_notes_up_to_their_limit),
        cmocka_unit_test(check_refuses_notes_that_are_not_the_one),
        cmocka_unit_test(check_refuses_files_that_are_too_short),
        cmocka_unit_test(check_knows_a_boot_image_by_flag_and_magic),
        cmocka_unit_test(check_refuses_a_long_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
