/* SPDX-License-Identifier: Apache-2.0 */
/* What modules say of themselves, and the order that follows from it. */
#include "machine/modules.h"

#include "machine/test-images.h"

#include <stdbool.h>

#define INFO(text) text, sizeof(text)

static void assert_list(const struct strv *v, const char *const *wanted, size_t n)
{
    assert_int_equal(v->n, n);
    for (size_t i = 0; i < n; i++)
        assert_string_equal(v->items[i], wanted[i]);
}

static void modinfo_gives_dependencies_and_soft_ones(void **state)
{
    mvm_autovalue(image)
        image = image_module(INFO("license=GPL\0softdep=pre: crc32c lib_a post: later\0"
                                  "depends=virtio,virtio_ring\0name=x"));
    mvm_autovalue(modinfo) info = { .depends = { .n = 0 } };

    (void) state;
    assert_int_equal(modinfo_parse(image.data, image.len, &info, NULL), 0);
    assert_list(&info.depends, (const char *[]){ "virtio", "virtio_ring" }, 2);
    assert_list(&info.soft_pre, (const char *[]){ "crc32c", "lib_a" }, 2);
}

static void modinfo_may_have_no_dependencies_and_no_end(void **state)
{
    mvm_autovalue(image) image = image_module("depends=\0softdep=post: a\0depends=b", 34);
    mvm_autovalue(modinfo) info = { .depends = { .n = 0 } };

    (void) state;
    assert_int_equal(modinfo_parse(image.data, image.len, &info, NULL), 0);
    assert_list(&info.depends, (const char *[]){ "b" }, 1);
    assert_int_equal(info.soft_pre.n, 0);
}

static void assert_damaged(struct image *image, size_t at, uint32_t value, const char *why)
{
    struct modinfo info;
    mvm_autoerror mvm_error *err = NULL;
    uint32_t kept;
    int r;

    memcpy(&kept, image->data + at, sizeof(kept));
    image_put32(image, at, value);
    r = modinfo_parse(image->data, image->len, &info, &err);
    if (r != MVM_E_FORMAT || !strstr(mvm_error_message(err), why))
        fail_msg("%d '%s' instead of '%s'", r, mvm_error_message(err), why);
    memcpy(image->data + at, &kept, sizeof(kept));
}

static void modinfo_refuses_what_leaves_the_file(void **state)
{
    mvm_autovalue(image) image = image_module(INFO("depends=a"));
    struct image cut = { .data = image.data, .len = sizeof(Elf64_Ehdr) - 1 };
    const size_t names = IMAGE_MODULE_SECTIONS + sizeof(Elf64_Shdr);
    const size_t info = names + sizeof(Elf64_Shdr);
    mvm_autovalue(modinfo) good = { .depends = { .n = 0 } };

    (void) state;
    assert_damaged(&cut, 0, 0x464c457f, "not an ELF file");
    assert_damaged(&image, 0, 0, "not an ELF file");
    assert_damaged(&image, EI_CLASS, ELFCLASS32, "not a 64-bit");
    assert_damaged(&image, offsetof(Elf64_Ehdr, e_shoff), UINT32_MAX, "section names lie outside");
    assert_damaged(&image, offsetof(Elf64_Ehdr, e_shoff) + 4, UINT32_MAX,
                   "section names lie outside");
    assert_damaged(&image, offsetof(Elf64_Ehdr, e_shnum), 0xffff | 1u << 16,
                   "section names lie outside");
    assert_damaged(&image, offsetof(Elf64_Ehdr, e_shnum), 3 | 3u << 16,
                   "section names lie outside");
    assert_damaged(&image, names + offsetof(Elf64_Shdr, sh_size), UINT32_MAX,
                   "section names lie outside");
    assert_damaged(&image, info + offsetof(Elf64_Shdr, sh_name), 12, "no section .modinfo");
    assert_damaged(&image, info + offsetof(Elf64_Shdr, sh_name), UINT32_MAX, "no section .modinfo");
    assert_damaged(&image, info + offsetof(Elf64_Shdr, sh_size), sizeof("depends=a") + 1,
                   ".modinfo lies outside");
    assert_damaged(&image, info + offsetof(Elf64_Shdr, sh_offset) + 4, UINT32_MAX,
                   ".modinfo lies outside");
    assert_damaged(&image, info + offsetof(Elf64_Shdr, sh_type), SHT_NOBITS,
                   ".modinfo lies outside");
    assert_int_equal(modinfo_parse(image.data, image.len, &good, NULL), 0);
}

