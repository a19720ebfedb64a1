/* SPDX-License-Identifier: Apache-2.0 */
/* Manifests and indexes of registries and layouts, with the choice of a platform. The first byte
 * chooses what led here.
 */
#include "oci/manifest.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const expected[] = { NULL, "application/vnd.oci.image.manifest.v1+json",
                                            "application/vnd.oci.image.index.v1+json",
                                            "text/html; charset=utf-8" };
    const struct oci_platform want = { .os = "linux", .architecture = "amd64", .variant = "v2" };
    mvm_autovalue(oci_document) doc = { 0 };
    const struct oci_descriptor *d = NULL;

    if (size < 1 || oci_document_parse((const char *) data + 1, size - 1,
                                       expected[data[0] % ARRAY_SIZE(expected)], &doc, NULL) < 0)
        return 0;
    if (!doc.is_index)
        (void) oci_manifest_check_image(&doc.manifest, NULL);
    else if (oci_index_choose(&doc.index, NULL, &want, &d, NULL) == 0)
        assert(d >= doc.index.entries && d < doc.index.entries + doc.index.n_entries);
    return 0;
}
