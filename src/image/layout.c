/* SPDX-License-Identifier: Apache-2.0 */
/* An OCI layout as a source (OCI image-spec, image-layout.md): index.json, and blobs named by their
 * digest. */
#include "image/source.h"

#include "base/file.h"
#include "base/json.h"
#include "base/path.h"
#include "base/strbuf.h"

#include <fcntl.h>
#include <sys/stat.h>

/* "oci-layout" is one key. */
#define LAYOUT_FILE_MAX 4096
/* Enough of a list of tags for a message. */
#define LAYOUT_TAGS_MAX 1024
/* "blobs/sha512/" and the digest. */
#define BLOB_PATH_MAX (32 + 2 * DIGEST_BYTES_MAX)

struct layout_source {
    struct image_source base;
    int fd;    /* owned: the layout's folder */
    char *tag; /* owned; NULL: none asked for */
};

struct layout_reader {
    struct blob_reader base;
    int fd; /* owned */
};

static ssize_t layout_read(struct blob_reader *base, void *data, size_t len, mvm_error **err)
{
    struct layout_reader *reader = (struct layout_reader *) base;
    ssize_t n;

    do
        n = read(reader->fd, data, len);
    while (n < 0 && errno == EINTR);
    return n < 0 ? mvm_fail(err, MVM_E_SYS, errno, "read a blob") : n;
}

static void layout_reader_free(struct blob_reader *base)
{
    struct layout_reader *reader = (struct layout_reader *) base;

    (void) close(reader->fd);
    free(reader);
}

static int layout_open_blob(struct image_source *base, const struct oci_descriptor *d,
                            struct image_tick *tick, struct blob_reader **ret, mvm_error **err)
{
    struct layout_source *s = (struct layout_source *) base;
    const struct digest_text text = digest_format(&d->digest);
    struct layout_reader *reader;
    mvm_autoclose int fd = -EBADF;
    char path[BLOB_PATH_MAX];
    struct stat st;
    int r;

    (void) tick; /* a local file does not keep anybody waiting */
    /* Fits: both parts of a digest have their maximum. */
    (void) snprintf(path, sizeof(path), "blobs/%.*s/%s", (int) strcspn(text.text, ":"), text.text,
                    digest_hex(&text));
    /* Not blocking: a FIFO in the place of a blob must not hold us. */
    r = path_open_beneath(s->fd, path, O_RDONLY | O_NONBLOCK, 0, &fd, err);
    if (r < 0)
        return r;
    if (fstat(fd, &st) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "look at '%s'", path);
    if (!S_ISREG(st.st_mode))
        return mvm_fail(err, MVM_E_FORMAT, 0, "'%s' is not a regular file", path);
    reader = calloc(1, sizeof(*reader));
    if (!reader)
        return mvm_fail_nomem(err);
    reader->base = (struct blob_reader){ .read = layout_read,
                                         .free = layout_reader_free,
                                         .has_size = true,
                                         .size = (uint64_t) st.st_size };
    reader->fd = steal_fd(&fd);
    *ret = &reader->base;
    return 0;
}

static int layout_open_manifest(struct image_source *base, const struct oci_descriptor *d,
                                struct source_document *ret, mvm_error **err)
{
    mvm_auto(blob_reader) reader = NULL;
    mvm_autofree char *text = NULL;
    char *type;
    size_t len = 0;
    int r = layout_open_blob(base, d, NULL, &reader, err);

    if (r == 0)
        r = blob_read_all(reader, d, OCI_INDEX_MAX, &text, &len, err);
    if (r < 0)
        return mvm_context(err, r, "manifest %s", digest_format(&d->digest).text);
    type = strdup(d->media_type);
    if (!type)
        return mvm_fail_nomem(err);
    *ret = (struct source_document){ .text = steal_ptr(&text), .len = len, .media_type = type };
    return 0;
}

/* Which tag to take where none was asked for: NULL for the sole entry. */
static int default_tag(const struct oci_index *index, const char **ret, mvm_error **err)
{
    mvm_autovalue(strbuf) tags = STRBUF_INIT(LAYOUT_TAGS_MAX);

    if (index->n_entries == 0)
        return mvm_fail(err, MVM_E_NOT_FOUND, 0, "the layout holds no image");
    *ret = NULL;
    if (index->n_entries == 1)
        return 0;
    for (size_t i = 0; i < index->n_entries; i++) {
        const char *name = index->entries[i].ref_name;

        if (!name)
            continue;
        if (strcmp(name, "latest") == 0) {
            *ret = "latest";
            return 0;
        }
        strbuf_addf(&tags, "%s%s", tags.len > 0 ? ", " : "", name);
    }
    return mvm_fail(err, MVM_E_ARG, 0, "which image is meant? The layout's tags are %s",
                    tags.len > 0 ? strbuf_str(&tags) : "missing");
}

