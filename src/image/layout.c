/* SPDX-License-Identifier: Apache-2.0 */
#include "image/layout.h"

#include "base/json.h"
#include "base/strbuf.h"

/* "oci-layout" is one key. */
#define LAYOUT_FILE_MAX 4096
/* Enough of a list of tags for a message. */
#define LAYOUT_TAGS_MAX 1024
/* "blobs/sha512/" and the digest. */
#define BLOB_PATH_MAX (32 + 2 * DIGEST_BYTES_MAX)

struct layout_source {
    struct image_source base;
    struct layout_files *files; /* owned */
    char *tag;                  /* owned; NULL: none asked for */
    bool has_root;
    struct digest root;
};

void layout_files_free(struct layout_files *files)
{
    if (files)
        files->free(files);
}

struct blob_path {
    char text[BLOB_PATH_MAX];
};

static struct blob_path blob_path(const struct digest *digest)
{
    const struct digest_text text = digest_format(digest);
    struct blob_path path;

    /* Fits: both parts of a digest have their maximum. */
    (void) snprintf(path.text, sizeof(path.text), "blobs/%.*s/%s", (int) strcspn(text.text, ":"),
                    text.text, digest_hex(&text));
    return path;
}

static int layout_open_blob(struct image_source *base, const struct oci_descriptor *d,
                            struct image_tick *tick, struct blob_reader **ret, mvm_error **err)
{
    struct layout_source *s = (struct layout_source *) base;
    const struct blob_path path = blob_path(&d->digest);

    (void) tick; /* a local file does not keep anybody waiting */
    return s->files->open(s->files, path.text, ret, err);
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

/* One image for the platform among entries without a choice of tags; NULL: none or several. */
static const struct oci_descriptor *sole_for_platform(const struct oci_index *index,
                                                      const struct oci_platform *want)
{
    const struct oci_descriptor *found = NULL;

    for (size_t i = 0; i < index->n_entries; i++) {
        const struct oci_descriptor *d = &index->entries[i];

        if (oci_media_type_kind(d->media_type) == OCI_MEDIA_UNKNOWN ||
            (d->has_platform && oci_platform_rank(want, &d->platform) < 0))
            continue;
        if (found)
            return NULL;
        found = d;
    }
    return found;
}

static void list_tags(const struct oci_index *index, struct strbuf *tags)
{
    for (size_t i = 0; i < index->n_entries; i++)
        if (index->entries[i].ref_name)
            strbuf_addf(tags, "%s%s", tags->len > 0 ? ", " : "", index->entries[i].ref_name);
}

/* Which entry to take where no tag was asked for; *ret_tag where several have it. */
static int choose_default(const struct oci_index *index, const struct oci_platform *want,
                          const struct oci_descriptor **ret, const char **ret_tag, mvm_error **err)
{
    mvm_autovalue(strbuf) tags = STRBUF_INIT(LAYOUT_TAGS_MAX);

    if (index->n_entries == 0)
        return mvm_fail(err, MVM_E_NOT_FOUND, 0, "the layout holds no image");
    *ret = index->n_entries == 1 ? &index->entries[0] : NULL;
    for (size_t i = 0; !*ret && i < index->n_entries; i++)
        if (index->entries[i].ref_name && strcmp(index->entries[i].ref_name, "latest") == 0) {
            *ret_tag = "latest";
            return 0;
        }
    if (!*ret)
        *ret = sole_for_platform(index, want);
    if (*ret)
        return 0;
    list_tags(index, &tags);
    return mvm_fail(err, MVM_E_ARG, 0, "which image is meant? The layout's tags are %s",
                    tags.len > 0 ? strbuf_str(&tags) : "missing");
}

static int fail_no_tag(const struct oci_index *index, const char *tag, mvm_error **err)
{
    mvm_autovalue(strbuf) tags = STRBUF_INIT(LAYOUT_TAGS_MAX);

    list_tags(index, &tags);
    return mvm_fail(err, MVM_E_NOT_FOUND, 0, "no tag '%s' in the layout; there is %s", tag,
                    tags.len > 0 ? strbuf_str(&tags) : "none");
}

/* One tag may stand at several entries, one a platform; with a single one its platform is not asked
 * for here, since the config tells it anyway, with the better message. */
static int choose_tagged(const struct oci_index *index, const char *tag,
                         const struct oci_platform *want, const struct oci_descriptor **ret,
                         mvm_error **err)
{
    size_t n = 0;

    for (size_t i = 0; i < index->n_entries; i++) {
        const char *name = index->entries[i].ref_name;

        if (!name || strcmp(name, tag) != 0)
            continue;
        *ret = &index->entries[i];
        n++;
    }
    if (n == 0)
        return fail_no_tag(index, tag, err);
    return n == 1 ? 0 : oci_index_choose(index, tag, want, ret, err);
}

/* A small file as it is. */
static int read_file(struct layout_source *s, const char *name, size_t max, char **ret,
                     size_t *ret_len, mvm_error **err)
{
    mvm_auto(blob_reader) reader = NULL;
    int r = s->files->open(s->files, name, &reader, err);

    if (r == 0)
        r = blob_read_text(reader, max, ret, ret_len, err);
    return r < 0 ? mvm_context(err, r, "'%s'", name) : 0;
}

static int open_by_index(struct layout_source *s, const struct oci_platform *want,
                         struct source_document *ret, mvm_error **err)
{
    mvm_autovalue(oci_document) doc = { 0 };
    mvm_autofree char *text = NULL;
    const struct oci_descriptor *d = NULL;
    const char *tag = s->tag;
    size_t len = 0;
    int r = read_file(s, "index.json", OCI_INDEX_MAX, &text, &len, err);

