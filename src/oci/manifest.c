/* SPDX-License-Identifier: Apache-2.0 */
#include "oci/manifest.h"

#include "base/base64.h"
#include "base/json.h"

static void descriptor_deinit(struct oci_descriptor *d)
{
    free(d->media_type);
    free(d->ref_name);
    strv_deinit(&d->urls);
    free(d->data);
    *d = (struct oci_descriptor){ 0 };
}

static void descriptors_free(struct oci_descriptor *d, size_t n)
{
    for (size_t i = 0; i < n; i++)
        descriptor_deinit(&d[i]);
    free(d);
}

void oci_document_deinit(struct oci_document *doc)
{
    free(doc->manifest.artifact_type);
    descriptor_deinit(&doc->manifest.config);
    descriptors_free(doc->manifest.layers, doc->manifest.n_layers);
    descriptors_free(doc->index.entries, doc->index.n_entries);
    *doc = (struct oci_document){ 0 };
}

/* Copies a platform part; one that is too long is cut: it then equals no platform that anybody can
 * ask for. */
static void part_copy(char out[OCI_PLATFORM_PART_MAX + 1], const char *text)
{
    size_t n = text ? strnlen(text, OCI_PLATFORM_PART_MAX) : 0;

    if (n > 0)
        memcpy(out, text, n);
    out[n] = '\0';
}

static int parse_platform(const json_t *j, struct oci_descriptor *d, mvm_error **err)
{
    const char *os = NULL, *architecture = NULL, *variant = NULL;
    json_t *platform = NULL;
    int r = json_get_object(j, "platform", &platform, err);

    if (r < 0 || !platform)
        return r;
    r = json_get_str(platform, "os", &os, err);
    if (r == 0)
        r = json_get_str(platform, "architecture", &architecture, err);
    if (r == 0)
        r = json_get_str(platform, "variant", &variant, err);
    if (r < 0)
        return mvm_context(err, r, "platform");
    d->has_platform = true;
    part_copy(d->platform.os, os);
    part_copy(d->platform.architecture, architecture);
    part_copy(d->platform.variant, variant);
    return 0;
}

static int parse_ref_name(const json_t *j, struct oci_descriptor *d, mvm_error **err)
{
    const char *name = NULL;
    json_t *annotations = NULL;
    int r = json_get_object(j, "annotations", &annotations, err);

    if (r < 0 || !annotations)
        return r;
    r = json_get_str(annotations, "org.opencontainers.image.ref.name", &name, err);
    if (r < 0 || !name)
        return r;
    d->ref_name = strdup(name);
    return d->ref_name ? 0 : mvm_fail_nomem(err);
}

static int parse_urls(const json_t *j, struct oci_descriptor *d, mvm_error **err)
{
    json_t *urls = NULL;
    int r = json_get_array(j, "urls", &urls, err);

    if (r < 0)
        return r;
    if (json_array_size(urls) > OCI_URLS_MAX)
        return mvm_fail(err, MVM_E_LIMIT, 0, "%zu urls, the limit is %d", json_array_size(urls),
                        OCI_URLS_MAX);
    for (size_t i = 0; i < json_array_size(urls); i++) {
        const json_t *url = json_array_get(urls, i);

        if (!json_is_string(url))
            return mvm_fail(err, MVM_E_FORMAT, 0, "url %zu is not a string", i + 1);
        if (json_string_length(url) > OCI_URL_MAX)
            return mvm_fail(err, MVM_E_LIMIT, 0, "url %zu has %zu bytes, the limit is %d", i + 1,
                            json_string_length(url), OCI_URL_MAX);
        if (strv_add(&d->urls, json_string_value(url)) < 0)
            return mvm_fail_nomem(err);
    }
    return 0;
}

