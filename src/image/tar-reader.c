/* SPDX-License-Identifier: Apache-2.0 */
#include "image/tar-reader.h"

#include "base/libarchive.h"
#include "base/strbuf.h"
#include "image/tar-acl.h"
#include "image/tar-headers.h"

#include <locale.h>

struct tar_reader {
    struct archive *archive;     /* owned */
    struct archive_entry *entry; /* borrowed from archive */
    tar_pull_fn *pull;
    void *user;
    mvm_error *stream_error; /* owned: why the stream could not be read */
    int stream_code;
    locale_t locale;        /* owned; C */
    struct tar_acl acls[2]; /* of the entry: the access ACL and the default one */
    size_t next_acl;
    /* The raw headers of the entry that is being read: what is kept of earlier blocks of the
     * stream, and the block at hand. */
    bool in_headers;
    uint64_t headers_from; /* in the stream */
    struct strbuf headers;
    const unsigned char *block; /* borrowed from the stream */
    uint64_t block_from, block_end;
};

static locale_t no_locale(void)
{
    return (locale_t) 0;
}

/* libarchive looks at the calling thread's locale only: nobody else sees the change. */
struct tar_locale {
    locale_t before;
};
static struct tar_locale locale_enter(const struct tar_reader *t)
{
    return (struct tar_locale){ .before = uselocale(t->locale) };
}
static void locale_leave(struct tar_locale *l)
{
    (void) uselocale(l->before);
}
#define TAR_IN_C_LOCALE(t) \
    __attribute__((cleanup(locale_leave), unused)) struct tar_locale locale_ = locale_enter(t)

/* Keeps what the block at hand has of the headers, since the next block takes its place. libarchive
 * asks for that one only when the headers take all of this one: more than may be is told here. */
static int keep_headers(struct tar_reader *t, mvm_error **err)
{
    uint64_t kept = t->headers_from + t->headers.len;
    uint64_t from = kept > t->block_from ? kept : t->block_from;

    if (t->block_end > t->headers_from + TAR_HEADERS_MAX)
        return mvm_fail(err, MVM_E_LIMIT, 0, "the headers of an entry exceed the limit of %u bytes",
                        TAR_HEADERS_MAX);
    if (t->block_end > from)
        strbuf_add(&t->headers, t->block + (from - t->block_from), (size_t) (t->block_end - from));
    return strbuf_check(&t->headers, "headers of an entry", err);
}

/* The headers as far as they are here: libarchive, which reads each when it has all of it, has not
 * yet read what is new. */
static int check_begun(struct tar_reader *t, mvm_error **err)
{
    uint64_t kept = t->headers_from + t->headers.len;
    size_t room = TAR_HEADERS_MAX - t->headers.len;
    int r;

    if (kept >= t->block_end)
        return 0;
    if (t->headers.len == 0)
        return tar_headers_check_begun(t->block + (t->headers_from - t->block_from),
                                       (size_t) (t->block_end - t->headers_from), err);
    strbuf_add(&t->headers, t->block + (kept - t->block_from),
               t->block_end - kept < room ? (size_t) (t->block_end - kept) : room);
    r = strbuf_check(&t->headers, "headers of an entry", err);
    return r < 0 ? r
                 : tar_headers_check_begun((const unsigned char *) strbuf_str(&t->headers),
                                           t->headers.len, err);
}

static ssize_t next_block(struct tar_reader *t, const void **ret, mvm_error **err)
{
    ssize_t n = t->in_headers ? keep_headers(t, err) : 0;
    int r;

    if (n == 0)
        n = t->pull(t->user, ret, err);
    if (n < 0)
        return n;
    t->block = *ret;
    t->block_from = t->block_end;
    t->block_end += (uint64_t) n;
    r = t->in_headers ? check_begun(t, err) : 0;
    return r < 0 ? r : n;
}

static la_ssize_t tar_read(struct archive *a, void *user, const void **ret)
{
    struct tar_reader *t = user;
    ssize_t n = next_block(t, ret, &t->stream_error);

    if (n >= 0)
        return n;
    t->stream_code = (int) n;
    libarchive()->set_error(a, EIO, "the stream cannot be read");
    return ARCHIVE_FATAL;
}

/* The stream's own reason where it has one, else libarchive's. */
static int tar_fail(struct tar_reader *t, mvm_error **err)
{
    const char *text = libarchive()->error_string(t->archive);

    if (t->stream_code < 0) {
        error_move(err, steal_ptr(&t->stream_error));
        return t->stream_code;
    }
    return mvm_fail(err, MVM_E_FORMAT, 0, "malformed tar: %s", text ? text : "no reason given");
}

static ssize_t pull_layer(void *user, const void **ret_data, mvm_error **err)
{
    return layer_stream_read(user, ret_data, err);
}

