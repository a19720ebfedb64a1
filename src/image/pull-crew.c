/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Several layers at once. Each worker takes the next missing layer until there is none, and has a
 * tick of its own, which notes how far it is. The caller's thread waits for them and reports: of
 * the layers under way the first one in the image's order, and each one once it has ended. The
 * first failure, or the caller's wish to stop, is what every other worker hears at its next tick.
 */
#include "image/pull-internal.h"

#include <microvm/options.h>

#include <pthread.h>
#include <signal.h>
#include <time.h>

struct crew {
    const struct pull_fetch *fetch; /* borrowed */
    struct pull_layers *layers;     /* borrowed; states and progress are under the lock */
    pthread_mutex_t lock;
    pthread_cond_t news; /* a layer or a worker has ended */
    /* Under the lock: */
    size_t next;
    unsigned running;
    bool stop;
    int failure; /* the first one; 0: none */
    mvm_error *error;
};

/* What a worker's tick belongs to. */
struct crew_job {
    struct crew *crew;
    struct pull_layer *layer;
};

static int publish(void *user, const struct image_progress *progress)
{
    struct crew_job *job = user;
    bool stop;

    (void) pthread_mutex_lock(&job->crew->lock);
    job->layer->progress = *progress;
    stop = job->crew->stop;
    (void) pthread_mutex_unlock(&job->crew->lock);
    return stop;
}

/* NULL: there is nothing left to do. */
static struct pull_layer *next_layer(struct crew *c)
{
    struct pull_layer *layer = NULL;

    (void) pthread_mutex_lock(&c->lock);
    while (!c->stop && !layer && c->next < c->layers->n)
        if (c->layers->items[c->next++].state == PULL_LAYER_MISSING)
            layer = &c->layers->items[c->next - 1];
    if (layer)
        layer->state = PULL_LAYER_ACTIVE;
    (void) pthread_mutex_unlock(&c->lock);
    return layer;
}

static void layer_ended(struct crew *c, struct pull_layer *layer, int r, mvm_error *error)
{
    (void) pthread_mutex_lock(&c->lock);
    layer->state = r < 0 ? PULL_LAYER_TOLD : PULL_LAYER_ENDED;
    if (r < 0 && !c->stop) {
        c->failure = r;
        c->error = steal_ptr(&error);
        c->stop = true;
    }
    (void) pthread_cond_signal(&c->news);
    (void) pthread_mutex_unlock(&c->lock);
    mvm_error_free(error);
}

static void *work(void *user)
{
    struct crew *c = user;
    struct pull_layer *layer;

    while ((layer = next_layer(c)) != NULL) {
        struct crew_job job = { .crew = c, .layer = layer };
        struct image_tick tick = { .fn = publish, .user = &job };
        mvm_error *error = NULL;
        int r = pull_layer_fetch(c->fetch, layer, &tick, &error);

        layer_ended(c, layer, r, error);
    }
    (void) pthread_mutex_lock(&c->lock);
    c->running--;
    (void) pthread_cond_signal(&c->news);
    (void) pthread_mutex_unlock(&c->lock);
    return NULL;
}

/* What to report next, with the lock held. A layer that has ended is reported once. */
static bool next_report(struct crew *c, struct image_progress *ret, bool *ret_ended)
{
    const struct pull_layer *active = NULL;

    for (size_t i = 0; i < c->layers->n; i++) {
        struct pull_layer *layer = &c->layers->items[i];

        if (layer->state == PULL_LAYER_ENDED) {
            layer->state = PULL_LAYER_TOLD;
            *ret = layer->progress;
            *ret_ended = true;
            return true;
        }
        if (layer->state == PULL_LAYER_ACTIVE && !active)
            active = layer;
    }
    if (active)
        *ret = active->progress;
    *ret_ended = false;
    return active != NULL;
}

/* With the lock held, which is let go of while the caller's function runs. */
static void report(struct crew *c, struct image_tick *tick)
{
    bool more = true;

    while (more && !c->stop && next_report(c, &tick->now, &more)) {
        mvm_error *error = NULL;
        int r;

        (void) pthread_mutex_unlock(&c->lock);
        r = image_tick_now(tick, &error);
        (void) pthread_mutex_lock(&c->lock);
        if (r < 0 && !c->stop) {
            c->failure = r;
            c->error = steal_ptr(&error);
            c->stop = true;
        }
        mvm_error_free(error);
    }
}

static void wait_for_news(struct crew *c)
{
    struct timespec until;

    (void) clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += IMAGE_TICK_MS * 1000000L;
    until.tv_sec += until.tv_nsec / 1000000000L;
    until.tv_nsec %= 1000000000L;
    /* That the time is over is as good a reason to look as any. */
    (void) pthread_cond_timedwait(&c->news, &c->lock, &until);
}

/* Starts up to @n workers and gives their number. They get no signal: handlers are the
 * application's, and so are the threads that run them. */
static unsigned start(struct crew *c, unsigned n, pthread_t *threads)
{
    pthread_attr_t attr;
    sigset_t all;
    unsigned started = 0;

    (void) sigfillset(&all);
    if (pthread_attr_init(&attr) != 0)
        return 0;
    if (pthread_attr_setsigmask_np(&attr, &all) == 0) {
        (void) pthread_mutex_lock(&c->lock);
        while (started < n && pthread_create(&threads[started], &attr, work, c) == 0)
            started++;
        c->running = started;
        (void) pthread_mutex_unlock(&c->lock);
    }
    (void) pthread_attr_destroy(&attr);
    return started;
}

static int crew_init(struct crew *c, mvm_error **err)
{
    pthread_condattr_t attr;

    /* None of these can fail on Linux but for memory. */
    if (pthread_condattr_init(&attr) != 0 ||
        pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) != 0 ||
        pthread_cond_init(&c->news, &attr) != 0 || pthread_mutex_init(&c->lock, NULL) != 0)
        return mvm_fail_nomem(err);
    (void) pthread_condattr_destroy(&attr);
    return 0;
}

int pull_crew_run(const struct pull_fetch *f, struct pull_layers *layers, unsigned jobs,
                  struct image_tick *tick, mvm_error **err)
{
    struct crew c = { .fetch = f, .layers = layers };
    pthread_t threads[MVM_LAYER_JOBS_MAX];
    unsigned n;
    int r = crew_init(&c, err);

    if (r < 0)
        return r;
    n = start(&c, jobs < MVM_LAYER_JOBS_MAX ? jobs : MVM_LAYER_JOBS_MAX, threads);
    if (n == 0)
        c.failure = mvm_fail(&c.error, MVM_E_SYS, EAGAIN, "start a thread");
    (void) pthread_mutex_lock(&c.lock);
    while (c.running > 0) {
        wait_for_news(&c);
        report(&c, tick);
    }
    (void) pthread_mutex_unlock(&c.lock);
    for (unsigned i = 0; i < n; i++)
        (void) pthread_join(threads[i], NULL);
    (void) pthread_mutex_destroy(&c.lock);
    (void) pthread_cond_destroy(&c.news);
    if (c.failure < 0)
        error_move(err, c.error);
    return c.failure;
}
