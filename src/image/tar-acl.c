/* SPDX-License-Identifier: Apache-2.0 */
#include "image/tar-acl.h"

#include "base/le.h"

#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>

/* A version, then for each entry what it is about, what it permits and the id. */
#define ACL_HEADER_LEN 4u
#define ACL_ENTRY_LEN 8u

void tar_acl_deinit(struct tar_acl *acl)
{
    free(acl->data);
    *acl = (struct tar_acl){ 0 };
}

struct acl_entry {
    int type, permset, tag, id;
};

static bool next_entry(struct archive_entry *e, int type, struct acl_entry *ret)
{
    const char *name;

    return libarchive()->entry_acl_next(e, type, &ret->type, &ret->permset, &ret->tag, &ret->id,
                                        &name) == ARCHIVE_OK;
}

/* Linux has the entries in this order, users and groups by number. */
static unsigned acl_tag(int tag)
{
    switch (tag) {
    case ARCHIVE_ENTRY_ACL_USER_OBJ:
        return ACL_USER_OBJ;
    case ARCHIVE_ENTRY_ACL_USER:
        return ACL_USER;
    case ARCHIVE_ENTRY_ACL_GROUP_OBJ:
        return ACL_GROUP_OBJ;
    case ARCHIVE_ENTRY_ACL_GROUP:
        return ACL_GROUP;
    case ARCHIVE_ENTRY_ACL_MASK:
        return ACL_MASK;
    case ARCHIVE_ENTRY_ACL_OTHER:
        return ACL_OTHER;
    default:
        return 0;
    }
}

static int compare_entries(const void *a, const void *b)
{
    unsigned tag_a = le16_get(a), tag_b = le16_get(b);
    uint32_t id_a = le32_get((const unsigned char *) a + 4);
    uint32_t id_b = le32_get((const unsigned char *) b + 4);

    if (tag_a != tag_b)
        return tag_a < tag_b ? -1 : 1;
    return id_a < id_b ? -1 : id_a > id_b;
}

/* false: it has no meaning here. */
static bool put_entry(const struct acl_entry *entry, unsigned char *to)
{
    unsigned tag = acl_tag(entry->tag);
    bool has_id = tag == ACL_USER || tag == ACL_GROUP;

    if (!tag || (has_id && entry->id < 0))
        return false;
    le16_put(to, (uint16_t) tag);
    le16_put(to + 2, (uint16_t) (entry->permset & 7));
    le32_put(to + 4, has_id ? (uint32_t) entry->id : (uint32_t) ACL_UNDEFINED_ID);
    return true;
}

int tar_acl_encode(struct archive_entry *e, bool is_default, struct tar_acl *ret)
{
    int want = is_default ? ARCHIVE_ENTRY_ACL_TYPE_DEFAULT : ARCHIVE_ENTRY_ACL_TYPE_ACCESS;
    struct acl_entry entry;
    bool has_meaning = true;

    ret->len = 0;
    if (libarchive()->entry_acl_reset(e, want) == 0)
        return 0;
    ret->name = is_default ? "system.posix_acl_default" : "system.posix_acl_access";
    if (mem_grow(&ret->data, &ret->cap, ACL_HEADER_LEN, 1) < 0)
        return -1;
    le32_put(ret->data, POSIX_ACL_XATTR_VERSION);
    ret->len = ACL_HEADER_LEN;
    while (next_entry(e, want, &entry)) {
        if (mem_grow(&ret->data, &ret->cap, ret->len + ACL_ENTRY_LEN, 1) < 0)
            return -1;
        has_meaning = has_meaning && put_entry(&entry, ret->data + ret->len);
        ret->len += ACL_ENTRY_LEN;
    }
    if (has_meaning)
        qsort(ret->data + ACL_HEADER_LEN, (ret->len - ACL_HEADER_LEN) / ACL_ENTRY_LEN,
              ACL_ENTRY_LEN, compare_entries);
    else
        ret->len = 0;
    return 0;
}

mode_t tar_acl_mode(struct archive_entry *e)
{
    mode_t mode = libarchive()->entry_mode(e) & 07777;
    struct acl_entry entry;

    if (!(libarchive()->entry_acl_types(e) & ARCHIVE_ENTRY_ACL_TYPE_ACCESS))
        return mode;
    (void) libarchive()->entry_acl_reset(e, ARCHIVE_ENTRY_ACL_TYPE_ACCESS);
    while (next_entry(e, ARCHIVE_ENTRY_ACL_TYPE_ACCESS, &entry))
        if (entry.tag == ARCHIVE_ENTRY_ACL_MASK)
            mode = (mode & ~(mode_t) 070) | (mode_t) (entry.permset & 7) << 3;
    return mode;
}