int tar_reader_new(struct layer_stream *stream, struct tar_reader **ret, mvm_error **err)
{
    return tar_reader_new_pull(pull_layer, stream, ret, err);
}

int tar_reader_new_pull(tar_pull_fn *pull, void *user, struct tar_reader **ret, mvm_error **err)
{
    mvm_auto(tar_reader) t = calloc(1, sizeof(*t));
    int r = libarchive_load(err);

    if (r < 0)
        return r;
    if (!t)
        return mvm_fail_nomem(err);
    t->pull = pull;
    t->user = user;
    t->headers.max = TAR_HEADERS_MAX;
    t->in_headers = true; /* they are at the very beginning */
    t->locale = newlocale(LC_ALL_MASK, "C", no_locale());
    t->archive = libarchive()->read_new();
    if (!t->archive || t->locale == no_locale())
        return mvm_fail_nomem(err);
    TAR_IN_C_LOCALE(t);
    /* A layer without a byte has no entry either. */
    if (libarchive()->read_support_format_tar(t->archive) != ARCHIVE_OK ||
        libarchive()->read_support_format_empty(t->archive) != ARCHIVE_OK ||
        libarchive()->read_open(t->archive, t, NULL, tar_read, NULL) != ARCHIVE_OK)
        return tar_fail(t, err);
    *ret = steal_ptr(&t);
    return 0;
}

void tar_reader_free(struct tar_reader *t)
{
    if (!t)
        return;
    if (t->archive) {
        TAR_IN_C_LOCALE(t);
        (void) libarchive()->read_free(t->archive);
    }
    if (t->locale != no_locale())
        freelocale(t->locale);
    mvm_error_free(t->stream_error);
    tar_acl_deinit(&t->acls[0]);
    tar_acl_deinit(&t->acls[1]);
    strbuf_deinit(&t->headers);
    free(t);
}

static enum tar_kind entry_kind(struct archive_entry *e)
{
    if (libarchive()->entry_hardlink(e))
        return TAR_HARDLINK;
    switch (libarchive()->entry_filetype(e)) {
    case AE_IFREG:
        return TAR_FILE;
    case AE_IFDIR:
        return TAR_DIR;
    case AE_IFLNK:
        return TAR_SYMLINK;
    case AE_IFCHR:
        return TAR_CHAR;
    case AE_IFBLK:
        return TAR_BLOCK;
    case AE_IFIFO:
        return TAR_FIFO;
    default:
        return TAR_OTHER;
    }
}

/* uid_t and gid_t have 32 bits, of which the last value means "leave it" to chown(2). */
static int owner_get(int64_t id, const char *what, uint32_t *ret, mvm_error **err)
{
    if (id < 0 || id >= UINT32_MAX)
        return mvm_fail(err, MVM_E_FORMAT, 0, "%s %lld is not within 0 to %u", what, (long long) id,
                        UINT32_MAX - 1);
    *ret = (uint32_t) id;
    return 0;
}

/* libarchive reads "-100.5" as -100 and half a second after it. */
static struct timespec entry_mtime(struct archive_entry *e)
{
    struct timespec t = { .tv_sec = libarchive()->entry_mtime(e),
                          .tv_nsec = libarchive()->entry_mtime_nsec(e) };

    if (t.tv_nsec < 0 || t.tv_nsec >= 1000000000)
        t.tv_nsec = 0;
    if (t.tv_sec < 0 && t.tv_sec > INT64_MIN && t.tv_nsec > 0) {
        t.tv_sec--;
        t.tv_nsec = 1000000000 - t.tv_nsec;
    }
    return t;
}

static int entry_get(struct archive_entry *e, struct tar_entry *ret, mvm_error **err)
{
    struct tar_entry made = { .kind = entry_kind(e), .name = libarchive()->entry_pathname(e) };
    int64_t size = libarchive()->entry_size(e);
    int r;

    if (!made.name)
        return mvm_fail(err, MVM_E_FORMAT, 0, "an entry has no name");
    /* libarchive takes it for content in a pax archive, where no other reader does: what follows
     * would be lost. */
    if (made.kind == TAR_HARDLINK && size > 0)
        return mvm_fail(err, MVM_E_FORMAT, 0, "'%.256s': a hard link with a size", made.name);
    if (made.kind == TAR_HARDLINK)
        made.link = libarchive()->entry_hardlink(e);
    else if (made.kind == TAR_SYMLINK)
        made.link = libarchive()->entry_symlink(e);
    made.mode = tar_acl_mode(e);
    made.device = libarchive()->entry_rdev(e);
    made.mtime = entry_mtime(e);
    if (size < 0)
        return mvm_fail(err, MVM_E_FORMAT, 0, "'%.256s': a negative size", made.name);
    made.size = made.kind == TAR_FILE ? (uint64_t) size : 0;
    r = owner_get(libarchive()->entry_uid(e), "uid", &made.uid, err);
    if (r == 0)
        r = owner_get(libarchive()->entry_gid(e), "gid", &made.gid, err);
    if (r < 0)
        return mvm_context(err, r, "'%.256s'", made.name);
    *ret = made;
    return 0;
}