    if (r == 0)
        r = oci_document_parse(text, len, "application/vnd.oci.image.index.v1+json", &doc, err);
    if (r < 0)
        return mvm_context(err, r, "index.json");
    if (!tag)
        r = choose_default(&doc.index, want, &d, &tag, err);
    if (r == 0 && !d)
        r = choose_tagged(&doc.index, tag, want, &d, err);
    if (r < 0)
        return r;
    return layout_open_manifest(&s->base, d, ret, err);
}

/* The size of a document that nothing but its digest is known of is that of its file. */
static int open_root(struct layout_source *s, struct source_document *ret, mvm_error **err)
{
    const struct blob_path path = blob_path(&s->root);
    struct oci_descriptor d = { .media_type = (char *) "", .digest = s->root };
    mvm_auto(blob_reader) reader = NULL;
    int r = s->files->open(s->files, path.text, &reader, err);

    if (r < 0)
        return r;
    d.size = reader->size;
    return layout_open_manifest(&s->base, &d, ret, err);
}

static int layout_open_name(struct image_source *base, const struct oci_platform *want,
                            struct source_document *ret, mvm_error **err)
{
    struct layout_source *s = (struct layout_source *) base;

    return s->has_root ? open_root(s, ret, err) : open_by_index(s, want, ret, err);
}

static void layout_free(struct image_source *base)
{
    struct layout_source *s = (struct layout_source *) base;

    layout_files_free(s->files);
    free(s->tag);
    free(s);
}

static int check_version(struct layout_source *s, mvm_error **err)
{
    mvm_autofree char *text = NULL;
    mvm_autojson json_t *root = NULL;
    const char *version = NULL;
    size_t len = 0;
    int r = read_file(s, "oci-layout", LAYOUT_FILE_MAX, &text, &len, err);

    if (r == 0)
        r = json_parse(text, len, "oci-layout", &root, err);
    if (r == 0)
        r = json_need_str(root, "imageLayoutVersion", &version, err);
    if (r < 0)
        return mvm_context(err, r, "not an OCI layout");
    if (strcmp(version, "1.0.0") != 0)
        return mvm_fail(err, MVM_E_UNSUPPORTED, 0, "OCI layout version '%.64s' is not 1.0.0",
                        version);
    return 0;
}

static int source_new(struct layout_files *files, struct layout_source **ret, mvm_error **err)
{
    struct layout_source *s = calloc(1, sizeof(*s));

    if (!s) {
        layout_files_free(files);
        return mvm_fail_nomem(err);
    }
    s->base = (struct image_source){ .open_name = layout_open_name,
                                     .open_manifest = layout_open_manifest,
                                     .open_blob = layout_open_blob,
                                     .free = layout_free };
    s->files = files;
    *ret = s;
    return 0;
}

int layout_source_new(struct layout_files *files, const char *tag, struct image_source **ret,
                      mvm_error **err)
{
    mvm_auto(image_source) source = NULL;
    struct layout_source *s = NULL;
    int r = source_new(files, &s, err);

    if (r < 0)
        return r;
    source = &s->base;
    if (tag && !(s->tag = strdup(tag)))
        return mvm_fail_nomem(err);
    r = check_version(s, err);
    if (r < 0)
        return r;
    *ret = steal_ptr(&source);
    return 0;
}

int layout_source_new_at(struct layout_files *files, const struct digest *root,
                         struct image_source **ret, mvm_error **err)
{
    struct layout_source *s = NULL;
    int r = source_new(files, &s, err);

    if (r < 0)
        return r;
    s->root = *root;
    s->has_root = true;
    *ret = &s->base;
    return 0;
}
