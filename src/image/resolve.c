/* SPDX-License-Identifier: Apache-2.0 */
#include "image/resolve.h"

void resolved_deinit(struct resolved *r)
{
    free(r->text);
    oci_document_deinit(&r->doc);
    *r = (struct resolved){ 0 };
}

/* The digests of the indexes on the way: content that is named by its hash cannot hold itself, but
 * a source that lies can say so. */
struct trail {
    struct digest seen[RESOLVE_LEVELS_MAX + 1];
    size_t n;
};

static int trail_add(struct trail *t, const struct digest *d, mvm_error **err)
{
    for (size_t i = 0; i < t->n; i++)
        if (digest_equal(&t->seen[i], d))
            return mvm_fail(err, MVM_E_FORMAT, 0, "the index %s leads to itself",
                            digest_format(d).text);
    if (t->n == RESOLVE_LEVELS_MAX)
        return mvm_fail(err, MVM_E_LIMIT, 0, "more than %d indexes inside each other",
                        RESOLVE_LEVELS_MAX);
    t->seen[t->n++] = *d;
    return 0;
}

/* Replaces the index in @doc by the document that its best entry points at. */
static int descend(struct image_source *source, const struct oci_platform *want,
                   struct oci_document *doc, struct source_document *text, mvm_error **err)
{
    mvm_autovalue(source_document) next = { 0 };
    const struct oci_descriptor *d = NULL;
    int r = oci_index_choose(&doc->index, NULL, want, &d, err);

    if (r == 0)
        r = image_source_open_manifest(source, d, &next, err);
    if (r < 0)
        return r;
    source_document_deinit(text);
    *text = next;
    next = (struct source_document){ 0 };
    oci_document_deinit(doc);
    return oci_document_parse(text->text, text->len, text->media_type, doc, err);
}

int resolve_manifest(struct image_source *source, const struct oci_platform *want,
                     struct resolved *ret, mvm_error **err)
{
    mvm_autovalue(source_document) text = { 0 };
    mvm_autovalue(oci_document) doc = { 0 };
    struct trail trail = { .n = 0 };
    struct digest digest;
    int r = source->open_name(source, want, &text, err);

    if (r == 0)
        r = oci_document_parse(text.text, text.len, text.media_type, &doc, err);
    if (r == 0)
        r = digest_of(DIGEST_SHA256, text.text, text.len, &digest, err);
    while (r == 0 && doc.is_index) {
        r = trail_add(&trail, &digest, err);
        if (r == 0)
            r = descend(source, want, &doc, &text, err);
        if (r == 0)
            r = digest_of(DIGEST_SHA256, text.text, text.len, &digest, err);
    }
    if (r == 0)
        r = oci_manifest_check_image(&doc.manifest, err);
    if (r < 0)
        return r;
    *ret = (struct resolved){
        .text = steal_ptr(&text.text), .len = text.len, .digest = digest, .doc = doc
    };
    doc = (struct oci_document){ 0 };
    return 0;
}
