/* SPDX-License-Identifier: Apache-2.0 */
#include "image/layer-convert.h"

#include "image/layer-convert-internal.h"

static int take_entry(struct convert *c, const struct tar_entry *e, mvm_error **err)
{
    const struct image_limits *limits = &c->budget->limits;
    uint64_t path_bytes = strlen(e->name) + (e->link ? strlen(e->link) : 0);

    if (!image_budget_take(&c->budget->entries, 1, limits->entries))
        return mvm_fail(err, MVM_E_LIMIT, 0, "more than %llu entries",
                        (unsigned long long) limits->entries);
    if (!image_budget_take(&c->budget->path_bytes, path_bytes, limits->path_bytes))
        return mvm_fail(err, MVM_E_LIMIT, 0,
                        "the names of the image exceed the limit of %llu bytes",
                        (unsigned long long) limits->path_bytes);
    return 0;
}

static int set_symlink(const struct tar_entry *e, struct layer_record *record, mvm_error **err)
{
    size_t len = e->link ? strlen(e->link) : 0;

    if (len == 0)
        return mvm_fail(err, MVM_E_FORMAT, 0, "a symlink without a target");
    if (len > LAYER_SYMLINK_MAX)
        return mvm_fail(err, MVM_E_LIMIT, 0, "the symlink's target has %zu bytes, the limit is %u",
                        len, LAYER_SYMLINK_MAX);
    record->link = e->link;
    record->link_len = (uint16_t) len;
    return 0;
}

/* A hard link is another name of what its source is: what its own header says of mode, owner, time
 * and attributes has no effect. */
static int set_hardlink(struct convert *c, const struct tar_entry *e, struct layer_record *record,
                        mvm_error **err)
{
    int r = layer_path_set(&c->link, e->link, c->budget->limits.depth, err);

    if (r == 0 && c->link.len == 0)
        r = mvm_fail(err, MVM_E_FORMAT, 0, "it is the root");
    if (r < 0)
        return mvm_context(err, r, "hard link to '%.256s'", e->link);
    *record = (struct layer_record){ .kind = LAYER_HARDLINK,
                                     .path = record->path,
                                     .path_len = record->path_len,
                                     .link = c->link.text,
                                     .link_len = (uint16_t) c->link.len };
    return 0;
}

static int set_device(const struct tar_entry *e, struct layer_record *record, mvm_error **err)
{
    record->device = e->device;
    if (major(e->device) <= LAYER_DEVICE_MAJOR_MAX && minor(e->device) <= LAYER_DEVICE_MINOR_MAX)
        return 0;
    return mvm_fail(err, MVM_E_LIMIT, 0, "the device numbers %u:%u are beyond %u:%u",
                    major(e->device), minor(e->device), LAYER_DEVICE_MAJOR_MAX,
                    LAYER_DEVICE_MINOR_MAX);
}

/* What is its own of each kind. */
static int set_kind(struct convert *c, const struct tar_entry *e, struct layer_record *record,
                    mvm_error **err)
{
    static const enum layer_kind kinds[] = {
        [TAR_FILE] = LAYER_FILE,          [TAR_DIR] = LAYER_DIR,   [TAR_SYMLINK] = LAYER_SYMLINK,
        [TAR_CHAR] = LAYER_CHAR,          [TAR_FIFO] = LAYER_FIFO, [TAR_HARDLINK] = LAYER_HARDLINK,
        [TAR_BLOCK] = LAYER_BLOCK_DEVICE,
    };

    record->kind = kinds[e->kind];
    switch (e->kind) {
    case TAR_FILE:
        return convert_content(c, e, record, err);
    case TAR_SYMLINK:
        return set_symlink(e, record, err);
    case TAR_HARDLINK:
        return set_hardlink(c, e, record, err);
    case TAR_CHAR:
    case TAR_BLOCK:
        return set_device(e, record, err);
    default:
        return 0;
    }
}

static int convert_plain(struct convert *c, const struct tar_entry *e, mvm_error **err)
{
    struct layer_record record = { .path = c->path.text,
                                   .path_len = (uint16_t) c->path.len,
                                   .link = "",
                                   .mode = (uint16_t) e->mode,
                                   .uid = e->uid,
                                   .gid = e->gid,
                                   .mtime_s = e->mtime.tv_sec,
                                   .mtime_ns = (uint32_t) e->mtime.tv_nsec };
    int r;

    if (c->path.len == 0 && e->kind != TAR_DIR)
        return mvm_fail(err, MVM_E_FORMAT, 0, "the root of the image must be a directory");
    /* Sockets and the like: no image has them (image.md I-221). */
    if (e->kind == TAR_OTHER)
        return 0;
    /* First, while the entry's attributes are at hand: reading content is for later. */
    r = convert_xattrs(c, &record, err);
    if (r == 0)
        r = set_kind(c, e, &record, err);
    return r < 0 ? r : layer_writer_add(c->writer, &record, err);
}

