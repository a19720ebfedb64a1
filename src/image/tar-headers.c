/* SPDX-License-Identifier: Apache-2.0 */
#include "image/tar-headers.h"

#include "base/mem.h"
#include "base/scan.h"

#define FIELD_SIZE 124
#define FIELD_SIZE_LEN 12
#define FIELD_TYPE 156
/* Bytes of a key in a message. */
#define SHOWN_MAX 64
#define ACL_PREFIX "SCHILY.acl."

/* One run over the headers of an entry. */
struct check {
    bool global;     /* the records are of a header for all entries that follow */
    size_t acl_room; /* bytes that the ACLs of the entry may have yet */
};

/* POSIX.1, pax Interchange Format, ustar: octal, ended by a NUL or a space. Base 256 (GNU) has its
 * first bit set, and says sizes that no header of names has. */
static bool read_size(const unsigned char *field, size_t *ret)
{
    size_t size = 0, i = 0;

    while (i < FIELD_SIZE_LEN && field[i] == ' ')
        i++;
    for (; i < FIELD_SIZE_LEN && field[i] >= '0' && field[i] <= '7'; i++)
        size = size * 8 + (size_t) (field[i] - '0');
    *ret = size;
    return i == FIELD_SIZE_LEN || field[i] == '\0' || field[i] == ' ';
}

static int fail_nul(const char *what, mvm_error **err)
{
    return mvm_fail(err, MVM_E_FORMAT, 0, "malformed tar: %s with a NUL inside", what);
}

static int fail_header(mvm_error **err)
{
    return mvm_fail(err, MVM_E_FORMAT, 0, "malformed tar: a header of names is cut");
}

/* GNU: the name and one NUL or more. */
static int check_long_name(const char *text, size_t len, mvm_error **err)
{
    for (size_t i = strnlen(text, len); i < len; i++)
        if (text[i])
            return fail_nul("a long name", err);
    return 0;
}

static bool key_is(const char *key, size_t len, const char *name)
{
    return len == strlen(name) && memcmp(key, name, len) == 0;
}

/* libarchive skips what a global header sets for all entries that follow. What of it would have
 * made other files than those that we see is therefore refused (image.md I-189); the rest, as the
 * comment that git archive writes, is for people. */
static int check_global(const char *key, size_t key_len, size_t len, mvm_error **err)
{
    static const char *const keys[] = { "path", "linkpath", "size", "uid", "gid", "mtime" };
    static const char *const prefixes[] = { "SCHILY.xattr.", "LIBARCHIVE.xattr.", ACL_PREFIX,
                                            "GNU.sparse.", "SCHILY.realsize" };
    bool counts = false;

    if (len == 0)
        return 0; /* takes away what an earlier one set, which was nothing */
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
        counts = counts || key_is(key, key_len, keys[i]);
    for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++)
        counts = counts || (key_len >= strlen(prefixes[i]) &&
                            memcmp(key, prefixes[i], strlen(prefixes[i])) == 0);
    return counts ? mvm_fail(err, MVM_E_UNSUPPORTED, 0,
                             "tar: a global pax header sets '%.*s', which is not supported",
                             key_len < SHOWN_MAX ? (int) key_len : SHOWN_MAX, key)
                  : 0;
}

static int check_value(struct check *c, const char *key, size_t key_len, const char *value,
                       size_t len, mvm_error **err)
{
    static const char *const names[] = { "path", "linkpath", "GNU.sparse.name" };

    if (c->global)
        return check_global(key, key_len, len, err);
    if (key_len >= strlen(ACL_PREFIX) && memcmp(key, ACL_PREFIX, strlen(ACL_PREFIX)) == 0) {
        if (len > c->acl_room)
            return mvm_fail(err, MVM_E_LIMIT, 0, "more than %u bytes of ACLs in an entry",
                            TAR_HEADERS_ACL_MAX);
        c->acl_room -= len;
    }
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        if (key_is(key, key_len, names[i]) && memchr(value, '\0', len))
            return fail_nul(names[i], err);
    return 0;
}

/* POSIX.1, pax Extended Header: records of "LENGTH KEY=VALUE\n", LENGTH counting all of it. */
static int check_pax(struct check *c, const char *p, size_t len, mvm_error **err)
{
    while (len > 0) {
        const char *space = memchr(p, ' ', len), *equals;
        uint64_t record = 0;
        int r;

        if (!space || !scan_u64(p, (size_t) (space - p), len, &record))
            return fail_header(err);
        if (record < (size_t) (space - p) + 2)
            return fail_header(err);
        equals = memchr(space, '=', (size_t) (p + record - space));
        if (!equals)
            return fail_header(err);
        r = check_value(c, space + 1, (size_t) (equals - space - 1), equals + 1,
                        (size_t) (p + record - 1 - equals - 1), err);
        if (r < 0)
            return r;
        p += record;
        len -= (size_t) record;
    }
    return 0;
}

static int check_body(struct check *c, char type, const char *body, size_t size, mvm_error **err)
{
    c->global = type == 'g';
    if (type == 'x' || type == 'X' || type == 'g')
        return check_pax(c, body, size, err);
    return type == 'K' || type == 'L' ? check_long_name(body, size, err) : 0;
}

/* @whole: what is cut is an error, else the end. */
static int check_all(const unsigned char *raw, size_t len, bool whole, mvm_error **err)
{
    struct check c = { .acl_room = TAR_HEADERS_ACL_MAX };

    while (len > TAR_HEADER_LEN) {
        char type = (char) raw[FIELD_TYPE];
        const char *body = (const char *) raw + TAR_HEADER_LEN;
        size_t size = 0, step;
        int r;

        if (!memchr("xXgKLAV", type, 7))
            return 0; /* the entry's own; what follows is the map of a sparse file */
        if (type != 'V' && !read_size(raw + FIELD_SIZE, &size))
            return fail_header(err);
        if (size > len - TAR_HEADER_LEN)
            return whole ? fail_header(err) : 0;
        r = check_body(&c, type, body, size, err);
        if (r < 0)
            return r;
        step = TAR_HEADER_LEN + (size + TAR_HEADER_LEN - 1) / TAR_HEADER_LEN * TAR_HEADER_LEN;
        if (step > len)
            return whole ? fail_header(err) : 0;
        raw += step;
        len -= step;
    }
    return 0;
}

int tar_headers_check(const unsigned char *raw, size_t len, mvm_error **err)
{
    return check_all(raw, len, true, err);
}

int tar_headers_check_begun(const unsigned char *raw, size_t len, mvm_error **err)
{
    return check_all(raw, len, false, err);
}
