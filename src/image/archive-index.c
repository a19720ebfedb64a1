/* SPDX-License-Identifier: Apache-2.0 */
#include "image/archive-index.h"

#include "base/libarchive.h"
#include "image/archive-name.h"

#include <locale.h>

/* One read while headers are looked for: most of it is content, which is skipped. */
#define INDEX_BLOCK (16u << 10)

enum member_kind {
    MEMBER_FILE,
    MEMBER_SYMLINK,
    MEMBER_HARDLINK,
    MEMBER_OTHER /* nothing that could be read */
};

struct member {
    enum member_kind kind;
    char *name; /* owned */
    char *link; /* owned: of links */
    size_t order;
    struct archive_extent extent;
};

struct archive_index {
    struct member *members; /* owned; by name once all are here */
    size_t n, cap;
    size_t name_bytes;
};

/* The reader of one pass. */
struct pass {
    struct archive *archive; /* owned */
    locale_t locale;         /* owned: C, in which libarchive leaves names as they are */
    int fd;                  /* borrowed */
    uint64_t at, size;
    int read_errno; /* of a read that failed */
    unsigned char block[INDEX_BLOCK];
};

static locale_t no_locale(void)
{
    return (locale_t) 0;
}

static void pass_free(struct pass *p)
{
    if (!p)
        return;
    if (p->archive)
        (void) libarchive()->read_free(p->archive);
    if (p->locale != no_locale())
        freelocale(p->locale);
    free(p);
}
MVM_DEFINE_AUTO(pass, pass_free)

void archive_index_free(struct archive_index *index)
{
    if (!index)
        return;
    for (size_t i = 0; i < index->n; i++) {
        free(index->members[i].name);
        free(index->members[i].link);
    }
    free(index->members);
    free(index);
}

static la_ssize_t on_read(struct archive *a, void *user, const void **ret)
{
    struct pass *p = user;
    ssize_t n;

    do
        n = pread(p->fd, p->block, sizeof(p->block), (off_t) p->at);
    while (n < 0 && errno == EINTR);
    if (n < 0) {
        p->read_errno = errno;
        libarchive()->set_error(a, errno, "the archive cannot be read");
        return ARCHIVE_FATAL;
    }
    p->at += (uint64_t) n;
    *ret = p->block;
    return n;
}

/* Content beyond the end of the file is missed at the next read. */
static la_int64_t on_skip(struct archive *a, void *user, la_int64_t request)
{
    struct pass *p = user;
    uint64_t n = request < 0 ? 0 : (uint64_t) request;

    (void) a;
    if (n > p->size - p->at)
        n = p->size - p->at;
    p->at += n;
    return (la_int64_t) n;
}

static int pass_fail(const struct pass *p, mvm_error **err)
{
    const char *text = libarchive()->error_string(p->archive);

    if (p->read_errno)
        return mvm_fail(err, MVM_E_SYS, p->read_errno, "read the archive");
    return mvm_fail(err, MVM_E_FORMAT, 0, "malformed tar: %s", text ? text : "no reason given");
}

static enum member_kind entry_kind(struct archive_entry *e)
{
    if (libarchive()->entry_hardlink(e))
        return MEMBER_HARDLINK;
    if (libarchive()->entry_filetype(e) == AE_IFLNK)
        return MEMBER_SYMLINK;
    /* The bytes of a sparse file do not lie in one piece. */
    if (libarchive()->entry_filetype(e) == AE_IFREG && libarchive()->entry_sparse_count(e) == 0)
        return MEMBER_FILE;
    return MEMBER_OTHER;
}

static int charge_name(struct archive_index *index, const char *text, mvm_error **err)
{
    size_t len = strlen(text);

    if (len > ARCHIVE_NAME_MAX)
        return mvm_fail(err, MVM_E_LIMIT, 0, "'%.64s...': a name of %zu bytes, the limit is %d",
                        text, len, ARCHIVE_NAME_MAX);
    if (len > ARCHIVE_NAMES_MAX - index->name_bytes)
        return mvm_fail(err, MVM_E_LIMIT, 0, "more than %u bytes of names", ARCHIVE_NAMES_MAX);
    index->name_bytes += len;
    return 0;
}

/* What the header at hand says, all but the extent. */
static int member_get(struct archive_index *index, struct archive_entry *e, struct member *m,
                      mvm_error **err)
{
    const char *name = libarchive()->entry_pathname(e);
    const char *link = m->kind == MEMBER_HARDLINK  ? libarchive()->entry_hardlink(e)
                       : m->kind == MEMBER_SYMLINK ? libarchive()->entry_symlink(e)
                                                   : NULL;
    int r;

    if (!name)
        return mvm_fail(err, MVM_E_FORMAT, 0, "a member has no name");
    r = charge_name(index, name, err);
    if (r == 0 && link)
        r = charge_name(index, link, err);
    if (r == 0)
        r = archive_name_resolve(NULL, name, &m->name, err);
    if (r == 0 && link && !(m->link = strdup(link)))
        r = mvm_fail_nomem(err);
    return r;
}

/* The reader stands where the header ends. */
static int extent_get(const struct pass *p, struct archive_entry *e, struct member *m,
                      mvm_error **err)
{
    la_int64_t at = libarchive()->filter_bytes(p->archive, -1), size = libarchive()->entry_size(e);

    if (m->kind != MEMBER_FILE)
        return 0;
    if (at < 0 || size < 0 || (uint64_t) at > p->size || (uint64_t) size > p->size - (uint64_t) at)
        return mvm_fail(err, MVM_E_FORMAT, 0, "'%.256s' is cut off: the archive is incomplete",
                        m->name);
    m->extent = (struct archive_extent){ .offset = (uint64_t) at, .size = (uint64_t) size };
    return 0;
}

