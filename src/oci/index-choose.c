/* SPDX-License-Identifier: Apache-2.0 */
/* The choice among the entries of an index. */
#include "base/strbuf.h"
#include "oci/manifest.h"

/* Enough of a list of platforms for a message. */
#define OFFER_TEXT_MAX 1024

/* Build attestations carry "unknown/unknown", artifacts another media type: neither is ever meant.
 */
static bool entry_is_image(const struct oci_descriptor *d)
{
    enum oci_media_kind kind = oci_media_type_kind(d->media_type);

    if (kind != OCI_MEDIA_MANIFEST && kind != OCI_MEDIA_INDEX)
        return false;
    return !d->has_platform || (strcmp(d->platform.os, "unknown") != 0 &&
                                strcmp(d->platform.architecture, "unknown") != 0);
}

static bool entry_counts(const struct oci_descriptor *d, const char *ref_name)
{
    return entry_is_image(d) && (!ref_name || (d->ref_name && strcmp(d->ref_name, ref_name) == 0));
}

static int fail_no_match(const struct oci_index *index, const char *ref_name,
                         const struct oci_platform *want, mvm_error **err)
{
    mvm_autovalue(strbuf) offers = STRBUF_INIT(OFFER_TEXT_MAX);

    for (size_t i = 0; i < index->n_entries; i++) {
        const struct oci_descriptor *d = &index->entries[i];

        if (entry_counts(d, ref_name) && d->has_platform)
            strbuf_addf(&offers, "%s%s", offers.len > 0 ? ", " : "",
                        oci_platform_format(&d->platform).text);
    }
    return mvm_fail(err, MVM_E_NOT_FOUND, 0, "no image for %s; there is %s",
                    oci_platform_format(want).text,
                    offers.len > 0 ? strbuf_str(&offers) : "none for any platform");
}

int oci_index_choose(const struct oci_index *index, const char *ref_name,
                     const struct oci_platform *want, const struct oci_descriptor **ret,
                     mvm_error **err)
{
    const struct oci_descriptor *best = NULL, *bare = NULL;
    int best_rank = -1;

    for (size_t i = 0; i < index->n_entries; i++) {
        const struct oci_descriptor *d = &index->entries[i];
        int rank;

        if (!entry_counts(d, ref_name))
            continue;
        if (!d->has_platform) {
            bare = bare ? bare : d;
            continue;
        }
        rank = oci_platform_rank(want, &d->platform);
        if (rank > best_rank) {
            best_rank = rank;
            best = d;
        }
    }
    if (!best && !bare)
        return fail_no_match(index, ref_name, want, err);
    *ret = best ? best : bare;
    return 0;
}
