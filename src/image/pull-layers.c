/* SPDX-License-Identifier: Apache-2.0 */
/* All layers of an image: which ones the store lacks, whether there is room for them, who fetches
 * them. */
#include "image/pull-internal.h"

#include <sys/statvfs.h>

/* Without a wish: as many as there are CPUs, but so many that a slow connection does not leave the
 * CPU idle, and not so many that registries mind (image.md I-147). */
#define JOBS_DEFAULT_MIN 2
#define JOBS_DEFAULT_MAX 4

void pull_layers_deinit(struct pull_layers *layers)
{
    for (size_t i = 0; i < layers->n; i++)
        if (layers->items[i].pin >= 0)
            (void) close(layers->items[i].pin);
    free(layers->items);
    *layers = (struct pull_layers){ .n = 0 };
}

static bool is_known(const struct pull_layers *layers, const struct digest *diff_id)
{
    for (size_t i = 0; i < layers->n; i++)
        if (digest_equal(layers->items[i].diff_id, diff_id))
            return true;
    return false;
}

/* Whatever is wrong with the store's own copy, the layer is missing. */
static void plan_layer(struct pull *p, struct pull_layers *layers, struct pull_layer layer)
{
    layer.pin = -EBADF;
    if (store_layer_find(p->store, layer.diff_id, &layer.pin, NULL, NULL) == 0)
        layer.state = PULL_LAYER_TOLD;
    else
        layers->n_missing++;
    layers->items[layers->n] = layer;
    layers->items[layers->n].progress.name = layers->items[layers->n].text.text;
    layers->n++;
}

int pull_layers_plan(struct pull *p, const struct oci_config *config, struct pull_layers *ret,
                     mvm_error **err)
{
    const struct oci_manifest *m = &p->found.doc.manifest;
    mvm_autovalue(pull_layers) layers = { .n = 0 };

    if (config->n_diff_ids != m->n_layers)
        return mvm_fail(err, MVM_E_FORMAT, 0,
                        "the manifest has %zu layers, the image config %zu diffIDs", m->n_layers,
                        config->n_diff_ids);
    if (m->n_layers > SOURCE_LAYERS_MAX)
        return mvm_fail(err, MVM_E_LIMIT, 0, "the image has %zu layers, the limit is %d",
                        m->n_layers, SOURCE_LAYERS_MAX);
    layers.items = mem_array(m->n_layers, sizeof(*layers.items));
    if (!layers.items)
        return mvm_fail_nomem(err);
    for (size_t i = 0; i < m->n_layers; i++)
        if (!is_known(&layers, &config->diff_ids[i]))
            plan_layer(p, &layers,
                       (struct pull_layer){ .blob = &m->layers[i],
                                            .diff_id = &config->diff_ids[i],
                                            .text = digest_format(&m->layers[i].digest),
                                            .progress = { .phase = IMAGE_PHASE_LAYER,
                                                          .layer = (unsigned) i + 1,
                                                          .layers = (unsigned) m->n_layers,
                                                          .total = m->layers[i].size } });
    *ret = layers;
    layers = (struct pull_layers){ .n = 0 };
    return 0;
}

/* What arrives is stored inflated: less room than this is certainly too little, and better told
 * before the download (image.md I-150). Sizes are below 2^53, so that their sum cannot overflow. */
static int check_space(const struct pull *p, const struct pull_layers *layers, mvm_error **err)
{
    uint64_t need = 0, room;
    struct statvfs fs;

    for (size_t i = 0; i < layers->n; i++)
        if (layers->items[i].state == PULL_LAYER_MISSING)
            need += layers->items[i].blob->size;
    if (fstatvfs(p->store->fd, &fs) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "ask for the free space of the image store");
    room = geteuid() == 0 ? fs.f_bfree : fs.f_bavail;
    if (__builtin_mul_overflow(room, (uint64_t) fs.f_frsize, &room) || room >= need)
        return 0;
    return mvm_fail(err, MVM_E_SYS, ENOSPC,
                    "the layers to be fetched have %llu bytes, and %llu are free in '%s'",
                    (unsigned long long) need, (unsigned long long) room, p->store->path);
}

static unsigned choose_jobs(const struct pull *p, size_t n_missing)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    unsigned jobs = p->options->layer_jobs;

    if (jobs == 0)
        jobs = cpus < JOBS_DEFAULT_MIN
                   ? JOBS_DEFAULT_MIN
                   : (unsigned) (cpus < JOBS_DEFAULT_MAX ? cpus : JOBS_DEFAULT_MAX);
    return jobs < n_missing ? jobs : (unsigned) n_missing;
}

/* One after the other, in the caller's thread. */
static int fetch_in_turn(const struct pull_fetch *f, struct pull_layers *layers,
                         struct image_tick *tick, mvm_error **err)
{
    int r = 0;

    for (size_t i = 0; i < layers->n && r == 0; i++)
        if (layers->items[i].state == PULL_LAYER_MISSING)
            r = pull_layer_fetch(f, &layers->items[i], tick, err);
    return r;
}

int pull_layers_fetch(struct pull *p, const struct store_temp *temp, struct pull_layers *layers,
                      mvm_error **err)
{
    const struct image_limits limits = IMAGE_LIMITS_DEFAULT;
    struct image_budget budget = { .limits = limits };
    const struct pull_fetch f = { .source = p->source, .temp = temp, .budget = &budget };
    unsigned jobs = choose_jobs(p, layers->n_missing);
    int r;

    if (layers->n_missing == 0)
        return 0;
    r = check_space(p, layers, err);
    if (r < 0)
        return r;
    /* A thread is not worth it for a single layer. */
    r = jobs > 1 ? pull_crew_run(&f, layers, jobs, &p->tick, err)
                 : fetch_in_turn(&f, layers, &p->tick, err);
    /* The names in it are the layers'. */
    p->tick.now = (struct image_progress){ .phase = IMAGE_PHASE_RESOLVE,
                                           .name = p->name.qualified };
    return r;
}
