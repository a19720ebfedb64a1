/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/bzimage.h"

#include "base/mem.h"
#include "machine/decompress.h"

#include <endian.h>

/* Offsets of the setup header, boot.rst, "Details of Header Fields". */
#define SETUP_SECTS 0x1f1
#define BOOT_FLAG 0x1fe
#define BOOT_FLAG_VALUE 0xaa55
#define HEADER_MAGIC 0x202
#define PROTOCOL_VERSION 0x206
#define PAYLOAD_OFFSET 0x248
#define PAYLOAD_LENGTH 0x24c
/* payload_offset and payload_length came with this version. */
#define PROTOCOL_WITH_PAYLOAD 0x0208
/* boot.rst: "for backwards compatibility, if the setup_sects field contains 0, the real value is
 * 4". */
#define SETUP_SECTS_OLD 4
#define SECTOR_SIZE 512

static uint16_t get_le16(const uint8_t *p)
{
    uint16_t v;

    memcpy(&v, p, sizeof(v));
    return le16toh(v);
}

static uint32_t get_le32(const uint8_t *p)
{
    uint32_t v;

    memcpy(&v, p, sizeof(v));
    return le32toh(v);
}

bool bzimage_is_one(const uint8_t *data, size_t len)
{
    return len >= BZIMAGE_HEADER_SIZE && get_le16(data + BOOT_FLAG) == BOOT_FLAG_VALUE &&
           memcmp(data + HEADER_MAGIC, "HdrS", 4) == 0;
}

static bool is_gzip(const uint8_t *data)
{
    return data[0] == 0x1f && data[1] == 0x8b;
}

int bzimage_payload(const uint8_t *data, size_t len, struct bzimage_payload *ret, mvm_error **err)
{
    size_t start, offset, payload_len, unpacked_len;

    if (!bzimage_is_one(data, len))
        return mvm_fail(err, MVM_E_FORMAT, 0, "no boot image: its setup header is missing");
    if (get_le16(data + PROTOCOL_VERSION) < PROTOCOL_WITH_PAYLOAD)
        return mvm_fail(err, MVM_E_UNSUPPORTED, 0, "boot protocol %u.%02u, 2.08 is needed",
                        data[PROTOCOL_VERSION + 1], data[PROTOCOL_VERSION]);
    start = ((data[SETUP_SECTS] ? data[SETUP_SECTS] : SETUP_SECTS_OLD) + (size_t) 1) * SECTOR_SIZE;
    offset = get_le32(data + PAYLOAD_OFFSET);
    payload_len = get_le32(data + PAYLOAD_LENGTH);
    if (start > len || offset > len - start || payload_len > len - start - offset)
        return mvm_fail(err, MVM_E_FORMAT, 0,
                        "payload of %zu bytes at %zu, but the boot image has %zu", payload_len,
                        start + offset, len);
    if (payload_len < 8)
        return mvm_fail(err, MVM_E_FORMAT, 0, "payload of %zu bytes", payload_len);
    data += start + offset;
    /* The kernel's build ends every payload with its unpacked size; in gzip the format itself does
     * (RFC 1952, ISIZE), for the others it is added (scripts/Makefile.lib, size_append). */
    unpacked_len = get_le32(data + payload_len - 4);
    if (unpacked_len == 0)
        return mvm_fail(err, MVM_E_FORMAT, 0, "payload of 0 unpacked bytes");
    if (unpacked_len > BZIMAGE_VMLINUX_MAX)
        return mvm_fail(err, MVM_E_LIMIT, 0, "payload of %zu unpacked bytes, more than %u",
                        unpacked_len, BZIMAGE_VMLINUX_MAX);
    *ret = (struct bzimage_payload){ .data = data,
                                     .len = is_gzip(data) ? payload_len : payload_len - 4,
                                     .unpacked_len = unpacked_len };
    return 0;
}

int bzimage_extract(const uint8_t *data, size_t len, char **ret_data, size_t *ret_len,
                    mvm_error **err)
{
    mvm_autofree char *unpacked = NULL;
    struct bzimage_payload payload;
    size_t unpacked_len;
    int r;

    r = bzimage_payload(data, len, &payload, err);
    if (r == 0)
        r = decompress_memory(payload.data, payload.len, payload.unpacked_len, &unpacked,
                              &unpacked_len, err);
    if (r < 0)
        return mvm_context(err, r, "boot image");
    if (unpacked_len != payload.unpacked_len)
        return mvm_fail(err, MVM_E_FORMAT, 0,
                        "boot image: payload has %zu unpacked bytes, its trailer says %zu",
                        unpacked_len, payload.unpacked_len);
    *ret_data = steal_ptr(&unpacked);
    *ret_len = unpacked_len;
    return 0;
}
