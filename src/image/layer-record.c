/* SPDX-License-Identifier: Apache-2.0 */
#include "image/layer-record.h"

#include "base/le.h"

#include <sys/sysmacros.h>

const char layer_record_no_memory[] = "out of memory";

/* What a record of this kind has beside a path. */
struct kind_rule {
    bool known;
    bool root_too; /* its path may be "" */
    bool has_link;
    bool has_device;
    bool has_xattrs;
};
static const struct kind_rule rules[] = {
    [LAYER_FILE] = { .known = true, .has_xattrs = true },
    [LAYER_DIR] = { .known = true, .root_too = true, .has_xattrs = true },
    [LAYER_SYMLINK] = { .known = true, .has_link = true, .has_xattrs = true },
    [LAYER_HARDLINK] = { .known = true, .has_link = true },
    [LAYER_CHAR] = { .known = true, .has_device = true, .has_xattrs = true },
    [LAYER_BLOCK_DEVICE] = { .known = true, .has_device = true, .has_xattrs = true },
    [LAYER_FIFO] = { .known = true, .has_xattrs = true },
    [LAYER_WHITEOUT] = { .known = true },
    [LAYER_OPAQUE] = { .known = true, .root_too = true },
};

static bool component_is_normal(const char *c, size_t n)
{
    return n > 0 && n <= LAYER_NAME_MAX && !(n == 1 && c[0] == '.') &&
           !(n == 2 && c[0] == '.' && c[1] == '.');
}

static bool path_is_normal(const char *path, size_t len)
{
    size_t begin = 0;

    if (len > LAYER_PATH_MAX || memchr(path, '\0', len))
        return false;
    for (size_t i = 0; i <= len; i++)
        if (i == len || path[i] == '/') {
            if (!component_is_normal(path + begin, i - begin))
                return false;
            begin = i + 1;
        }
    return true;
}

static const char *link_flaw(const struct layer_record *r)
{
    if (!rules[r->kind].has_link)
        return r->link_len > 0 ? "a link target where none belongs" : NULL;
    if (r->kind == LAYER_HARDLINK)
        return path_is_normal(r->link, r->link_len) ? NULL : "the link's path is not normal";
    if (r->link_len == 0 || r->link_len > LAYER_SYMLINK_MAX || memchr(r->link, '\0', r->link_len))
        return "the symlink's target is empty, too long or has a NUL";
    return NULL;
}

static const char *content_flaw(const struct layer_record *r, uint64_t data_blocks)
{
    uint64_t blocks = layer_blocks(r->size);

    if (r->kind != LAYER_FILE)
        return r->size > 0 || r->data_block > 0 ? "content where none belongs" : NULL;
    if (blocks == 0)
        return r->data_block > 0            ? "a small file with a place in the data"
               : r->size > 0 && !r->content ? "a small file without its content"
                                            : NULL;
    if (blocks > data_blocks || r->data_block > data_blocks - blocks)
        return "the content lies beyond the end of the data";
    return NULL;
}

static const char *xattr_flaw(const struct layer_record *r)
{
    if (r->n_xattrs > 0 && !rules[r->kind].has_xattrs)
        return "extended attributes where none belong";
    for (size_t i = 0; i < r->n_xattrs; i++) {
        const struct layer_xattr *x = &r->xattrs[i];
        size_t len = strnlen(x->name, LAYER_XATTR_NAME_MAX + 1);

        if (len == 0 || len > LAYER_XATTR_NAME_MAX)
            return "the name of an extended attribute is empty or too long";
        if (x->value_len > LAYER_XATTR_VALUE_MAX)
            return "an extended attribute is too long";
        if (i > 0 && strcmp(r->xattrs[i - 1].name, x->name) >= 0)
            return "an extended attribute twice, or not in order";
    }
    return NULL;
}

