/* SPDX-License-Identifier: Apache-2.0 */
/* From a manifest to an image in the store: what of it is there already is kept. */
#include "image/pull-internal.h"
#include "image/store-gc.h"

#include "base/file.h"

static int read_config(struct pull *p, char **ret, size_t *ret_len, mvm_error **err)
{
    const struct oci_descriptor *d = &p->found.doc.manifest.config;
    mvm_auto(blob_reader) reader = NULL;
    int r = image_source_open_blob(p->source, d, &p->tick, &reader, err);

    return r < 0 ? r : blob_read_all(reader, d, OCI_CONFIG_MAX, ret, ret_len, err);
}

/* Fetches the config into the temporary folder. */
static int fetch_config(struct pull *p, const struct store_temp *temp, struct oci_config *config,
                        mvm_error **err)
{
    mvm_autoerror mvm_error *why = NULL;
    mvm_autofree char *text = NULL;
    size_t len = 0;
    int r = read_config(p, &text, &len, &why);

    if (r == MVM_E_DIGEST && image_source_doubt(p->source))
        r = read_config(p, &text, &len, &why);
    if (r < 0) {
        error_move(err, steal_ptr(&why));
        return mvm_context(err, r, "image config %s",
                           digest_format(&p->found.doc.manifest.config.digest).text);
    }
    r = oci_config_parse(text, len, config, err);
    if (r == 0)
        r = pull_check_platform(p, config, err);
    return r < 0 ? r : file_write(temp->fd, STORE_CONFIG, text, len, 0600, err);
}

/* A pull that was broken off goes on later with the layers that it has; one that ended since the
 * image is bad, or the disk full, keeps nothing. */
static bool is_worth_keeping(int r)
{
    return r == MVM_E_NET || r == MVM_E_CANCELLED || r == MVM_E_TIMEOUT || r == MVM_E_AUTH;
}

/* Those of them that no other image has. What cannot be removed is left to a gc. */
static void drop_layers(struct pull *p, const struct oci_config *config)
{
    const struct gc g = { .store = p->store };
    mvm_autofree struct store_name *names = mem_array(config->n_diff_ids, sizeof(*names));

    if (!names)
        return;
    for (size_t i = 0; i < config->n_diff_ids; i++)
        names[i] = store_layer_name(&config->diff_ids[i]);
    (void) gc_remove_layers(&g, names, config->n_diff_ids, NULL);
}

void pull_forget(struct pull *p, struct image *image, int why)
{
    const struct store_name name = store_image_name(&image->manifest);
    const struct gc g = { .store = p->store };
    mvm_autovalue(oci_config) config = image->config;
    mvm_autovalue(store_names) names = { .n = 0 };
    mvm_autoclose int fd = -EBADF;

    image->config = (struct oci_config){ .os = NULL };
    image_free(image);
    if (gc_lock_image(&g, name.text, &fd, NULL) == 0 &&
        store_names_read(p->store, &names, NULL) == 0 && !store_names_have(&names, name.text) &&
        gc_remove_image(&g, name.text, fd, NULL) == 0 && !is_worth_keeping(why))
        drop_layers(p, &config);
}

static int get_layers(struct pull *p, const struct store_temp *temp,
                      const struct oci_config *config, struct pull_layers *layers, mvm_error **err)
{
    int r = pull_layers_plan(p, config, layers, err);

    if (r < 0)
        return r;
    r = pull_layers_fetch(p, temp, layers, err);
    if (r < 0 && !is_worth_keeping(r)) {
        pull_layers_deinit(layers);
        drop_layers(p, config);
    }
    return r;
}

/* The documents come last into the store, so that they never name a layer that is not there. */
static int make_image(struct pull *p, struct store_temp *temp, struct image **ret, mvm_error **err)
{
    mvm_autovalue(pull_layers) layers = { .n = 0 };
    mvm_autovalue(oci_config) config = { .os = NULL };
    int r = fetch_config(p, temp, &config, err);

    if (r == 0)
        r = get_layers(p, temp, &config, &layers, err);
    if (r == 0)
        r = file_write(temp->fd, STORE_MANIFEST, p->found.text, p->found.len, 0600, err);
    if (r == 0)
        r = store_commit_image(temp, &p->found.digest, &p->tick, ret, err);
    return r;
}

/* Some of its layers are gone, or damaged. */
static int mend_image(struct pull *p, const struct store_temp *temp, const struct image *image,
                      mvm_error **err)
{
    mvm_autovalue(pull_layers) layers = { .n = 0 };
    int r = pull_check_platform(p, &image->config, err);

    return r < 0 ? r : get_layers(p, temp, &image->config, &layers, err);
}

/* The lock makes a second process wait; it then finds what the first one made. */
int pull_build(struct pull *p, struct image **ret, mvm_error **err)
{
    const struct store_name name = store_image_name(&p->found.digest);
    mvm_autovalue(store_lock) lock = STORE_LOCK_NONE;
    mvm_autovalue(store_temp) temp = STORE_TEMP_NONE;
    mvm_auto(image) image = NULL;
    int r = store_lock_take(p->store, name.text, &p->tick, &lock, err);

    if (r == 0)
        r = store_temp_new(p->store, &p->tick, &temp, err);
    if (r < 0)
        return r;
    r = store_load_image(p->store, &p->found.digest, &p->tick, &image, NULL);
    if (r == MVM_E_CANCELLED)
        return mvm_fail(err, r, 0, "cancelled");
    if (r == 0)
        r = mend_image(p, &temp, image, err);
    else
        r = make_image(p, &temp, &image, err);
    if (r < 0)
        return r;
    *ret = steal_ptr(&image);
    return 0;
}
