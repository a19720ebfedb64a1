/* SPDX-License-Identifier: Apache-2.0 */
/* The media types of images: OCI's and their Docker equivalents (OCI image-spec, media-types.md).
 */
#ifndef OCI_MEDIA_TYPE_H
#define OCI_MEDIA_TYPE_H

enum oci_media_kind {
    OCI_MEDIA_UNKNOWN = 0,
    OCI_MEDIA_MANIFEST,
    OCI_MEDIA_INDEX,
    OCI_MEDIA_SCHEMA1, /* known, and refused by name */
    OCI_MEDIA_CONFIG,
    OCI_MEDIA_LAYER
};

/* What a manifest request says it accepts, comma separated. */
#define OCI_ACCEPT_MANIFEST                                                                 \
    "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, " \
    "application/vnd.docker.distribution.manifest.list.v2+json, "                           \
    "application/vnd.docker.distribution.manifest.v2+json"

/* Parameters ("; charset=utf-8") and letter case do not count; NULL is unknown. */
enum oci_media_kind oci_media_type_kind(const char *type);

#endif
