/* SPDX-License-Identifier: Apache-2.0 */
/* One layer, from its source into the store. */
#include "image/pull-internal.h"

/* A digest that is wrong may be a transfer that went wrong (image.md I-143). */
#define DIGEST_TRIES 2

static int convert(const struct pull_fetch *f, const struct pull_layer *layer,
                   const struct store_layer_draft *draft, struct image_tick *tick,
                   struct layer_sums *ret, mvm_error **err)
{
    const struct layer_output out = { .data_fd = draft->data_fd, .index_fd = draft->index_fd };
    const struct layer_expect expect = {
        .blob = layer->blob, .diff_id = layer->diff_id, .budget = f->budget, .tick = tick
    };
    mvm_auto(blob_reader) reader = NULL;
    mvm_auto(layer_stream) stream = NULL;
    int r = image_source_open_blob(f->source, layer->blob, tick, &reader, err);

    if (r == 0)
        r = layer_stream_new(reader, &expect, &stream, err);
    return r < 0 ? r : layer_convert(stream, &out, f->budget, tick, ret, err);
}

static int make(const struct pull_fetch *f, struct pull_layer *layer, struct image_tick *tick,
                mvm_error **err)
{
    mvm_autovalue(store_layer_draft) draft = STORE_LAYER_DRAFT_NONE;
    struct layer_sums sums;
    int r = store_layer_begin(f->temp, layer->diff_id, &draft, err);

    if (r == 0)
        r = convert(f, layer, &draft, tick, &sums, err);
    return r < 0 ? r : store_layer_commit(&draft, &sums, tick, &layer->pin, err);
}

/* The second time from the same place, and once more from another, if there is one. */
static int make_somehow(const struct pull_fetch *f, struct pull_layer *layer,
                        struct image_tick *tick, mvm_error **err)
{
    int r = make(f, layer, tick, err);

    for (unsigned i = 1; i < DIGEST_TRIES && r == MVM_E_DIGEST; i++)
        r = make(f, layer, tick, err);
    if (r == MVM_E_DIGEST && image_source_doubt(f->source))
        r = make(f, layer, tick, err);
    return r;
}

static int fetch(const struct pull_fetch *f, struct pull_layer *layer, struct image_tick *tick,
                 mvm_error **err)
{
    struct image_store *s = f->temp->store;
    const struct store_name name = store_layer_name(layer->diff_id);
    mvm_autovalue(store_lock) lock = STORE_LOCK_NONE;
    mvm_autoerror mvm_error *why = NULL;
    int r = store_lock_take(s, name.text, tick, &lock, err);

    if (r < 0)
        return r;
    r = store_layer_check(s, layer->diff_id, tick, &layer->pin, NULL, &why);
    if (r == MVM_E_DIGEST || r == MVM_E_NOT_FOUND) {
        mvm_error_free(steal_ptr(&why));
        r = make_somehow(f, layer, tick, &why);
    }
    if (r < 0)
        error_move(err, steal_ptr(&why));
    return r;
}

int pull_layer_fetch(const struct pull_fetch *f, struct pull_layer *layer, struct image_tick *tick,
                     mvm_error **err)
{
    int r;

    tick->now = layer->progress;
    r = image_tick_now(tick, err);
    if (r == 0)
        r = fetch(f, layer, tick, err);
    if (r == 0)
        tick->now.done = tick->now.total;
    if (r == 0)
        r = image_tick_now(tick, err);
    if (r < 0)
        return mvm_context(err, r, "layer %u of %u: %s", layer->progress.layer,
                           layer->progress.layers, layer->text.text);
    return 0;
}
