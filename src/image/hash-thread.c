/* SPDX-License-Identifier: Apache-2.0 */
#include "image/hash-thread.h"

#include <pthread.h>
#include <signal.h>

struct job {
    struct digest_stream *to; /* borrowed */
    const void *data;         /* borrowed */
    size_t len;
};

struct hash_thread {
    pthread_t thread;
    pthread_mutex_t lock; /* over all below */
    pthread_cond_t pushed_one, done_one;
    struct job jobs[HASH_JOBS_MAX];
    hash_job pushed, done; /* the last one of each */
    bool ends;
};

/* The next job, held by the ring until it is done; false when there will be none. */
static bool next_job(struct hash_thread *h, struct job *ret)
{
    bool has_one;

    (void) pthread_mutex_lock(&h->lock);
    while (h->done == h->pushed && !h->ends)
        (void) pthread_cond_wait(&h->pushed_one, &h->lock);
    has_one = h->done < h->pushed;
    if (has_one)
        *ret = h->jobs[(h->done + 1) % HASH_JOBS_MAX];
    (void) pthread_mutex_unlock(&h->lock);
    return has_one;
}

static void *run(void *user)
{
    struct hash_thread *h = user;
    struct job job;

    while (next_job(h, &job)) {
        digest_stream_update(job.to, job.data, job.len);
        (void) pthread_mutex_lock(&h->lock);
        h->done++;
        (void) pthread_cond_signal(&h->done_one);
        (void) pthread_mutex_unlock(&h->lock);
    }
    return NULL;
}

/* No signal of the application is delivered to this thread. */
static int start(struct hash_thread *h)
{
    pthread_attr_t attributes;
    sigset_t all;
    int code = pthread_attr_init(&attributes);

    if (code != 0)
        return code;
    (void) sigfillset(&all);
    code = pthread_attr_setsigmask_np(&attributes, &all);
    if (code == 0)
        code = pthread_create(&h->thread, &attributes, run, h);
    (void) pthread_attr_destroy(&attributes);
    return code;
}

static void release(struct hash_thread *h)
{
    (void) pthread_cond_destroy(&h->done_one);
    (void) pthread_cond_destroy(&h->pushed_one);
    (void) pthread_mutex_destroy(&h->lock);
    free(h);
}

int hash_thread_new(struct hash_thread **ret, mvm_error **err)
{
    struct hash_thread *h = calloc(1, sizeof(*h));
    int code;

    if (!h)
        return mvm_fail_nomem(err);
    /* With default attributes these do not fail on Linux. */
    (void) pthread_mutex_init(&h->lock, NULL);
    (void) pthread_cond_init(&h->pushed_one, NULL);
    (void) pthread_cond_init(&h->done_one, NULL);
    code = start(h);
    if (code != 0) {
        release(h);
        return mvm_fail(err, MVM_E_SYS, code, "start a thread for hashing");
    }
    *ret = h;
    return 0;
}

void hash_thread_free(struct hash_thread *h)
{
    if (!h)
        return;
    (void) pthread_mutex_lock(&h->lock);
    h->ends = true;
    (void) pthread_cond_signal(&h->pushed_one);
    (void) pthread_mutex_unlock(&h->lock);
    (void) pthread_join(h->thread, NULL);
    release(h);
}

hash_job hash_thread_push(struct hash_thread *h, struct digest_stream *to, const void *data,
                          size_t len)
{
    hash_job job;

    (void) pthread_mutex_lock(&h->lock);
    while (h->pushed - h->done == HASH_JOBS_MAX)
        (void) pthread_cond_wait(&h->done_one, &h->lock);
    job = ++h->pushed;
    h->jobs[job % HASH_JOBS_MAX] = (struct job){ .to = to, .data = data, .len = len };
    (void) pthread_cond_signal(&h->pushed_one);
    (void) pthread_mutex_unlock(&h->lock);
    return job;
}

void hash_thread_wait(struct hash_thread *h, hash_job job)
{
    (void) pthread_mutex_lock(&h->lock);
    while (h->done < job)
        (void) pthread_cond_wait(&h->done_one, &h->lock);
    (void) pthread_mutex_unlock(&h->lock);
}
