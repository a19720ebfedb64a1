/* SPDX-License-Identifier: Apache-2.0 */
#include "image/docker-archive.h"

#include "base/json.h"
#include "image/docker-manifest.h"
#include "image/inflate.h"
#include "oci/config.h"

#define DOCKER_MANIFEST_TYPE "application/vnd.docker.distribution.manifest.v2+json"
#define DOCKER_CONFIG_TYPE "application/vnd.docker.container.image.v1+json"
#define DOCKER_LAYER_TYPE "application/vnd.docker.image.rootfs.diff.tar"
/* One read of a layer that is hashed. */
#define HASH_BLOCK (256u << 10)

struct archive_blob {
    struct digest digest;
    struct archive_extent extent;
    enum inflate_kind kind;
};

struct docker_archive {
    struct image_source base;
    struct archive_file *archive; /* owned */
    struct archive_blob config;
    struct archive_blob *layers; /* owned */
    size_t n_layers;
    char *manifest; /* owned */
};

static int archive_open_blob(struct image_source *base, const struct oci_descriptor *d,
                             struct image_tick *tick, struct blob_reader **ret, mvm_error **err)
{
    struct docker_archive *s = (struct docker_archive *) base;

    (void) tick; /* a local file does not keep anybody waiting */
    if (digest_equal(&d->digest, &s->config.digest))
        return archive_file_read(s->archive, &s->config.extent, ret, err);
    for (size_t i = 0; i < s->n_layers; i++)
        if (digest_equal(&d->digest, &s->layers[i].digest))
            return archive_file_read(s->archive, &s->layers[i].extent, ret, err);
    return mvm_fail(err, MVM_E_NOT_FOUND, 0, "no blob %s in the archive",
                    digest_format(&d->digest).text);
}

static int archive_open_name(struct image_source *base, const struct oci_platform *want,
                             struct source_document *ret, mvm_error **err)
{
    struct docker_archive *s = (struct docker_archive *) base;
    struct source_document doc = { .text = strdup(s->manifest),
                                   .len = strlen(s->manifest),
                                   .media_type = strdup(DOCKER_MANIFEST_TYPE) };

    (void) want; /* the config tells the platform */
    if (!doc.text || !doc.media_type) {
        source_document_deinit(&doc);
        return mvm_fail_nomem(err);
    }
    *ret = doc;
    return 0;
}

/* The manifest that we made leads to no other document. */
static int archive_open_manifest(struct image_source *base, const struct oci_descriptor *d,
                                 struct source_document *ret, mvm_error **err)
{
    (void) base;
    (void) ret;
    return mvm_fail(err, MVM_E_NOT_FOUND, 0, "no manifest %s in the archive",
                    digest_format(&d->digest).text);
}

static void archive_free(struct image_source *base)
{
    struct docker_archive *s = (struct docker_archive *) base;

    archive_file_free(s->archive);
    free(s->layers);
    free(s->manifest);
    free(s);
}

struct digest docker_archive_id(const struct image_source *source)
{
    return ((const struct docker_archive *) source)->config.digest;
}

/* A small file of the archive. */
static int read_member(struct docker_archive *s, const char *name, size_t max,
                       struct archive_extent *ret_extent, char **ret, size_t *ret_len,
                       mvm_error **err)
{
    mvm_auto(blob_reader) reader = NULL;
    int r = archive_file_find(s->archive, name, ret_extent, err);

    if (r == 0)
        r = archive_file_read(s->archive, ret_extent, &reader, err);
    if (r < 0)
        return r;
    r = blob_read_text(reader, max, ret, ret_len, err);
    return r < 0 ? mvm_context(err, r, "'%.256s'", name) : 0;
}

static int sniff(struct docker_archive *s, struct archive_blob *blob, mvm_error **err)
{
    unsigned char magic[INFLATE_MAGIC_LEN];
    mvm_auto(blob_reader) reader = NULL;
    size_t done = 0;
    ssize_t n = 1;
    int r = archive_file_read(s->archive, &blob->extent, &reader, err);

    for (; r == 0 && n > 0 && done < sizeof(magic); done += (size_t) n) {
        n = reader->read(reader, magic + done, sizeof(magic) - done, err);
        if (n < 0)
            return (int) n;
    }
    blob->kind = inflate_detect(magic, done);
    return r;
}

