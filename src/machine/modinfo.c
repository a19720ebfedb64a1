/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/modinfo.h"

#include <elf.h>
#include <endian.h>
#include <stdbool.h>

#define SIGNATURE_MAGIC "~Module signature appended~\n"
/* struct module_signature (Linux, include/linux/module_signature.h): algo, hash, id_type,
 * signer_len, key_id_len, 3 bytes of padding, then the big-endian length of the signature. */
#define SIGNATURE_INFO_SIZE 12
#define SIGNATURE_LEN_AT 8

struct bytes {
    const uint8_t *data;
    size_t len;
};

void modinfo_deinit(struct modinfo *m)
{
    strv_deinit(&m->depends);
    strv_deinit(&m->soft_pre);
}

/* The only way from an offset in the file to a pointer. */
static bool bytes_slice(struct bytes b, uint64_t offset, uint64_t len, struct bytes *ret)
{
    if (offset > b.len || len > b.len - offset)
        return false;
    *ret = (struct bytes){ b.data + offset, (size_t) len };
    return true;
}

/* Section headers are copied out: nothing says that the table is aligned. */
static bool section_header(struct bytes file, const Elf64_Ehdr *eh, unsigned i, Elf64_Shdr *ret)
{
    struct bytes b, table;

    if (!bytes_slice(file, le64toh(eh->e_shoff), (uint64_t) le16toh(eh->e_shnum) * sizeof(*ret),
                     &table) ||
        !bytes_slice(table, (uint64_t) i * sizeof(*ret), sizeof(*ret), &b))
        return false;
    memcpy(ret, b.data, sizeof(*ret));
    return true;
}

static bool section_bytes(struct bytes file, const Elf64_Shdr *sh, struct bytes *ret)
{
    return le32toh(sh->sh_type) != SHT_NOBITS &&
           bytes_slice(file, le64toh(sh->sh_offset), le64toh(sh->sh_size), ret);
}

static bool name_is(struct bytes names, uint32_t at, const char *wanted)
{
    struct bytes b;

    return bytes_slice(names, at, strlen(wanted) + 1, &b) &&
           memcmp(b.data, wanted, strlen(wanted) + 1) == 0;
}

static int find_modinfo(struct bytes file, struct bytes *ret, mvm_error **err)
{
    Elf64_Ehdr eh;
    Elf64_Shdr sh;
    struct bytes names;

    if (file.len < sizeof(eh) || memcmp(file.data, ELFMAG, SELFMAG) != 0)
        return mvm_fail(err, MVM_E_FORMAT, 0, "not an ELF file");
    memcpy(&eh, file.data, sizeof(eh));
    if (eh.e_ident[EI_CLASS] != ELFCLASS64 || eh.e_ident[EI_DATA] != ELFDATA2LSB ||
        le16toh(eh.e_type) != ET_REL || le16toh(eh.e_shentsize) != sizeof(Elf64_Shdr))
        return mvm_fail(err, MVM_E_FORMAT, 0, "not a 64-bit relocatable ELF file");
    if (!section_header(file, &eh, le16toh(eh.e_shstrndx), &sh) ||
        !section_bytes(file, &sh, &names))
        return mvm_fail(err, MVM_E_FORMAT, 0, "its section names lie outside of it");
    for (unsigned i = 0; i < le16toh(eh.e_shnum); i++) {
        if (!section_header(file, &eh, i, &sh))
            return mvm_fail(err, MVM_E_FORMAT, 0, "its section table lies outside of it");
        if (!name_is(names, le32toh(sh.sh_name), ".modinfo"))
            continue;
        if (!section_bytes(file, &sh, ret))
            return mvm_fail(err, MVM_E_FORMAT, 0, "its section .modinfo lies outside of it");
        return 0;
    }
    return mvm_fail(err, MVM_E_FORMAT, 0, "it has no section .modinfo");
}

/* Adds the names in @text, separated by any of @separators. */
static int add_names(struct strv *names, const char *text, size_t len, const char *separators,
                     mvm_error **err)
{
    for (size_t at = 0; at < len;) {
        size_t n = 0;

        while (at + n < len && !strchr(separators, text[at + n]))
            n++;
        if (n > 0 && names->n == MODINFO_NAMES_MAX)
            return mvm_fail(err, MVM_E_LIMIT, 0, "it names more than %d modules",
                            MODINFO_NAMES_MAX);
        if (n > 0 && strv_addn(names, text + at, n) < 0)
            return mvm_fail_nomem(err);
        at += n + 1;
    }
    return 0;
}

/* "pre: a b post: c" (modprobe.d(5), softdep): what follows "pre:". */
static int add_soft(struct strv *names, const char *text, size_t len, mvm_error **err)
{
    const char *pre = memmem(text, len, "pre:", 4);
    const char *post;

    if (!pre)
        return 0;
    pre += 4;
    post = memmem(pre, len - (size_t) (pre - text), "post:", 5);
    return add_names(names, pre, post ? (size_t) (post - pre) : len - (size_t) (pre - text), " \t",
                     err);
}

static bool take_key(const char **text, size_t *len, const char *key)
{
    size_t n = strlen(key);

    if (*len < n || memcmp(*text, key, n) != 0)
        return false;
    *text += n;
    *len -= n;
    return true;
}

int modinfo_parse(const uint8_t *data, size_t len, struct modinfo *ret, mvm_error **err)
{
    mvm_autovalue(modinfo) m = { .depends = { .n = 0 } };
    struct bytes section;
    int r = find_modinfo((struct bytes){ data, len }, &section, err);

    for (size_t at = 0; r == 0 && at < section.len;) {
        const char *text = (const char *) section.data + at;
        size_t text_len = strnlen(text, section.len - at);

        at += text_len + 1;
        if (take_key(&text, &text_len, "depends="))
            r = add_names(&m.depends, text, text_len, ",", err);
        else if (take_key(&text, &text_len, "softdep="))
            r = add_soft(&m.soft_pre, text, text_len, err);
    }
    if (r < 0)
        return mvm_context(err, r, "kernel module");
    *ret = m;
    m = (struct modinfo){ .depends = { .n = 0 } };
    return 0;
}

size_t modinfo_unsigned_len(const uint8_t *data, size_t len)
{
    size_t magic_len = sizeof(SIGNATURE_MAGIC) - 1, rest;
    uint32_t signature_len;

    if (len < magic_len + SIGNATURE_INFO_SIZE ||
        memcmp(data + len - magic_len, SIGNATURE_MAGIC, magic_len) != 0)
        return len;
    rest = len - magic_len - SIGNATURE_INFO_SIZE;
    memcpy(&signature_len, data + rest + SIGNATURE_LEN_AT, sizeof(signature_len));
    signature_len = be32toh(signature_len);
    return signature_len > rest ? len : rest - signature_len;
}
