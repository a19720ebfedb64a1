/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A thread that hashes what another one hands it, so that a layer is hashed and inflated at the
 * same time: beside inflating, hashing is the greatest part of the work. Buffers are handed over by
 * reference and in order; their owner waits before it fills one of them anew.
 *
 * All calls are made by one thread. What is hashed into belongs to the hash thread from its first
 * push until hash_thread_wait() has returned for its last one.
 */
#ifndef IMAGE_HASH_THREAD_H
#define IMAGE_HASH_THREAD_H

#include "base/digest.h"

/* Most jobs at a time; one more waits until the oldest is done. */
#define HASH_JOBS_MAX 16u

/* Jobs count from 1; 0 is done already. */
typedef uint64_t hash_job;

struct hash_thread;
int hash_thread_new(struct hash_thread **ret, mvm_error **err);
/* Ends when all that was pushed is done. */
void hash_thread_free(struct hash_thread *h);
MVM_DEFINE_AUTO(hash_thread, hash_thread_free)
/* @data is borrowed until the job is done. */
hash_job hash_thread_push(struct hash_thread *h, struct digest_stream *to, const void *data,
                          size_t len);
/* Until this job, and with it every earlier one, is done. */
void hash_thread_wait(struct hash_thread *h, hash_job job);

#endif