static int hash_blob(struct docker_archive *s, struct archive_blob *blob, struct image_tick *tick,
                     mvm_error **err)
{
    mvm_autofree unsigned char *data = malloc(HASH_BLOCK);
    mvm_auto(digest_stream) hash = NULL;
    mvm_auto(blob_reader) reader = NULL;
    ssize_t n = 1;
    int r;

    if (!data)
        return mvm_fail_nomem(err);
    r = digest_stream_new(DIGEST_SHA256, &hash, err);
    if (r == 0)
        r = archive_file_read(s->archive, &blob->extent, &reader, err);
    while (r == 0 && n > 0) {
        n = reader->read(reader, data, HASH_BLOCK, err);
        if (n < 0)
            return (int) n;
        digest_stream_update(hash, data, (size_t) n);
        r = image_tick(tick, err);
    }
    return r < 0 ? r : digest_stream_finish(hash, &blob->digest, err);
}

/* The digest of a plain layer is its diffID, which is compared when it is read. A compressed one is
 * hashed here, each file once, however often an archive names it. */
static int take_layer(struct docker_archive *s, const struct digest *diff_id,
                      struct image_tick *tick, mvm_error **err)
{
    struct archive_blob *blob = &s->layers[s->n_layers];
    int r = sniff(s, blob, err);

    if (r < 0)
        return r;
    if (blob->kind == INFLATE_PLAIN) {
        blob->digest = *diff_id;
        return 0;
    }
    for (const struct archive_blob *b = s->layers; b < blob; b++)
        if (b->kind != INFLATE_PLAIN && b->extent.offset == blob->extent.offset) {
            blob->digest = b->digest;
            return 0;
        }
    return hash_blob(s, blob, tick, err);
}

static const char *source_type(const struct docker_image *image, const struct digest *diff_id)
{
    for (size_t i = 0; i < image->n_sources; i++)
        if (digest_equal(&image->sources[i].diff_id, diff_id) &&
            oci_media_type_kind(image->sources[i].media_type) == OCI_MEDIA_LAYER)
            return image->sources[i].media_type;
    return NULL;
}

static int find_layer(struct docker_archive *s, const struct docker_image *image, size_t i,
                      const struct digest *diff_id, mvm_error **err)
{
    const char *type = source_type(image, diff_id);
    int r = archive_file_find(s->archive, image->layers.items[i], &s->layers[i].extent, err);

    if (r == MVM_E_NOT_FOUND && type)
        r = mvm_context(err, r, "%.100s was left out", type);
    return r;
}

static int take_layers(struct docker_archive *s, const struct docker_image *image,
                       const struct oci_config *config, struct image_tick *tick, mvm_error **err)
{
    size_t n = image->layers.n;
    int r;

    if (n != config->n_diff_ids)
        return mvm_fail(err, MVM_E_FORMAT, 0,
                        "the archive names %zu layers, the image config %zu diffIDs", n,
                        config->n_diff_ids);
    /* Before anything is done with each of them, and with each pair. */
    if (n > SOURCE_LAYERS_MAX)
        return mvm_fail(err, MVM_E_LIMIT, 0, "the image has %zu layers, the limit is %d", n,
                        SOURCE_LAYERS_MAX);
    s->layers = mem_array(n, sizeof(*s->layers));
    if (!s->layers)
        return mvm_fail_nomem(err);
    for (; s->n_layers < n; s->n_layers++) {
        r = find_layer(s, image, s->n_layers, &config->diff_ids[s->n_layers], err);
        if (r == 0)
            r = take_layer(s, &config->diff_ids[s->n_layers], tick, err);
        if (r < 0)
            return mvm_context(err, r, "layer %zu of %zu", s->n_layers + 1, n);
    }
    return 0;
}

static json_t *descriptor_make(const struct archive_blob *blob, const char *type)
{
    const char *suffix = blob->kind == INFLATE_GZIP   ? ".gzip"
                         : blob->kind == INFLATE_ZSTD ? ".zstd"
                                                      : "";
    mvm_autofree char *made = NULL;

    if (!type && asprintf(&made, DOCKER_LAYER_TYPE "%s", suffix) < 0) {
        made = NULL;
        return NULL;
    }
    return json_pack("{s:s, s:I, s:s}", "mediaType", type ? type : made, "size",
                     (json_int_t) blob->extent.size, "digest", digest_format(&blob->digest).text);
}