static void modinfo_limits_the_names(void **state)
{
    char text[16 + 2 * (MODINFO_NAMES_MAX + 1)] = "depends=";
    struct modinfo info;

    (void) state;
    for (size_t i = 0; i < MODINFO_NAMES_MAX; i++)
        memcpy(text + 8 + 2 * i, "a,", 2);
    {
        mvm_autovalue(image) image = image_module(text, strlen(text));
        mvm_autovalue(modinfo) most = { .depends = { .n = 0 } };

        assert_int_equal(modinfo_parse(image.data, image.len, &most, NULL), 0);
        assert_int_equal(most.depends.n, MODINFO_NAMES_MAX);
    }
    text[strlen(text)] = 'a';
    mvm_autovalue(image) image = image_module(text, strlen(text));

    assert_int_equal(modinfo_parse(image.data, image.len, &info, NULL), MVM_E_LIMIT);
}

static void a_signature_is_cut_off_only_when_it_fits(void **state)
{
    static const char magic[] = "~Module signature appended~\n";
    mvm_autovalue(image) image = image_new(100 + 20 + 12 + sizeof(magic) - 1);

    (void) state;
    memcpy(image.data + 132, magic, sizeof(magic) - 1);
    image.data[120 + 11] = 20;
    assert_int_equal(modinfo_unsigned_len(image.data, image.len), 100);
    image.data[120 + 11] = 120;
    assert_int_equal(modinfo_unsigned_len(image.data, image.len), 0);
    image.data[120 + 11] = 121;
    assert_int_equal(modinfo_unsigned_len(image.data, image.len), image.len);
    image.data[120 + 8] = 0xff;
    assert_int_equal(modinfo_unsigned_len(image.data, image.len), image.len);
    image.data[image.len - 1] = 0;
    assert_int_equal(modinfo_unsigned_len(image.data, image.len), image.len);
    assert_int_equal(modinfo_unsigned_len((const uint8_t *) magic, sizeof(magic) - 1),
                     sizeof(magic) - 1);
}

/* Modules of a made-up kernel: "path depends soft". */
struct fake {
    const char *path, *depends, *soft;
};

static int fake_info(void *user, const char *path, struct modinfo *ret, mvm_error **err)
{
    for (const struct fake *f = user; f->path; f++)
        if (strcmp(f->path, path) == 0) {
            if (f->depends)
                assert_int_equal(strv_add(&ret->depends, f->depends), 0);
            if (f->soft)
                assert_int_equal(strv_add(&ret->soft_pre, f->soft), 0);
            return 0;
        }
    return mvm_fail(err, MVM_E_NOT_FOUND, 0, "no '%s'", path);
}

static int resolve(const struct fake *fakes, const char *name, struct strv *ret, mvm_error **err)
{
    mvm_autovalue(modules_list) list = { .paths = { .n = 0 } };

    for (const struct fake *f = fakes; f->path; f++)
        assert_int_equal(strv_add(&list.paths, f->path), 0);
    assert_int_equal(strv_add(&list.builtin, "kernel/lib/part-of-it.ko"), 0);
    return modules_resolve(&list, &name, 1, fake_info, (void *) fakes, ret, err);
}

