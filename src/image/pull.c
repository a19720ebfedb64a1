/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pull: the store is asked first where the policy allows it, then the source, which says what the
 * name means now; of an image that the store has under that digest, and of layers that it has,
 * nothing is fetched again.
 */
#include "image/pull-internal.h"

#include "image/sources.h"

static void pull_deinit(struct pull *p)
{
    image_source_free(p->source);
    image_free(p->known);
    free(p->identity);
    resolved_deinit(&p->found);
    image_name_deinit(&p->name);
}
MVM_DEFINE_AUTOVALUE(pull, pull_deinit)

/* A digest always means the same. A layout, an archive and an engine are near and quickly asked, so
 * that what was made anew is seen. */
static bool may_use_store(const struct pull *p)
{
    if (p->options->policy == IMAGE_PULL_NEVER)
        return true;
    if (p->name.transport != IMAGE_TRANSPORT_NONE)
        return false;
    return p->options->policy == IMAGE_PULL_MISSING || p->name.ref.has_digest;
}

/* That the store has every layer of the image, untouched, or touched and right all the same.
 * MVM_E_NOT_FOUND; MVM_E_DIGEST for one that was damaged. */
static int check_layers(struct pull *p, const struct image *image, mvm_error **err)
{
    const struct oci_config *c = &image->config;

    for (size_t i = 0; i < c->n_diff_ids; i++) {
        int r = store_layer_get(p->store, &c->diff_ids[i], &p->tick, NULL, NULL, err);

        if (r < 0)
            return mvm_context(err, r, "layer %zu of %zu", i + 1, c->n_diff_ids);
    }
    return 0;
}

/* The whole image from the store, with its layers. */
static int load_whole(struct pull *p, const struct digest *digest, struct image **ret,
                      mvm_error **err)
{
    mvm_auto(image) image = NULL;
    int r = store_load_image(p->store, digest, &p->tick, &image, err);

    if (r == 0)
        r = check_layers(p, image, err);
    if (r < 0)
        return r;
    *ret = steal_ptr(&image);
    return 0;
}

static int prepare(const struct pull *p, const struct image *image, mvm_error **err)
{
    const struct image_pull_options *o = p->options;

    return o->prepare ? o->prepare(o->prepare_user, p->store, image, err) : 0;
}

/* MVM_E_NOT_FOUND or MVM_E_DIGEST when the store cannot tell. */
static int find_in_store(struct pull *p, struct image **ret, mvm_error **err)
{
    bool never = p->options->policy == IMAGE_PULL_NEVER;
    mvm_auto(image) image = NULL;
    struct digest digest;
    int r = store_ref_get(p->store, p->name.qualified, p->platform.text, &digest, err);

    /* A record that is damaged is as good as none. */
    if (r == MVM_E_NOT_FOUND || r == MVM_E_FORMAT || r == MVM_E_LIMIT)
        return mvm_fail(err, MVM_E_NOT_FOUND, 0, "not in the image store%s",
                        never ? ", and pulling is forbidden" : "");
    if (r == 0)
        r = load_whole(p, &digest, &image, err);
    if (r == 0)
        r = prepare(p, image, err);
    if (never && (r == MVM_E_NOT_FOUND || r == MVM_E_DIGEST))
        return mvm_context(err, r, "not whole in the image store, and pulling is forbidden");
    if (r == 0)
        *ret = steal_ptr(&image);
    return r;
}

int pull_check_platform(const struct pull *p, const struct oci_config *config, mvm_error **err)
{
    if (strcmp(config->os, p->want.os) == 0 &&
        strcmp(config->architecture, p->want.architecture) == 0)
        return 0;
    if (!config->os[0] || !config->architecture[0])
        return mvm_fail(err, MVM_E_FORMAT, 0, "image config: names no platform, wanted is %s",
                        p->platform.text);
    return mvm_fail(err, MVM_E_UNSUPPORTED, 0, "the image is for %.32s/%.32s, wanted is %s",
                    config->os, config->architecture, p->platform.text);
}

/* Under what the store remembers which image an identity stands for. */
static int identity_name(const char *identity, char **ret, mvm_error **err)
{
    if (asprintf(ret, STORE_IDENTITY "%s", identity) < 0) {
        *ret = NULL;
        return mvm_fail_nomem(err);
    }
    return 0;
}

