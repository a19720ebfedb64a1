/* SPDX-License-Identifier: Apache-2.0 */
/* From a manifest to an image in the store. All of it happens in one temporary folder that goes
 * with any failure. */
#include "image/pull-internal.h"

#include "base/file.h"
#include "base/path.h"
#include "image/rootfs-image.h"
#include "image/tree-remove.h"

#define TREE_NAME "root"

/* Fetches the config into the temporary folder. */
static int fetch_config(struct pull *p, const struct store_temp *temp, struct oci_config *config,
                        mvm_error **err)
{
    const struct oci_manifest *m = &p->found.doc.manifest;
    mvm_auto(blob_reader) reader = NULL;
    mvm_autofree char *text = NULL;
    size_t len = 0;
    int r = p->source->open_blob(p->source, &m->config, &p->tick, &reader, err);

    if (r == 0)
        r = blob_read_all(reader, &m->config, OCI_CONFIG_MAX, &text, &len, err);
    if (r < 0)
        return mvm_context(err, r, "image config %s", digest_format(&m->config.digest).text);
    r = oci_config_parse(text, len, config, err);
    if (r == 0)
        r = pull_check_platform(p, config, err);
    if (r == 0 && config->n_diff_ids != m->n_layers)
        r = mvm_fail(err, MVM_E_FORMAT, 0,
                     "the manifest has %zu layers, the image config %zu diffIDs", m->n_layers,
                     config->n_diff_ids);
    return r < 0 ? r : file_write(temp->fd, STORE_CONFIG, text, len, 0600, err);
}

struct layering {
    struct rootfs_unpack *unpack; /* borrowed */
    struct image_budget budget;
};

static int apply_layer(struct pull *p, struct layering *l, const struct oci_descriptor *blob,
                       const struct digest *diff_id, mvm_error **err)
{
    const struct layer_expect expect = {
        .blob = blob, .diff_id = diff_id, .budget = &l->budget, .tick = &p->tick
    };
    mvm_auto(blob_reader) reader = NULL;
    mvm_auto(layer_stream) stream = NULL;
    int r = p->source->open_blob(p->source, blob, &p->tick, &reader, err);

    if (r == 0)
        r = layer_stream_new(reader, &expect, &stream, err);
    if (r == 0)
        r = rootfs_unpack_layer(l->unpack, stream, &p->tick, err);
    return r;
}

static int apply_layers(struct pull *p, struct rootfs_unpack *unpack,
                        const struct oci_config *config, mvm_error **err)
{
    const struct oci_manifest *m = &p->found.doc.manifest;
    struct layering l = { .unpack = unpack, .budget = { .limits = IMAGE_LIMITS_DEFAULT } };

    for (size_t i = 0; i < m->n_layers; i++) {
        const struct digest_text text = digest_format(&m->layers[i].digest);
        int r;

        p->tick.now = (struct image_progress){ .phase = IMAGE_PHASE_LAYER,
                                               .layer = (unsigned) i + 1,
                                               .layers = (unsigned) m->n_layers,
                                               .total = m->layers[i].size,
                                               .name = text.text };
        r = image_tick_now(&p->tick, err);
        if (r == 0)
            r = apply_layer(p, &l, &m->layers[i], &config->diff_ids[i], err);
        if (r == 0)
            r = image_tick_now(&p->tick, err);
        p->tick.now.name = p->name.qualified;
        if (r < 0)
            return mvm_context(err, r, "layer %zu of %zu: %s", i + 1, m->n_layers, text.text);
    }
    return 0;
}

static int make_rootfs(struct pull *p, const struct store_temp *temp,
                       const struct owner_map *owners, mvm_error **err)
{
    const struct rootfs_image_spec spec = {
        .dir_fd = temp->fd, .directory = TREE_NAME, .output = STORE_ROOTFS, .owners = owners
    };
    int r;

    p->tick.now.phase = IMAGE_PHASE_BUILD;
    r = image_tick_now(&p->tick, err);
    if (r == 0)
        r = rootfs_image_build(&spec, &p->tick, err);
    if (r == 0)
        r = tree_remove(temp->fd, TREE_NAME, &p->tick, err);
    return r;
}

static int fill_temp(struct pull *p, const struct store_temp *temp, mvm_error **err)
{
    const struct unpack_limits limits = UNPACK_LIMITS_DEFAULT;
    mvm_autovalue(oci_config) config = { 0 };
    mvm_auto(rootfs_unpack) unpack = NULL;
    mvm_autoclose int root = -EBADF;
    int r = file_write(temp->fd, STORE_MANIFEST, p->found.text, p->found.len, 0600, err);

    if (r == 0)
        r = fetch_config(p, temp, &config, err);
    if (r == 0)
        r = path_make_dir_at(temp->fd, TREE_NAME, 0700, &root, err);
    if (r == 0)
        r = rootfs_unpack_new(root, &limits, p->options->log, &unpack, err);
    if (r == 0)
        r = apply_layers(p, unpack, &config, err);
    if (r == 0)
        r = rootfs_unpack_finish(unpack, &p->tick, err);
    return r < 0 ? r : make_rootfs(p, temp, rootfs_unpack_owners(unpack), err);
}

int pull_build(struct pull *p, mvm_error **err)
{
    mvm_autovalue(store_temp) temp = STORE_TEMP_NONE;
    int r = store_temp_new(p->store, &temp, err);

    if (r == 0)
        r = fill_temp(p, &temp, err);
    return r < 0 ? r : store_temp_commit(&temp, &p->found.digest, err);
}