static void modules_come_after_what_they_need(void **state)
{
    static const struct fake fakes[] = { { "fs/root.ko", "lib_crc", "soft" },
                                         { "lib/lib-crc.ko", "base", NULL },
                                         { "lib/base.ko", "part_of_it", "not_there" },
                                         { "x/soft.ko", "base", NULL },
                                         { "x/unwanted.ko", NULL, NULL },
                                         { NULL, NULL, NULL } };
    mvm_autovalue(strv) order = { .n = 0 };

    (void) state;
    assert_int_equal(resolve(fakes, "root", &order, NULL), 0);
    assert_list(&order,
                (const char *[]){ "lib/base.ko", "x/soft.ko", "lib/lib-crc.ko", "fs/root.ko" }, 4);
}

static void a_missing_module_is_named_with_who_needs_it(void **state)
{
    static const struct fake fakes[] = { { "fs/root.ko", "gone", NULL }, { NULL, NULL, NULL } };
    mvm_autovalue(strv) order = { .n = 0 };
    mvm_autoerror mvm_error *err = NULL;
    mvm_autoerror mvm_error *direct = NULL;

    (void) state;
    assert_int_equal(resolve(fakes, "root", &order, &err), MVM_E_NOT_FOUND);
    assert_string_equal(mvm_error_message(err),
                        "the kernel has no module 'gone', needed by fs/root.ko");
    assert_int_equal(resolve(fakes, "lost", &order, &direct), MVM_E_NOT_FOUND);
    assert_string_equal(mvm_error_message(direct), "the kernel has no module 'lost'");
    assert_int_equal(order.n, 0);
}

static void a_circle_of_modules_is_refused(void **state)
{
    static const struct fake fakes[] = { { "a.ko", "b", NULL },
                                         { "b.ko", "a", NULL },
                                         { NULL, NULL, NULL } };
    mvm_autovalue(strv) order = { .n = 0 };
    mvm_autoerror mvm_error *err = NULL;

    (void) state;
    assert_int_equal(resolve(fakes, "a", &order, &err), MVM_E_FORMAT);
    assert_string_equal(mvm_error_message(err), "modules need each other in a circle: a.ko");
}

/* mod0 needs mod1 needs mod2 ...: 32 are allowed. */
static void the_depth_of_dependencies_is_limited(void **state)
{
    char paths[33][8], names[33][8];
    struct fake fakes[34] = { { NULL, NULL, NULL } };
    mvm_autovalue(strv) order = { .n = 0 };

    (void) state;
    for (int i = 0; i < 33; i++) {
        (void) snprintf(names[i], sizeof(names[i]), "m%d", i);
        (void) snprintf(paths[i], sizeof(paths[i]), "m%d.ko", i);
        fakes[i].path = paths[i];
        if (i > 0)
            fakes[i - 1].depends = names[i];
    }
    assert_int_equal(resolve(fakes, "m1", &order, NULL), 0);
    assert_int_equal(order.n, 32);
    assert_int_equal(resolve(fakes, "m0", &order, NULL), MVM_E_LIMIT);
}

static void lists_are_split_at_line_ends(void **state)
{
    mvm_autovalue(strv) list = { .n = 0 };

    (void) state;
    assert_int_equal(modules_parse_list("a.ko\n\nb.ko", 10, &list, NULL), 0);
    assert_list(&list, (const char *[]){ "a.ko", "b.ko" }, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(modinfo_gives_dependencies_and_soft_ones),
        cmocka_unit_test(modinfo_may_have_no_dependencies_and_no_end),
        cmocka_unit_test(modinfo_refuses_what_leaves_the_file),
        cmocka_unit_test(modinfo_limits_the_names),
        cmocka_unit_test(a_signature_is_cut_off_only_when_it_fits),
        cmocka_unit_test(modules_come_after_what_they_need),
        cmocka_unit_test(a_missing_module_is_named_with_who_needs_it),
        cmocka_unit_test(a_circle_of_modules_is_refused),
        cmocka_unit_test(the_depth_of_dependencies_is_limited),
        cmocka_unit_test(lists_are_split_at_line_ends),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