/* 1: the store has the image that the source would give, in p->known; 0: it has not. */
static int find_identity(struct pull *p, struct image_source *source, mvm_error **err)
{
    mvm_autofree char *identity = NULL;
    int r;

    free(steal_ptr(&p->identity));
    if (!source->identify)
        return 0;
    r = source->identify(source, &p->want, &identity, err);
    if (r == 0 && identity)
        r = identity_name(identity, &p->identity, err);
    if (r < 0 || !identity)
        return r;
    return store_ref_get(p->store, p->identity, p->platform.text, &p->found.digest, NULL) == 0 &&
           load_whole(p, &p->found.digest, &p->known, NULL) == 0;
}

static int try_source(void *user, struct image_source **source, mvm_error **err)
{
    struct pull *p = user;
    int r = find_identity(p, *source, err);

    if (r != 0)
        return r < 0 ? r : 0;
    r = resolve_manifest(*source, &p->want, &p->found, err);
    if (r < 0)
        return r;
    p->source = steal_ptr(source);
    return 0;
}

static int remember(struct pull *p, const char *name, mvm_error **err)
{
    struct digest known;

    /* Written only when it changes: a write is synced, and a warm start need not pay for it. */
    if (store_ref_get(p->store, name, p->platform.text, &known, NULL) == 0 &&
        digest_equal(&known, &p->found.digest))
        return 0;
    return store_ref_set(p->store, name, p->platform.text, &p->found.digest, &p->tick, err);
}

static int fetch(struct pull *p, struct image **ret, mvm_error **err)
{
    int r = load_whole(p, &p->found.digest, ret, NULL);

    if (r == MVM_E_CANCELLED)
        return mvm_fail(err, r, 0, "cancelled");
    return r < 0 ? pull_build(p, ret, err) : pull_check_platform(p, &(*ret)->config, err);
}

/* With no name, and no use, an image would be nothing but litter. */
static int prepare_new(struct pull *p, struct image **image, mvm_error **err)
{
    int r = prepare(p, *image, err);

    if (r < 0)
        pull_forget(p, steal_ptr(image), r);
    return r;
}

static int pull_from_source(struct pull *p, struct image **ret, mvm_error **err)
{
    const struct sources sources = {
        .name = &p->name, .options = p->options, .dir_fd = p->store->fd, .tick = &p->tick
    };
    mvm_auto(image) image = NULL;
    int r = sources_try(&sources, try_source, p, err);

    if (r < 0)
        return r;
    image = steal_ptr(&p->known);
    if (!image)
        r = fetch(p, &image, err);
    if (r == 0)
        r = prepare_new(p, &image, err);
    if (r == 0)
        r = remember(p, p->name.qualified, err);
    if (r == 0 && p->identity)
        r = remember(p, p->identity, err);
    if (r < 0)
        return r;
    *ret = steal_ptr(&image);
    return 0;
}

static int pull_run(struct pull *p, struct image **ret, mvm_error **err)
{
    int r = image_tick_now(&p->tick, err);

    if (r < 0)
        return r;
    if (may_use_store(p)) {
        mvm_autoerror mvm_error *why = NULL;

        r = find_in_store(p, ret, &why);
        if (r == 0)
            return 0;
        if (p->options->policy == IMAGE_PULL_NEVER || (r != MVM_E_NOT_FOUND && r != MVM_E_DIGEST)) {
            error_move(err, steal_ptr(&why));
            return r;
        }
    }
    return pull_from_source(p, ret, err);
}

/* Without a wish the host's variant only guides the choice: the name of the platform stays
 * "linux/amd64". */
static int pull_init(struct pull *p, const char *name, mvm_error **err)
{
    struct oci_platform named;
    int r = image_name_parse(name, &p->name, err);

    if (r == 0)
        r = oci_platform_want(p->options->platform, &p->want, err);
    if (r == 0 && p->options->platform)
        r = oci_platform_parse(p->options->platform, &named, err);
    if (r < 0)
        return r;
    if (!p->options->platform) {
        named = p->want;
        named.variant[0] = '\0';
    }
    p->platform = oci_platform_format(&named);
    p->tick = (struct image_tick){ .fn = p->options->progress, .user = p->options->progress_user };
    p->tick.now = (struct image_progress){ .phase = IMAGE_PHASE_RESOLVE,
                                           .name = p->name.qualified };
    return 0;
}

int image_pull(struct image_store *store, const char *name,
               const struct image_pull_options *options, struct image **ret, mvm_error **err)
{
    mvm_autovalue(pull) p = { .store = store, .options = options };
    int r = pull_init(&p, name, err);

    if (r == 0)
        r = pull_run(&p, ret, err);
    if (r == 0)
        store_image_touch((*ret)->lock_fd);
    return r < 0 ? mvm_context(err, r, "pull %.512s", name) : 0;
}