const char *layer_record_flaw(const struct layer_record *r, uint64_t data_blocks)
{
    const char *flaw;

    if ((unsigned) r->kind >= ARRAY_SIZE(rules) || !rules[r->kind].known)
        return "unknown kind";
    if (r->path_len == 0 ? !rules[r->kind].root_too : !path_is_normal(r->path, r->path_len))
        return "the path is not normal";
    if (r->mode > 07777 || r->mtime_ns >= 1000000000)
        return "the mode or the time is out of range";
    if (!rules[r->kind].has_device && r->device != 0)
        return "device numbers where none belong";
    if (major(r->device) > LAYER_DEVICE_MAJOR_MAX || minor(r->device) > LAYER_DEVICE_MINOR_MAX)
        return "the device numbers are out of range";
    flaw = link_flaw(r);
    if (!flaw)
        flaw = content_flaw(r, data_blocks);
    return flaw ? flaw : xattr_flaw(r);
}

static size_t inline_len(const struct layer_record *r)
{
    return r->kind == LAYER_FILE && r->size <= LAYER_INLINE_MAX ? (size_t) r->size : 0;
}

/* Length and name's length, then a NUL behind the name. */
#define XATTR_FIXED 6u

size_t layer_record_length(const struct layer_record *r)
{
    size_t len = LAYER_RECORD_FIXED + r->path_len + 1u + r->link_len + 1u + inline_len(r);

    for (size_t i = 0; i < r->n_xattrs; i++)
        len += XATTR_FIXED + strlen(r->xattrs[i].name) + 1u + r->xattrs[i].value_len;
    return (len + LAYER_RECORD_ALIGN - 1) & ~(size_t) (LAYER_RECORD_ALIGN - 1);
}

/* Appends; gives the place behind it. */
static unsigned char *put(unsigned char *to, const void *data, size_t len)
{
    if (len > 0)
        memcpy(to, data, len);
    return to + len;
}

void layer_record_encode(const struct layer_record *r, unsigned char *out, size_t len)
{
    unsigned char *to = out + LAYER_RECORD_FIXED;

    memset(out, 0, LAYER_RECORD_FIXED);
    memset(out + len - LAYER_RECORD_ALIGN, 0, LAYER_RECORD_ALIGN);
    le32_put(out + LAYER_RECORD_LENGTH, (uint32_t) len);
    out[LAYER_RECORD_KIND] = (unsigned char) r->kind;
    le16_put(out + LAYER_RECORD_MODE, r->mode);
    le32_put(out + LAYER_RECORD_UID, r->uid);
    le32_put(out + LAYER_RECORD_GID, r->gid);
    le64_put(out + LAYER_RECORD_MTIME, (uint64_t) r->mtime_s);
    le32_put(out + LAYER_RECORD_MTIME_NS, r->mtime_ns);
    le16_put(out + LAYER_RECORD_PATH_LEN, r->path_len);
    le16_put(out + LAYER_RECORD_LINK_LEN, r->link_len);
    le64_put(out + LAYER_RECORD_SIZE, r->size);
    le64_put(out + LAYER_RECORD_PLACE, rules[r->kind].has_device
                                           ? (uint64_t) major(r->device) << 32 | minor(r->device)
                                           : r->data_block);
    le16_put(out + LAYER_RECORD_XATTRS, r->n_xattrs);
    to = put(to, r->path, r->path_len);
    *to++ = '\0';
    to = put(to, r->link, r->link_len);
    *to++ = '\0';
    for (size_t i = 0; i < r->n_xattrs; i++) {
        const struct layer_xattr *x = &r->xattrs[i];
        size_t name_len = strlen(x->name);

        le32_put(to, x->value_len);
        le16_put(to + 4, (uint16_t) name_len);
        to = put(to + XATTR_FIXED, x->name, name_len + 1);
        to = put(to, x->value, x->value_len);
    }
    (void) put(to, r->content, inline_len(r));
}

/* What is left of a record while it is read. */
struct slice {
    const unsigned char *at;
    size_t left;
};

/* The next @len bytes, or NULL. */
static const void *take(struct slice *s, size_t len)
{
    const unsigned char *p = s->at;

    if (len > s->left)
        return NULL;
    s->at += len;
    s->left -= len;
    return p;
}

/* The next @len bytes, none of which is a NUL, and the NUL behind them; or NULL. */
static const char *take_text(struct slice *s, size_t len)
{
    const char *p = take(s, len + 1);

    return p && strnlen(p, len + 1) == len ? p : NULL;
}

