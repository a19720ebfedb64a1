/* SPDX-License-Identifier: Apache-2.0 */
#include "base/crc64.h"
#include "base/le.h"
#include "erofs/writer-internal.h"
#include "image/layer-record.h"

#include <assert.h>

static_assert(LAYER_XATTR_NAME_MAX <= UINT8_MAX && LAYER_XATTR_VALUE_MAX <= UINT16_MAX,
              "e_name_len and e_value_size");
/* What i_xattr_icount can say, and no record can reach: each attribute takes more there, where its
 * prefix is spelled out, than in the image. */
#define XATTR_BODY_MAX (EROFS_XATTR_HEADER + (UINT16_MAX - 1) * EROFS_XATTR_UNIT)
static_assert(LAYER_RECORD_MAX - LAYER_RECORD_FIXED + EROFS_XATTR_HEADER <= XATTR_BODY_MAX,
              "i_xattr_icount");
/* What h_shared_count can say. */
#define XATTR_SHARED_MAX UINT8_MAX

bool xattr_name_split(const char *name, struct xattr_name *ret)
{
    static const struct {
        const char *text;
        unsigned index;
        bool whole;
    } prefixes[] = {
        { "user.", EROFS_XATTR_USER, false },
        { "trusted.", EROFS_XATTR_TRUSTED, false },
        { "security.", EROFS_XATTR_SECURITY, false },
        { "system.posix_acl_access", EROFS_XATTR_ACL_ACCESS, true },
        { "system.posix_acl_default", EROFS_XATTR_ACL_DEFAULT, true },
    };

    for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++) {
        const size_t len = strlen(prefixes[i].text);
        const size_t rest = strncmp(name, prefixes[i].text, len) == 0 ? strlen(name + len) : 0;

        if (strncmp(name, prefixes[i].text, len) != 0 || prefixes[i].whole != (rest == 0))
            continue;
        *ret = (struct xattr_name){ prefixes[i].index, name + len, rest };
        return true;
    }
    return false;
}

int xattr_pool_init(struct xattr_pool *p, mvm_error **err)
{
    *p = (struct xattr_pool){ .items = mem_array(XATTR_POOL_MAX, sizeof(*p->items)) };
    return p->items ? 0 : mvm_fail_nomem(err);
}

void xattr_pool_deinit(struct xattr_pool *p)
{
    free(p->items);
    p->items = NULL;
}

static uint32_t entry_bytes(const struct xattr_name *name, uint32_t value_len)
{
    const uint32_t len = EROFS_XATTR_ENTRY + (uint32_t) name->len + value_len;

    return (len + EROFS_XATTR_UNIT - 1) / EROFS_XATTR_UNIT * EROFS_XATTR_UNIT;
}

static void entry_header(const struct xattr_name *name, uint32_t value_len,
                         unsigned char ret[EROFS_XATTR_ENTRY])
{
    ret[0] = (unsigned char) name->len;
    ret[1] = (unsigned char) name->index;
    le16_put(ret + 2, (uint16_t) value_len);
}

/* The attribute as it stands in the image, where the pool may hold it: its length, else 0. */
static size_t pool_entry(const struct layer_xattr *xattr, unsigned char ret[XATTR_POOL_ENTRY_MAX])
{
    struct xattr_name name;

    if (xattr->value_len > XATTR_POOL_ENTRY_MAX || !xattr_name_split(xattr->name, &name) ||
        name.len > XATTR_POOL_ENTRY_MAX ||
        entry_bytes(&name, xattr->value_len) > XATTR_POOL_ENTRY_MAX)
        return 0;
    memset(ret, 0, XATTR_POOL_ENTRY_MAX);
    entry_header(&name, xattr->value_len, ret);
    memcpy(ret + EROFS_XATTR_ENTRY, name.rest, name.len);
    if (xattr->value_len > 0)
        memcpy(ret + EROFS_XATTR_ENTRY + name.len, xattr->value, xattr->value_len);
    return entry_bytes(&name, xattr->value_len);
}

/* The item of an entry, or the free one where it belongs; NULL: there is no room for it. */
static struct xattr_pool_item *pool_find(const struct xattr_pool *p, const unsigned char *entry,
                                         size_t len)
{
    const uint64_t hash = crc64_add(0, entry, len);

    for (uint32_t i = 0; i < XATTR_POOL_PROBES; i++) {
        struct xattr_pool_item *item = &p->items[(hash + i) % XATTR_POOL_MAX];

        if (item->count == 0 || (item->len == len && memcmp(item->entry, entry, len) == 0))
            return item;
    }
    return NULL;
}

