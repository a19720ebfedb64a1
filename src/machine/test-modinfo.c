/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/modinfo.h"

#include <elf.h>
#include <endian.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define NAMES "\0.shstrtab\0.modinfo"
#define MAGIC "~Module signature appended~\n"
#define MODULE_MAX 8192

/* Header, three section headers (none, .shstrtab, .modinfo), their names, and the text. */
struct module {
    Elf64_Ehdr e;
    Elf64_Shdr s[3];
    char names[sizeof(NAMES)];
    char text[MODULE_MAX];
    size_t len;
};

static void module_init(struct module *m, const char *text, size_t len)
{
    assert_true(len <= sizeof(m->text));
    *m = (struct module){
        .e = { .e_ident = ELFMAG,
               .e_type = ET_REL,
               .e_shoff = offsetof(struct module, s),
               .e_shentsize = sizeof(Elf64_Shdr),
               .e_shnum = 3,
               .e_shstrndx = 1 },
        .s = { [1] = { .sh_name = 1,
                       .sh_type = SHT_STRTAB,
                       .sh_offset = offsetof(struct module, names),
                       .sh_size = sizeof(NAMES) },
               [2] = { .sh_name = 11,
                       .sh_type = SHT_PROGBITS,
                       .sh_offset = offsetof(struct module, text),
                       .sh_size = len } },
        .names = NAMES,
        .len = offsetof(struct module, text) + len,
    };
    m->e.e_ident[EI_CLASS] = ELFCLASS64;
    m->e.e_ident[EI_DATA] = ELFDATA2LSB;
    memcpy(m->text, text, len);
}

/* From memory of exactly the file's size, so that a sanitizer sees a read beyond it. */
static int module_parse(const struct module *m, size_t len, struct modinfo *ret)
{
    mvm_autofree uint8_t *data = malloc(len ? len : 1);

    assert_non_null(data);
    memcpy(data, m, len);
    return modinfo_parse(data, len, ret, NULL);
}

static int parse_text(const char *text, size_t len, struct modinfo *ret)
{
    struct module *m = malloc(sizeof(*m));
    int r;

    assert_non_null(m);
    module_init(m, text, len);
    r = module_parse(m, m->len, ret);
    free(m);
    return r;
}

static void assert_names(const struct strv *v, const char *const *wanted)
{
    size_t n = 0;

    for (; wanted[n]; n++)
        if (n >= v->n || strcmp(v->items[n], wanted[n]) != 0)
            fail_msg("name %zu: '%s', not '%s'", n, n < v->n ? v->items[n] : "(none)", wanted[n]);
    assert_int_equal(v->n, n);
}

static void parse_reads_both_kinds_of_dependency(void **state)
{
    static const char text[] = "license=GPL\0depends=virtio,virtio_ring,,netfs\0"
                               "softdep=pre: crc32c lz4\tpost: late\0softdep=pre: xz\0name=x";
    mvm_autovalue(modinfo) info = { .depends = { .n = 0 } };

    (void) state;
    assert_int_equal(parse_text(text, sizeof(text), &info), 0);
    assert_names(&info.depends, (const char *const[]){ "virtio", "virtio_ring", "netfs", NULL });
    assert_names(&info.soft_pre, (const char *const[]){ "crc32c", "lz4", "xz", NULL });
}

static void parse_takes_a_module_that_needs_nothing(void **state)
{
    static const char text[] = "depends=\0softdep=post: late\0xdepends=no";
    mvm_autovalue(modinfo) info = { .depends = { .n = 0 } };

    (void) state;
    assert_int_equal(parse_text(text, sizeof(text), &info), 0);
    assert_int_equal(info.depends.n, 0);
    assert_int_equal(info.soft_pre.n, 0);
    assert_int_equal(parse_text("", 0, &info), 0);
}

static void parse_ends_text_without_a_nul_with_its_section(void **state)
{
    mvm_autovalue(modinfo) info = { .depends = { .n = 0 } };

    (void) state;
    assert_int_equal(parse_text("depends=ab", 10, &info), 0);
    assert_names(&info.depends, (const char *const[]){ "ab", NULL });
}

static void parse_takes_names_up_to_their_limit(void **state)
{
    char text[8 + 2 * (MODINFO_NAMES_MAX + 1)] = "depends=";
    mvm_autovalue(modinfo) info = { .depends = { .n = 0 } };
    mvm_autovalue(modinfo) none = { .depends = { .n = 0 } };

    (void) state;
    for (size_t i = 8; i < sizeof(text); i += 2)
        memcpy(text + i, "a,", 2);
    assert_int_equal(parse_text(text, sizeof(text) - 2, &info), 0);
    assert_int_equal(info.depends.n, MODINFO_NAMES_MAX);
    assert_int_equal(parse_text(text, sizeof(text), &none), MVM_E_LIMIT);
    assert_int_equal(none.depends.n, 0);
}