static int manifest_make(struct docker_archive *s, const struct docker_image *image,
                         const struct oci_config *config, mvm_error **err)
{
    mvm_autojson json_t *layers = json_array();
    mvm_autojson json_t *manifest = NULL;

    for (size_t i = 0; i < s->n_layers; i++)
        if (json_array_append_new(
                layers, descriptor_make(&s->layers[i], source_type(image, &config->diff_ids[i]))) <
            0)
            return mvm_fail_nomem(err);
    manifest = json_pack("{s:i, s:s, s:o, s:O}", "schemaVersion", 2, "mediaType",
                         DOCKER_MANIFEST_TYPE, "config",
                         descriptor_make(&s->config, DOCKER_CONFIG_TYPE), "layers", layers);
    s->manifest = manifest ? json_dumps(manifest, JSON_COMPACT) : NULL;
    if (!s->manifest)
        return mvm_fail_nomem(err);
    if (strlen(s->manifest) > OCI_MANIFEST_MAX)
        return mvm_fail(err, MVM_E_LIMIT, 0,
                        "%zu layers make a manifest of %zu bytes, the limit is %u", s->n_layers,
                        strlen(s->manifest), OCI_MANIFEST_MAX);
    return 0;
}

static int archive_prepare(struct docker_archive *s, const struct oci_reference *ref,
                           struct image_tick *tick, mvm_error **err)
{
    mvm_autovalue(docker_image) image = { 0 };
    mvm_autovalue(oci_config) config = { 0 };
    mvm_autofree char *list = NULL, *text = NULL;
    struct archive_extent extent;
    size_t len = 0;
    int r = read_member(s, "manifest.json", DOCKER_MANIFEST_MAX, &extent, &list, &len, err);

    if (r < 0)
        return mvm_context(err, r, "not a docker archive");
    r = docker_manifest_choose(list, len, ref, &image, err);
    if (r == 0)
        r = read_member(s, image.config, OCI_CONFIG_MAX, &s->config.extent, &text, &len, err);
    if (r == 0)
        r = digest_of(DIGEST_SHA256, text, len, &s->config.digest, err);
    if (r == 0)
        r = oci_config_parse(text, len, &config, err);
    if (r == 0)
        r = take_layers(s, &image, &config, tick, err);
    return r < 0 ? r : manifest_make(s, &image, &config, err);
}

int docker_archive_source_new(struct archive_file *a, const struct oci_reference *ref,
                              struct image_tick *tick, struct image_source **ret, mvm_error **err)
{
    mvm_auto(archive_file) held = a;
    mvm_auto(image_source) source = NULL;
    struct docker_archive *s = calloc(1, sizeof(*s));
    int r;

    if (!s)
        return mvm_fail_nomem(err);
    s->base = (struct image_source){ .open_name = archive_open_name,
                                     .open_manifest = archive_open_manifest,
                                     .open_blob = archive_open_blob,
                                     .free = archive_free };
    source = &s->base;
    s->archive = steal_ptr(&held);
    r = archive_prepare(s, ref, tick, err);
    if (r < 0)
        return r;
    *ret = steal_ptr(&source);
    return 0;
}

int docker_archive_source_open(const char *path, const struct oci_reference *ref, int dir_fd,
                               struct image_tick *tick, struct image_source **ret, mvm_error **err)
{
    struct archive_file *a = NULL;
    int r = archive_file_open(path, dir_fd, tick, &a, err);

    if (r < 0)
        return r;
    r = docker_archive_source_new(a, ref, tick, ret, err);
    return r < 0 ? mvm_context(err, r, "'%s'", path) : 0;
}

int oci_archive_source_open(const char *path, const char *tag, int dir_fd, struct image_tick *tick,
                            struct image_source **ret, mvm_error **err)
{
    struct archive_file *a = NULL;
    struct layout_files *files = NULL;
    int r = archive_file_open(path, dir_fd, tick, &a, err);

    if (r < 0)
        return r;
    r = archive_layout_new(a, &files, err);
    if (r == 0)
        r = layout_source_new(files, tag, ret, err);
    return r < 0 ? mvm_context(err, r, "'%s'", path) : 0;
}