static int index_add(struct archive_index *index, const struct pass *p, struct archive_entry *e,
                     mvm_error **err)
{
    struct member *m;
    int r;

    if (index->n == ARCHIVE_MEMBERS_MAX)
        return mvm_fail(err, MVM_E_LIMIT, 0, "more than %d members", ARCHIVE_MEMBERS_MAX);
    if (mem_grow(&index->members, &index->cap, index->n, sizeof(*index->members)) < 0)
        return mvm_fail_nomem(err);
    m = &index->members[index->n];
    *m = (struct member){ .kind = entry_kind(e), .order = index->n };
    index->n++; /* what it has by now goes with the index */
    r = member_get(index, e, m, err);
    return r < 0 ? r : extent_get(p, e, m, err);
}

/* In the C locale libarchive warns of every name beyond ASCII, and leaves its bytes as they are. */
static bool warning_is_harmless(struct archive *a)
{
    const char *text = libarchive()->error_string(a);

    return text && strstr(text, "can't be converted from UTF-8 to current locale");
}

/* In the C locale. */
static int pass_run(struct pass *p, struct archive_index *index, struct image_tick *tick,
                    mvm_error **err)
{
    struct archive_entry *e = NULL;
    int code, r;

    if (libarchive()->read_support_format_tar(p->archive) != ARCHIVE_OK ||
        libarchive()->read_set_skip_callback(p->archive, on_skip) != ARCHIVE_OK ||
        libarchive()->read_set_read_callback(p->archive, on_read) != ARCHIVE_OK ||
        libarchive()->read_set_callback_data(p->archive, p) != ARCHIVE_OK ||
        libarchive()->read_open1(p->archive) != ARCHIVE_OK)
        return pass_fail(p, err);
    for (;;) {
        code = libarchive()->read_next_header(p->archive, &e);
        if (code == ARCHIVE_EOF)
            return 0;
        if (code < ARCHIVE_WARN || (code != ARCHIVE_OK && !warning_is_harmless(p->archive)))
            return pass_fail(p, err);
        r = index_add(index, p, e, err);
        if (r == 0)
            r = image_tick(tick, err);
        if (r < 0)
            return r;
    }
}

/* By name; of several with one name the last comes first. */
static int member_order(const void *a, const void *b)
{
    const struct member *x = a, *y = b;
    int order = strcmp(x->name, y->name);

    return order ? order : (x->order < y->order) - (x->order > y->order);
}

int archive_index_read(int fd, uint64_t size, struct image_tick *tick, struct archive_index **ret,
                       mvm_error **err)
{
    mvm_auto(archive_index) index = calloc(1, sizeof(*index));
    mvm_auto(pass) p = calloc(1, sizeof(*p));
    locale_t before;
    int r = libarchive_load(err);

    if (r < 0)
        return r;
    if (!index || !p)
        return mvm_fail_nomem(err);
    p->fd = fd;
    p->size = size;
    p->locale = newlocale(LC_ALL_MASK, "C", no_locale());
    p->archive = libarchive()->read_new();
    if (p->locale == no_locale() || !p->archive)
        return mvm_fail_nomem(err);
    before = uselocale(p->locale); /* of this thread alone */
    r = pass_run(p, index, tick, err);
    (void) uselocale(before);
    if (r < 0)
        return r;
    if (index->n > 0)
        qsort(index->members, index->n, sizeof(*index->members), member_order);
    *ret = steal_ptr(&index);
    return 0;
}

/* The last member with this name, in its normal form; NULL. */
static const struct member *lookup(const struct archive_index *index, const char *name)
{
    size_t low = 0, high = index->n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (strcmp(index->members[middle].name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < index->n && strcmp(index->members[low].name, name) == 0 ? &index->members[low]
                                                                         : NULL;
}

/* The name that a link leads to. A hard link names a member from the top (POSIX, pax, ustar
 * linkname); old engines wrote them from the link's own folder, as in symbolic links. */
static int follow(const struct archive_index *index, const struct member *m, char **name,
                  mvm_error **err)
{
    mvm_autofree char *next = NULL;
    int r;

    if (m->kind == MEMBER_SYMLINK || archive_name_resolve(NULL, m->link, &next, NULL) < 0 ||
        !lookup(index, next)) {
        free(steal_ptr(&next));
        r = archive_name_resolve(m->name, m->link, &next, err);
        if (r < 0)
            return r;
    }
    free(*name);
    *name = steal_ptr(&next);
    return 0;
}

int archive_index_find(const struct archive_index *index, const char *name,
                       struct archive_extent *ret, mvm_error **err)
{
    mvm_autofree char *at = NULL;
    int r = archive_name_resolve(NULL, name, &at, err);

    for (unsigned links = 0; r == 0; links++) {
        const struct member *m = lookup(index, at);

        if (!m)
            return mvm_fail(err, MVM_E_NOT_FOUND, 0, "no file '%.256s' in the archive", at);
        if (m->kind == MEMBER_FILE) {
            *ret = m->extent;
            return 0;
        }
        if (m->kind == MEMBER_OTHER)
            return mvm_fail(err, MVM_E_FORMAT, 0, "'%.256s' in the archive is not a plain file",
                            at);
        if (links == ARCHIVE_LINKS_MAX)
            return mvm_fail(
                err, MVM_E_LIMIT, 0,
                "'%.256s' in the archive is a link in a circle, or through more than %d others",
                name, ARCHIVE_LINKS_MAX);
        r = follow(index, m, &at, err);
    }
    return r;
}