static void parse_refuses_other_files(void **state)
{
    struct modinfo info;
    struct module *m = malloc(sizeof(*m));

    (void) state;
    assert_non_null(m);
    module_init(m, "depends=", 9);
    for (size_t len = 0; len < m->len; len++)
        if (module_parse(m, len, &info) != MVM_E_FORMAT)
            fail_msg("took the first %zu bytes of %zu", len, m->len);
    m->e.e_ident[EI_CLASS] = ELFCLASS32;
    assert_int_equal(module_parse(m, m->len, &info), MVM_E_FORMAT);
    module_init(m, "", 0);
    m->e.e_ident[EI_DATA] = ELFDATA2MSB;
    assert_int_equal(module_parse(m, m->len, &info), MVM_E_FORMAT);
    module_init(m, "", 0);
    m->e.e_type = ET_EXEC;
    assert_int_equal(module_parse(m, m->len, &info), MVM_E_FORMAT);
    module_init(m, "", 0);
    m->e.e_shentsize++;
    assert_int_equal(module_parse(m, m->len, &info), MVM_E_FORMAT);
    free(m);
}

static void parse_refuses_sections_that_leave_the_file(void **state)
{
    static const uint64_t offsets[] = { UINT64_MAX, INT64_MAX, MODULE_MAX * 2, 0 };
    struct modinfo info;
    struct module *m = malloc(sizeof(*m));

    (void) state;
    assert_non_null(m);
    for (size_t i = 0; i < ARRAY_SIZE(offsets); i++) {
        module_init(m, "", 0);
        m->e.e_shoff = offsets[i];
        assert_int_equal(module_parse(m, m->len, &info), MVM_E_FORMAT);
        module_init(m, "", 0);
        m->s[1].sh_offset = offsets[i];
        assert_int_equal(module_parse(m, m->len, &info), MVM_E_FORMAT);
        module_init(m, "x", 1);
        m->s[2].sh_offset = offsets[i];
        m->s[2].sh_size = UINT64_MAX;
        assert_int_equal(module_parse(m, m->len, &info), MVM_E_FORMAT);
    }
    module_init(m, "", 0);
    m->e.e_shstrndx = 3;
    assert_int_equal(module_parse(m, m->len, &info), MVM_E_FORMAT);
    module_init(m, "", 0);
    m->s[2].sh_type = SHT_NOBITS;
    assert_int_equal(module_parse(m, m->len, &info), MVM_E_FORMAT);
    module_init(m, "", 0);
    m->s[2].sh_name = 12; /* "modinfo" */
    assert_int_equal(module_parse(m, m->len, &info), MVM_E_FORMAT);
    free(m);
}

/* "module", @signature bytes, and an end that claims @claimed of them. */
static size_t unsigned_len(size_t signature, uint32_t claimed)
{
    uint8_t data[128] = "module";
    size_t at = 6 + signature;

    claimed = htobe32(claimed);
    memcpy(data + at + 8, &claimed, sizeof(claimed));
    memcpy(data + at + 12, MAGIC, sizeof(MAGIC) - 1);
    return modinfo_unsigned_len(data, at + 12 + sizeof(MAGIC) - 1);
}

static void unsigned_len_leaves_out_the_signature(void **state)
{
    (void) state;
    assert_int_equal(unsigned_len(10, 10), 6);
    assert_int_equal(unsigned_len(10, 16), 0);
    assert_int_equal(unsigned_len(0, 0), 6);
}

static void unsigned_len_keeps_what_has_no_signature_that_fits(void **state)
{
    (void) state;
    assert_int_equal(unsigned_len(10, 17), 16 + 12 + sizeof(MAGIC) - 1);
    assert_int_equal(unsigned_len(10, UINT32_MAX), 16 + 12 + sizeof(MAGIC) - 1);
    assert_int_equal(modinfo_unsigned_len((const uint8_t *) "plain", 5), 5);
    assert_int_equal(modinfo_unsigned_len((const uint8_t *) MAGIC, sizeof(MAGIC) - 1),
                     sizeof(MAGIC) - 1);
    assert_int_equal(modinfo_unsigned_len((const uint8_t *) "", 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parse_reads_both_kinds_of_dependency),
        cmocka_unit_test(parse_takes_a_module_that_needs_nothing),
        cmocka_unit_test(parse_ends_text_without_a_nul_with_its_section),
        cmocka_unit_test(parse_takes_names_up_to_their_limit),
        cmocka_unit_test(parse_refuses_other_files),
        cmocka_unit_test(parse_refuses_sections_that_leave_the_file),
        cmocka_unit_test(unsigned_len_leaves_out_the_signature),
        cmocka_unit_test(unsigned_len_keeps_what_has_no_signature_that_fits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