static int convert_whiteout(struct convert *c, enum layer_kind kind, mvm_error **err)
{
    const struct layer_record record = {
        .kind = kind, .path = c->path.text, .path_len = (uint16_t) c->path.len, .link = ""
    };

    return layer_writer_add(c->writer, &record, err);
}

static int convert_entry(struct convert *c, const struct tar_entry *e, mvm_error **err)
{
    int r = take_entry(c, e, err);

    if (r == 0)
        r = layer_path_set(&c->path, e->name, c->budget->limits.depth, err);
    if (r == 0)
        r = layer_path_classify(&c->path, err);
    if (r < 0)
        return r;
    switch (r) {
    case LAYER_NAME_PLAIN:
        return convert_plain(c, e, err);
    case LAYER_NAME_WHITEOUT:
        return convert_whiteout(c, LAYER_WHITEOUT, err);
    case LAYER_NAME_OPAQUE:
        return convert_whiteout(c, LAYER_OPAQUE, err);
    default:
        return 0;
    }
}

static int convert_entries(struct convert *c, struct layer_stream *stream, struct image_tick *tick,
                           mvm_error **err)
{
    mvm_auto(tar_reader) tar = NULL;
    struct tar_entry e;
    int r = tar_reader_new(stream, &tar, err);

    c->tar = tar;
    while (r == 0 && (r = tar_reader_next(tar, &e, err)) > 0) {
        r = convert_entry(c, &e, err);
        if (r < 0)
            r = mvm_context(err, r, "'%.256s'", e.name);
        if (r == 0)
            r = image_tick(tick, err);
    }
    c->tar = NULL;
    return r;
}

/* All but the end: nothing of what was read is believed before it is verified. */
static int convert_stream(struct convert *c, struct layer_stream *stream, struct image_tick *tick,
                          mvm_error **err)
{
    mvm_autoerror mvm_error *why = NULL;
    int r = convert_entries(c, stream, tick, &why);

    if (r == 0)
        return layer_stream_finish(stream, err);
    /* A damaged blob looks like a malformed tar, but is not the image's fault. */
    if (r == MVM_E_FORMAT) {
        int blob = layer_stream_check_blob(stream, err);

        if (blob < 0)
            return blob;
    }
    error_move(err, steal_ptr(&why));
    return r;
}

static int convert_finish(struct convert *c, uint64_t plain_bytes, struct layer_sums *ret,
                          mvm_error **err)
{
    struct layer_totals totals = { .plain_bytes = plain_bytes, .file_bytes = c->file_bytes };
    struct layer_sums sums = { 0 };
    int r = layer_data_finish(&c->data, err);

    totals.data_blocks = c->data.at / LAYER_BLOCK;
    if (r == 0)
        r = layer_writer_finish(c->writer, &totals, err);
    if (r < 0)
        return r;
    sums.data_size = c->data.at;
    sums.data_crc = c->data.crc;
    layer_writer_sum(c->writer, &sums.index_size, &sums.index_crc);
    *ret = sums;
    return 0;
}

void convert_free(struct convert *c)
{
    if (!c)
        return;
    layer_writer_free(c->writer);
    layer_data_deinit(&c->data);
    free(c->found);
    free(c->xattrs);
    free(c);
}

int layer_convert(struct layer_stream *stream, const struct layer_output *out,
                  struct image_budget *budget, struct image_tick *tick, struct layer_sums *ret,
                  mvm_error **err)
{
    mvm_auto(convert) c = calloc(1, sizeof(*c));
    int r;

    if (!c)
        return mvm_fail_nomem(err);
    c->budget = budget;
    r = layer_data_init(&c->data, out->data_fd, err);
    if (r == 0)
        r = layer_writer_new(out->index_fd, &c->writer, err);
    if (r == 0)
        r = convert_stream(c, stream, tick, err);
    return r < 0 ? r : convert_finish(c, layer_stream_plain_bytes(stream), ret, err);
}