void xattr_pool_count(struct xattr_pool *p, const struct layer_xattr *xattr)
{
    unsigned char entry[XATTR_POOL_ENTRY_MAX];
    const size_t len = pool_entry(xattr, entry);
    struct xattr_pool_item *item = len ? pool_find(p, entry, len) : NULL;

    if (!item)
        return;
    if (item->count == 0) {
        memcpy(item->entry, entry, len);
        item->len = (uint16_t) len;
    }
    item->count++; /* no more inodes than 32 bits can say, and each has a name once */
}

void xattr_pool_number(struct xattr_pool *p)
{
    p->bytes = 0;
    for (uint32_t i = 0; i < XATTR_POOL_MAX; i++)
        if (p->items[i].count > 1) {
            p->items[i].number = p->bytes / EROFS_XATTR_UNIT;
            p->bytes += p->items[i].len;
        }
}

int xattr_pool_write(const struct xattr_pool *p, struct output *o, mvm_error **err)
{
    int r = 0;

    for (uint32_t i = 0; i < XATTR_POOL_MAX && r == 0; i++)
        if (p->items[i].count > 1)
            r = output_put(o, p->items[i].entry, p->items[i].len, err);
    return r;
}

static const struct xattr_pool_item *pool_shared(const struct xattr_pool *p,
                                                 const struct layer_xattr *xattr)
{
    unsigned char entry[XATTR_POOL_ENTRY_MAX];
    const size_t len = pool_entry(xattr, entry);
    const struct xattr_pool_item *item = len ? pool_find(p, entry, len) : NULL;

    return item && item->count > 1 ? item : NULL;
}

uint32_t xattr_measure(const struct xattr_pool *p, const struct layer_record *record)
{
    uint32_t bytes = 0;
    unsigned shared = 0;

    for (uint16_t i = 0; i < record->n_xattrs; i++) {
        const struct layer_xattr *xattr = &record->xattrs[i];
        struct xattr_name name;

        if (!xattr_name_split(xattr->name, &name))
            continue;
        if (shared < XATTR_SHARED_MAX && pool_shared(p, xattr)) {
            shared++;
            bytes += EROFS_XATTR_UNIT;
        } else {
            bytes += entry_bytes(&name, xattr->value_len);
        }
    }
    return bytes > 0 ? EROFS_XATTR_HEADER + bytes : 0;
}

/* The header and the numbers of the shared ones; how many those are. */
static int write_shared(const struct xattr_pool *p, const struct layer_record *record,
                        struct output *o, unsigned *ret, mvm_error **err)
{
    unsigned char head[EROFS_XATTR_HEADER + XATTR_SHARED_MAX * EROFS_XATTR_UNIT] = { 0 };
    unsigned n = 0;

    for (uint16_t i = 0; i < record->n_xattrs && n < XATTR_SHARED_MAX; i++) {
        const struct xattr_pool_item *item = pool_shared(p, &record->xattrs[i]);

        if (item)
            le32_put(head + EROFS_XATTR_HEADER + EROFS_XATTR_UNIT * n++, item->number);
    }
    head[EROFS_XATTR_SHARED] = (unsigned char) n;
    *ret = n;
    return output_put(o, head, EROFS_XATTR_HEADER + (size_t) EROFS_XATTR_UNIT * n, err);
}

static int write_entry(const struct layer_xattr *xattr, const struct xattr_name *name,
                       struct output *o, mvm_error **err)
{
    static const unsigned char zeros[EROFS_XATTR_UNIT];
    const size_t len = EROFS_XATTR_ENTRY + name->len + xattr->value_len;
    unsigned char header[EROFS_XATTR_ENTRY];
    int r;

    entry_header(name, xattr->value_len, header);
    r = output_put(o, header, sizeof(header), err);
    if (r == 0)
        r = output_put(o, name->rest, name->len, err);
    if (r == 0)
        r = output_put(o, xattr->value, xattr->value_len, err);
    return r < 0 ? r : output_put(o, zeros, entry_bytes(name, xattr->value_len) - len, err);
}

int xattr_write(const struct xattr_pool *p, const struct layer_record *record, struct output *o,
                mvm_error **err)
{
    unsigned shared;
    int r = write_shared(p, record, o, &shared, err);

    for (uint16_t i = 0; i < record->n_xattrs && r == 0; i++) {
        const struct layer_xattr *xattr = &record->xattrs[i];
        struct xattr_name name;

        if (!xattr_name_split(xattr->name, &name))
            continue;
        if (shared > 0 && pool_shared(p, xattr))
            shared--; /* beyond the first ones they stand here as well */
        else
            r = write_entry(xattr, &name, o, err);
    }
    return r;
}