/* The content itself, in base64 (OCI image-spec, descriptor.md, Embedded Content). */
static int parse_data(const json_t *j, struct oci_descriptor *d, mvm_error **err)
{
    const char *text = NULL;
    struct digest digest;
    size_t len = 0;
    int r = json_get_str(j, "data", &text, err);

    if (r < 0 || !text)
        return r;
    if (d->size > OCI_DATA_MAX || strlen(text) > (OCI_DATA_MAX + 2) / 3 * 4)
        return mvm_fail(err, MVM_E_LIMIT, 0, "data of %s: more than the limit of %u bytes",
                        digest_format(&d->digest).text, OCI_DATA_MAX);
    if (!base64_decode(text, strlen(text), &d->data, &len))
        return mvm_fail(err, MVM_E_FORMAT, 0, "data of %s: not base64",
                        digest_format(&d->digest).text);
    if (len != d->size)
        return mvm_fail(err, MVM_E_DIGEST, 0, "data of %s: %zu bytes, the descriptor says %llu",
                        digest_format(&d->digest).text, len, (unsigned long long) d->size);
    r = digest_of(d->digest.algorithm, d->data, len, &digest, err);
    if (r == 0 && !digest_equal(&digest, &d->digest))
        r = mvm_fail(err, MVM_E_DIGEST, 0, "data of %s: it has the digest %s",
                     digest_format(&d->digest).text, digest_format(&digest).text);
    return r;
}

/* Media type, digest and size are required; only Docker's oldest lists leave the media type out. */
static int parse_descriptor(const json_t *j, struct oci_descriptor *d, mvm_error **err)
{
    const char *type = NULL, *digest = NULL;
    int r;

    if (!json_is_object(j))
        return mvm_fail(err, MVM_E_FORMAT, 0, "not an object");
    r = json_get_str(j, "mediaType", &type, err);
    if (r == 0)
        r = json_need_str(j, "digest", &digest, err);
    if (r == 0)
        r = digest_parse(digest, &d->digest, err);
    if (r == 0 && !json_is_integer(json_object_get(j, "size")))
        r = mvm_fail(err, MVM_E_FORMAT, 0, "key 'size' is not a whole number");
    if (r == 0)
        r = json_get_u64(j, "size", OCI_SIZE_MAX, &d->size, err);
    if (r == 0)
        r = parse_platform(j, d, err);
    if (r == 0)
        r = parse_ref_name(j, d, err);
    if (r == 0)
        r = parse_urls(j, d, err);
    if (r == 0)
        r = parse_data(j, d, err);
    if (r < 0)
        return r;
    d->media_type = strdup(type ? type : "");
    return d->media_type ? 0 : mvm_fail_nomem(err);
}

static int parse_descriptors(const json_t *root, const char *key, struct oci_descriptor **ret,
                             size_t *ret_n, mvm_error **err)
{
    json_t *array = NULL;
    size_t n;
    int r = json_get_array(root, key, &array, err);

    if (r < 0)
        return r;
    n = json_array_size(array);
    *ret = mem_array(n, sizeof(**ret));
    if (!*ret)
        return mvm_fail_nomem(err);
    *ret_n = n;
    for (size_t i = 0; i < n; i++) {
        r = parse_descriptor(json_array_get(array, i), &(*ret)[i], err);
        if (r < 0)
            return mvm_context(err, r, "%s, entry %zu", key, i + 1);
    }
    return 0;
}

static int parse_manifest(const json_t *root, struct oci_manifest *m, mvm_error **err)
{
    const char *artifact = NULL;
    json_t *config = NULL;
    int r = json_get_str(root, "artifactType", &artifact, err);

    if (r == 0 && artifact) {
        m->artifact_type = strdup(artifact);
        r = m->artifact_type ? 0 : mvm_fail_nomem(err);
    }
    if (r == 0)
        r = json_get_object(root, "config", &config, err);
    if (r == 0 && !config)
        r = mvm_fail(err, MVM_E_FORMAT, 0, "key 'config' is missing");
    if (r < 0)
        return r;
    r = parse_descriptor(config, &m->config, err);
    if (r < 0)
        return mvm_context(err, r, "config");
    return parse_descriptors(root, "layers", &m->layers, &m->n_layers, err);
}

/* What every document has, whatever it is. */
static int check_version(const json_t *root, enum oci_media_kind expected, enum oci_media_kind own,
                         mvm_error **err)
{
    uint64_t version = 0;
    int r = json_get_u64(root, "schemaVersion", 1000, &version, err);

    if (r < 0)
        return r;
    if (expected == OCI_MEDIA_SCHEMA1 || own == OCI_MEDIA_SCHEMA1 || version == 1)
        return mvm_fail(err, MVM_E_UNSUPPORTED, 0, "schema 1 images are not supported");
    if (version != 2)
        return mvm_fail(err, MVM_E_FORMAT, 0, "schemaVersion is %llu, not 2",
                        (unsigned long long) version);
    if (json_object_get(root, "manifests") && json_object_get(root, "layers"))
        return mvm_fail(err, MVM_E_FORMAT, 0, "has both 'manifests' and 'layers'");
    return 0;
}

