/* SPDX-License-Identifier: Apache-2.0 */
/* For tests of this folder: small files of the kinds that a kernel package has. */
#ifndef MACHINE_TEST_IMAGES_H
#define MACHINE_TEST_IMAGES_H

#include "base/mem.h"

#include <archive.h>
#include <archive_entry.h>
#include <elf.h>
#include <endian.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#define IMAGE_SETUP_SECTS 1
/* Where the payload of image_bzimage() starts: boot sector, set-up, some code. */
#define IMAGE_PAYLOAD_AT ((1 + IMAGE_SETUP_SECTS) * 512 + 64)

struct image {
    uint8_t *data; /* owned */
    size_t len;
};

static inline void image_deinit(struct image *i)
{
    free(i->data);
    *i = (struct image){ .data = NULL };
}
MVM_DEFINE_AUTOVALUE(image, image_deinit)

static inline struct image image_new(size_t len)
{
    struct image i = { .data = calloc(1, len), .len = len };

    assert_non_null(i.data);
    return i;
}

static inline void image_put32(struct image *i, size_t at, uint32_t value)
{
    value = htole32(value);
    memcpy(i->data + at, &value, sizeof(value));
}

static inline void image_put16(struct image *i, size_t at, uint16_t value)
{
    value = htole16(value);
    memcpy(i->data + at, &value, sizeof(value));
}

/* A boot image around @payload, of protocol 2.15. */
static inline struct image image_bzimage(const void *payload, size_t len)
{
    struct image i = image_new(IMAGE_PAYLOAD_AT + len);

    i.data[0x1f1] = IMAGE_SETUP_SECTS;
    image_put16(&i, 0x1fe, 0xaa55);
    memcpy(i.data + 0x202, "HdrS", 4);
    image_put16(&i, 0x206, 0x020f);
    image_put32(&i, 0x248, IMAGE_PAYLOAD_AT - (1 + IMAGE_SETUP_SECTS) * 512);
    image_put32(&i, 0x24c, (uint32_t) len);
    memcpy(i.data + IMAGE_PAYLOAD_AT, payload, len);
    return i;
}

/* @data through the filter of libarchive with this name, and the trailer that the kernel's build
 * puts after every kind but gzip. */
static inline struct image image_pack(const char *filter, const void *data, size_t len)
{
    struct archive *a = archive_write_new();
    struct archive_entry *e = archive_entry_new();
    struct image i = image_new(len + 65536);
    size_t used = 0;

    assert_int_equal(archive_write_add_filter_by_name(a, filter), ARCHIVE_OK);
    assert_int_equal(archive_write_set_format_raw(a), ARCHIVE_OK);
    assert_int_equal(archive_write_set_bytes_in_last_block(a, 1), ARCHIVE_OK);
    assert_int_equal(archive_write_open_memory(a, i.data, i.len, &used), ARCHIVE_OK);
    archive_entry_set_filetype(e, AE_IFREG);
    assert_int_equal(archive_write_header(a, e), ARCHIVE_OK);
    assert_int_equal(archive_write_data(a, data, len), len);
    assert_int_equal(archive_write_close(a), ARCHIVE_OK);
    assert_int_equal(archive_write_free(a), ARCHIVE_OK);
    archive_entry_free(e);
    i.len = used;
    if (strcmp(filter, "gzip") != 0) {
        i.len += 4;
        image_put32(&i, used, (uint32_t) len);
    }
    return i;
}

/* A program header and one note: the PVH entry point. */
static inline struct image image_vmlinux(void)
{
    struct image i = image_new(8192);
    const Elf64_Ehdr eh = { .e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
                            .e_type = htole16(ET_EXEC),
                            .e_machine = htole16(EM_X86_64),
                            .e_phoff = htole64(sizeof(eh)),
                            .e_phentsize = htole16(sizeof(Elf64_Phdr)),
                            .e_phnum = htole16(1) };
    const Elf64_Phdr ph = { .p_type = htole32(PT_NOTE),
                            .p_offset = htole64(4096),
                            .p_filesz = htole64(20) };

    memcpy(i.data, &eh, sizeof(eh));
    memcpy(i.data + sizeof(eh), &ph, sizeof(ph));
    image_put32(&i, 4096, 4);
    image_put32(&i, 4100, 4);
    image_put32(&i, 4104, 18);
    memcpy(i.data + 4108, "Xen", 4);
    return i;
}

/* Where image_module() puts its parts. */
#define IMAGE_MODULE_SECTIONS 64
#define IMAGE_MODULE_NAMES 256
#define IMAGE_MODULE_INFO 320

/* A relocatable file of three sections: none, names, .modinfo with @info. */
static inline struct image image_module(const char *info, size_t len)
{
    static const char names[] = "\0.shstrtab\0.modinfo";
    struct image i = image_new(IMAGE_MODULE_INFO + len);
    const Elf64_Ehdr eh = { .e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
                            .e_type = htole16(ET_REL),
                            .e_machine = htole16(EM_X86_64),
                            .e_shoff = htole64(IMAGE_MODULE_SECTIONS),
                            .e_shentsize = htole16(sizeof(Elf64_Shdr)),
                            .e_shnum = htole16(3),
                            .e_shstrndx = htole16(1) };
    const Elf64_Shdr sections[3] = { { .sh_type = htole32(SHT_NULL) },
                                     { .sh_name = htole32(1),
                                       .sh_type = htole32(SHT_STRTAB),
                                       .sh_offset = htole64(IMAGE_MODULE_NAMES),
                                       .sh_size = htole64(sizeof(names)) },
                                     { .sh_name = htole32(11),
                                       .sh_type = htole32(SHT_PROGBITS),
                                       .sh_offset = htole64(IMAGE_MODULE_INFO),
                                       .sh_size = htole64(len) } };

    memcpy(i.data, &eh, sizeof(eh));
    memcpy(i.data + IMAGE_MODULE_SECTIONS, sections, sizeof(sections));
    memcpy(i.data + IMAGE_MODULE_NAMES, names, sizeof(names));
    memcpy(i.data + IMAGE_MODULE_INFO, info, len);
    return i;
}

#endif
