/* SPDX-License-Identifier: Apache-2.0 */
#include "oci/media-type.h"

#include "base/mem.h"

#include <stdbool.h>
#include <strings.h>

static const struct {
    const char *type;
    enum oci_media_kind kind;
} media_types[] = {
    { "application/vnd.oci.image.manifest.v1+json", OCI_MEDIA_MANIFEST },
    { "application/vnd.docker.distribution.manifest.v2+json", OCI_MEDIA_MANIFEST },
    { "application/vnd.oci.image.index.v1+json", OCI_MEDIA_INDEX },
    { "application/vnd.docker.distribution.manifest.list.v2+json", OCI_MEDIA_INDEX },
    { "application/vnd.docker.distribution.manifest.v1+json", OCI_MEDIA_SCHEMA1 },
    { "application/vnd.docker.distribution.manifest.v1+prettyjws", OCI_MEDIA_SCHEMA1 },
    { "application/vnd.oci.image.config.v1+json", OCI_MEDIA_CONFIG },
    { "application/vnd.docker.container.image.v1+json", OCI_MEDIA_CONFIG },
};

/* A layer's compression is found in its first bytes, whatever the suffix says, so that every suffix
 * is accepted behind every layer type. */
static const char *const layer_types[] = {
    "application/vnd.oci.image.layer.v1.tar",
    "application/vnd.oci.image.layer.nondistributable.v1.tar",
    "application/vnd.docker.image.rootfs.diff.tar",
    "application/vnd.docker.image.rootfs.foreign.diff.tar",
};
static const char *const layer_suffixes[] = { "", "+gzip", "+zstd", ".gzip", ".zstd" };

static bool type_is(const char *type, size_t n, const char *known, const char *suffix)
{
    size_t k = strlen(known), s = strlen(suffix);

    return n == k + s && strncasecmp(type, known, k) == 0 && strncasecmp(type + k, suffix, s) == 0;
}

enum oci_media_kind oci_media_type_kind(const char *type)
{
    size_t n = type ? strcspn(type, "; \t") : 0;

    if (n == 0)
        return OCI_MEDIA_UNKNOWN;
    for (size_t i = 0; i < ARRAY_SIZE(media_types); i++)
        if (type_is(type, n, media_types[i].type, ""))
            return media_types[i].kind;
    for (size_t i = 0; i < ARRAY_SIZE(layer_types); i++)
        for (size_t j = 0; j < ARRAY_SIZE(layer_suffixes); j++)
            if (type_is(type, n, layer_types[i], layer_suffixes[j]))
                return OCI_MEDIA_LAYER;
    return OCI_MEDIA_UNKNOWN;
}