/* The keys of a document must be those of its kind: what reads one kind must not be shown another.
 */
static int check_keys(const json_t *root, enum oci_media_kind kind, mvm_error **err)
{
    bool index = json_object_get(root, "manifests") != NULL;
    bool image = json_object_get(root, "layers") || json_object_get(root, "config");

    if (kind == OCI_MEDIA_INDEX ? image : index)
        return mvm_fail(err, MVM_E_FORMAT, 0, "its keys are not those of its media type");
    return 0;
}

/* What the document is: by what led here, by its own media type, by its shape. */
static int check_kind(const json_t *root, const char *expected, bool *ret_is_index, mvm_error **err)
{
    enum oci_media_kind kind = oci_media_type_kind(expected), own;
    const char *type = NULL;
    int r = json_get_str(root, "mediaType", &type, err);

    if (r < 0)
        return r;
    own = oci_media_type_kind(type);
    r = check_version(root, kind, own, err);
    if (r < 0)
        return r;
    if (type && kind != OCI_MEDIA_UNKNOWN && own != kind)
        return mvm_fail(err, MVM_E_FORMAT, 0, "calls itself '%s', but '%s' led to it", type,
                        expected);
    if (kind == OCI_MEDIA_UNKNOWN)
        kind = own;
    if (kind == OCI_MEDIA_UNKNOWN && !type)
        kind = json_object_get(root, "manifests") ? OCI_MEDIA_INDEX : OCI_MEDIA_MANIFEST;
    if (kind != OCI_MEDIA_INDEX && kind != OCI_MEDIA_MANIFEST)
        return mvm_fail(err, MVM_E_UNSUPPORTED, 0,
                        "media type '%s' is neither an image manifest nor an index",
                        type ? type : expected);
    *ret_is_index = kind == OCI_MEDIA_INDEX;
    return check_keys(root, kind, err);
}

int oci_document_parse(const char *text, size_t len, const char *expected, struct oci_document *doc,
                       mvm_error **err)
{
    mvm_autovalue(oci_document) made = { 0 };
    mvm_autojson json_t *root = NULL;
    int r;

    if (len > OCI_INDEX_MAX)
        return mvm_fail(err, MVM_E_LIMIT, 0, "index: %zu bytes, the limit is %u", len,
                        OCI_INDEX_MAX);
    r = json_parse(text, len, "manifest", &root, err);
    if (r < 0)
        return r;
    if (!json_is_object(root))
        return mvm_fail(err, MVM_E_FORMAT, 0, "manifest: not a JSON object");
    r = check_kind(root, expected, &made.is_index, err);
    if (r < 0)
        return mvm_context(err, r, "manifest");
    if (made.is_index) {
        r = parse_descriptors(root, "manifests", &made.index.entries, &made.index.n_entries, err);
        if (r < 0)
            return mvm_context(err, r, "index");
    } else {
        if (len > OCI_MANIFEST_MAX)
            return mvm_fail(err, MVM_E_LIMIT, 0, "manifest: %zu bytes, the limit is %u", len,
                            OCI_MANIFEST_MAX);
        r = parse_manifest(root, &made.manifest, err);
        if (r < 0)
            return mvm_context(err, r, "manifest");
    }
    *doc = made;
    made = (struct oci_document){ 0 };
    return 0;
}

int oci_manifest_check_image(const struct oci_manifest *m, mvm_error **err)
{
    if (oci_media_type_kind(m->config.media_type) != OCI_MEDIA_CONFIG)
        return mvm_fail(err, MVM_E_UNSUPPORTED, 0, "an artifact of type '%s', not a runnable image",
                        m->artifact_type ? m->artifact_type : m->config.media_type);
    for (size_t i = 0; i < m->n_layers; i++)
        if (oci_media_type_kind(m->layers[i].media_type) != OCI_MEDIA_LAYER)
            return mvm_fail(err, MVM_E_UNSUPPORTED, 0, "layer %zu of %zu: unknown media type '%s'",
                            i + 1, m->n_layers, m->layers[i].media_type);
    return 0;
}