static int fail_no_tag(const struct oci_index *index, const char *tag, mvm_error **err)
{
    mvm_autovalue(strbuf) tags = STRBUF_INIT(LAYOUT_TAGS_MAX);

    for (size_t i = 0; i < index->n_entries; i++)
        if (index->entries[i].ref_name)
            strbuf_addf(&tags, "%s%s", tags.len > 0 ? ", " : "", index->entries[i].ref_name);
    return mvm_fail(err, MVM_E_NOT_FOUND, 0, "no tag '%s' in the layout; there is %s", tag,
                    tags.len > 0 ? strbuf_str(&tags) : "none");
}

/* One tag may stand at several entries, one a platform; with a single one its platform is not asked
 * for here, since the config tells it anyway, with the better message. */
static int choose_entry(const struct oci_index *index, const char *tag,
                        const struct oci_platform *want, const struct oci_descriptor **ret,
                        mvm_error **err)
{
    size_t n = 0;

    for (size_t i = 0; i < index->n_entries; i++) {
        const char *name = index->entries[i].ref_name;

        if (tag && (!name || strcmp(name, tag) != 0))
            continue;
        *ret = &index->entries[i];
        n++;
    }
    if (n == 0)
        return fail_no_tag(index, tag, err);
    return n == 1 ? 0 : oci_index_choose(index, tag, want, ret, err);
}

static int layout_open_name(struct image_source *base, const struct oci_platform *want,
                            struct source_document *ret, mvm_error **err)
{
    struct layout_source *s = (struct layout_source *) base;
    mvm_autovalue(oci_document) doc = { 0 };
    mvm_autofree char *text = NULL;
    const struct oci_descriptor *d = NULL;
    const char *tag = s->tag;
    size_t len = 0;
    int r = file_read(s->fd, "index.json", OCI_INDEX_MAX, &text, &len, err);

    if (r == 0)
        r = oci_document_parse(text, len, "application/vnd.oci.image.index.v1+json", &doc, err);
    if (r < 0)
        return mvm_context(err, r, "index.json");
    if (!tag)
        r = default_tag(&doc.index, &tag, err);
    if (r == 0)
        r = choose_entry(&doc.index, tag, want, &d, err);
    if (r < 0)
        return r;
    return layout_open_manifest(base, d, ret, err);
}

static void layout_free(struct image_source *base)
{
    struct layout_source *s = (struct layout_source *) base;

    if (s->fd >= 0)
        (void) close(s->fd);
    free(s->tag);
    free(s);
}

static int check_version(int dir_fd, mvm_error **err)
{
    mvm_autofree char *text = NULL;
    mvm_autojson json_t *root = NULL;
    const char *version = NULL;
    size_t len = 0;
    int r = file_read(dir_fd, "oci-layout", LAYOUT_FILE_MAX, &text, &len, err);

    if (r < 0)
        return mvm_context(err, r, "not an OCI layout");
    r = json_parse(text, len, "oci-layout", &root, err);
    if (r == 0)
        r = json_need_str(root, "imageLayoutVersion", &version, err);
    if (r < 0)
        return mvm_context(err, r, "not an OCI layout");
    if (strcmp(version, "1.0.0") != 0)
        return mvm_fail(err, MVM_E_UNSUPPORTED, 0, "OCI layout version '%s' is not 1.0.0", version);
    return 0;
}

int layout_source_open(const char *path, const char *tag, struct image_source **ret,
                       mvm_error **err)
{
    mvm_auto(image_source) source = NULL;
    struct layout_source *s = calloc(1, sizeof(*s));
    int r;

    if (!s)
        return mvm_fail_nomem(err);
    s->base = (struct image_source){ .open_name = layout_open_name,
                                     .open_manifest = layout_open_manifest,
                                     .open_blob = layout_open_blob,
                                     .free = layout_free };
    source = &s->base;
    /* The user's own path: links in it are theirs. */
    s->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (s->fd < 0)
        return mvm_fail(err, errno == ENOENT ? MVM_E_NOT_FOUND : MVM_E_SYS, errno,
                        "open the folder '%s'", path);
    if (tag && !(s->tag = strdup(tag)))
        return mvm_fail_nomem(err);
    r = check_version(s->fd, err);
    if (r < 0)
        return r;
    *ret = steal_ptr(&source);
    return 0;
}