/* In the C locale libarchive warns of every name beyond ASCII, and leaves its bytes as they are,
 * which is what is wanted. Each other warning is about a malformed header that it would pass over.
 */
static bool warning_is_harmless(struct archive *a)
{
    const char *text = libarchive()->error_string(a);

    return text && strstr(text, "can't be converted from UTF-8 to current locale");
}

/* Goes to the next header and notes where it is. */
static int begin_headers(struct tar_reader *t, mvm_error **err)
{
    if (!t->entry)
        return 0; /* the first: what libarchive has looked at already is kept */
    t->in_headers = false;
    if (libarchive()->read_data_skip(t->archive) < ARCHIVE_OK)
        return tar_fail(t, err);
    strbuf_reset(&t->headers);
    t->headers_from = (uint64_t) libarchive()->filter_bytes(t->archive, 0);
    t->in_headers = true;
    return check_begun(t, err);
}

static int check_headers(struct tar_reader *t, mvm_error **err)
{
    uint64_t end = (uint64_t) libarchive()->filter_bytes(t->archive, 0);
    size_t len = (size_t) (end - t->headers_from);
    const unsigned char *raw;

    if (len <= TAR_HEADER_LEN)
        return 0;
    if (len > TAR_HEADERS_MAX)
        return mvm_fail(err, MVM_E_LIMIT, 0, "the headers of an entry exceed the limit of %u bytes",
                        TAR_HEADERS_MAX);
    if (t->headers.len == 0) {
        raw = t->block + (t->headers_from - t->block_from);
    } else {
        uint64_t kept = t->headers_from + t->headers.len;

        if (end > kept)
            strbuf_add(&t->headers, t->block + (kept - t->block_from), (size_t) (end - kept));
        raw = (const unsigned char *) strbuf_str(&t->headers);
    }
    return tar_headers_check(raw, len, err);
}

/* The attributes are read from the beginning. */
static int begin_xattrs(struct tar_reader *t, mvm_error **err)
{
    (void) libarchive()->entry_xattr_reset(t->entry); /* gives their count */
    t->next_acl = 0;
    for (size_t i = 0; i < ARRAY_SIZE(t->acls); i++)
        if (tar_acl_encode(t->entry, i > 0, &t->acls[i]) < 0)
            return mvm_fail_nomem(err);
    return 0;
}

int tar_reader_next(struct tar_reader *t, struct tar_entry *ret, mvm_error **err)
{
    int code, r;

    TAR_IN_C_LOCALE(t);
    r = begin_headers(t, err);
    if (r < 0)
        return r;
    code = libarchive()->read_next_header(t->archive, &t->entry);
    /* While libarchive looks for the format, it takes a failure for the end. */
    if (t->stream_code < 0)
        return tar_fail(t, err);
    if (code == ARCHIVE_EOF)
        return 0;
    if (code < ARCHIVE_WARN || (code != ARCHIVE_OK && !warning_is_harmless(t->archive)))
        return tar_fail(t, err);
    r = check_headers(t, err);
    t->in_headers = false;
    if (r == 0)
        r = begin_xattrs(t, err);
    if (r == 0)
        r = entry_get(t->entry, ret, err);
    return r < 0 ? r : 1;
}

bool tar_reader_next_xattr(struct tar_reader *t, struct tar_xattr *ret)
{
    if (libarchive()->entry_xattr_next(t->entry, &ret->name, &ret->value, &ret->size) == ARCHIVE_OK)
        return true;
    while (t->next_acl < ARRAY_SIZE(t->acls)) {
        const struct tar_acl *acl = &t->acls[t->next_acl++];

        *ret = (struct tar_xattr){ .name = acl->name, .value = acl->data, .size = acl->len };
        if (acl->len > 0)
            return true;
    }
    return false;
}

int tar_reader_data(struct tar_reader *t, const void **ret_data, size_t *ret_len,
                    uint64_t *ret_offset, mvm_error **err)
{
    la_int64_t offset = 0;
    int code;

    TAR_IN_C_LOCALE(t);
    code = libarchive()->read_data_block(t->archive, ret_data, ret_len, &offset);
    if (code == ARCHIVE_EOF)
        return 0;
    if (code != ARCHIVE_OK)
        return tar_fail(t, err);
    *ret_offset = (uint64_t) offset;
    return 1;
}