static const char *decode_xattrs(struct slice *s, struct layer_cursor *c)
{
    struct layer_record *r = &c->record;

    /* No number costs memory that its record does not have: each has a name and a NUL at least. */
    if (r->n_xattrs > s->left / (XATTR_FIXED + 2))
        return "too many extended attributes";
    if (r->n_xattrs > 0 &&
        mem_grow(&c->xattrs, &c->xattrs_cap, r->n_xattrs - 1u, sizeof(*c->xattrs)) < 0)
        return layer_record_no_memory;
    for (size_t i = 0; i < r->n_xattrs; i++) {
        const unsigned char *lengths = take(s, XATTR_FIXED);
        struct layer_xattr *x = &c->xattrs[i];

        if (!lengths)
            return "an extended attribute is cut";
        x->value_len = le32_get(lengths);
        x->name = take_text(s, le16_get(lengths + 4));
        x->value = x->name ? take(s, x->value_len) : NULL;
        if (!x->value)
            return "an extended attribute is cut";
    }
    r->xattrs = c->xattrs;
    return NULL;
}

/* Kind, numbers and lengths. */
static const char *decode_fixed(const unsigned char *in, struct layer_record *r)
{
    uint64_t place = le64_get(in + LAYER_RECORD_PLACE);

    *r = (struct layer_record){
        .kind = (enum layer_kind) in[LAYER_RECORD_KIND],
        .mode = le16_get(in + LAYER_RECORD_MODE),
        .uid = le32_get(in + LAYER_RECORD_UID),
        .gid = le32_get(in + LAYER_RECORD_GID),
        .mtime_s = (int64_t) le64_get(in + LAYER_RECORD_MTIME),
        .mtime_ns = le32_get(in + LAYER_RECORD_MTIME_NS),
        .path_len = le16_get(in + LAYER_RECORD_PATH_LEN),
        .link_len = le16_get(in + LAYER_RECORD_LINK_LEN),
        .size = le64_get(in + LAYER_RECORD_SIZE),
        .n_xattrs = le16_get(in + LAYER_RECORD_XATTRS),
    };
    if ((unsigned) r->kind >= ARRAY_SIZE(rules) || !rules[r->kind].known)
        return "unknown kind";
    if (in[LAYER_RECORD_KIND + 1] || le16_get(in + LAYER_RECORD_XATTRS + 2) ||
        le32_get(in + LAYER_RECORD_XATTRS + 4))
        return "bytes that should be zero are not";
    if (rules[r->kind].has_device)
        r->device = makedev((unsigned) (place >> 32), (unsigned) place);
    else
        r->data_block = place;
    return NULL;
}

/* Names, attributes and content. */
static const char *decode_rest(struct slice *s, struct layer_cursor *c)
{
    struct layer_record *r = &c->record;
    const char *flaw;

    r->path = take_text(s, r->path_len);
    r->link = r->path ? take_text(s, r->link_len) : NULL;
    if (!r->link)
        return "the path or the link is cut, or has a NUL";
    flaw = decode_xattrs(s, c);
    if (flaw)
        return flaw;
    if (r->kind == LAYER_FILE && r->size <= LAYER_INLINE_MAX) {
        r->content = take(s, (size_t) r->size);
        if (!r->content)
            return "the content is cut";
    }
    for (size_t i = 0; i < s->left; i++)
        if (s->at[i] || i >= LAYER_RECORD_ALIGN - 1)
            return "bytes behind the last one";
    return NULL;
}

const char *layer_record_decode(const unsigned char *in, size_t room, uint64_t data_blocks,
                                struct layer_cursor *c, size_t *ret_len)
{
    struct slice s = { 0 };
    const char *flaw;
    size_t len;

    if (room < LAYER_RECORD_FIXED)
        return "it is cut";
    len = le32_get(in + LAYER_RECORD_LENGTH);
    if (len < LAYER_RECORD_FIXED || len > room || len > LAYER_RECORD_MAX ||
        len % LAYER_RECORD_ALIGN != 0)
        return "its length is out of range";
    s = (struct slice){ .at = in + LAYER_RECORD_FIXED, .left = len - LAYER_RECORD_FIXED };
    flaw = decode_fixed(in, &c->record);
    if (!flaw)
        flaw = decode_rest(&s, c);
    if (!flaw)
        flaw = layer_record_flaw(&c->record, data_blocks);
    if (flaw)
        return flaw;
    *ret_len = len;
    return NULL;
}
