/* SPDX-License-Identifier: Apache-2.0 */
/*
 * registry-tool NAME ROUNDS: reads the manifest of NAME, then every blob of it ROUNDS times, each
 * in a thread of its own, all at once. Prints "ok" when all digests were right; else one line
 * "CODE message" on stderr, and status 125.
 */
#include "base/scan.h"
#include "image/registry-options.h"
#include "image/source.h"

#include <pthread.h>

#define READ_SIZE 4096

struct job {
    pthread_t thread;
    struct image_source *source;
    const struct oci_descriptor *descriptor;
    struct image_tick tick;
    int result;
    mvm_error *error; /* owned */
};

static int read_blob(struct job *j, mvm_error **err)
{
    mvm_auto(blob_reader) reader = NULL;
    mvm_auto(digest_stream) stream = NULL;
    struct digest digest;
    char data[READ_SIZE];
    ssize_t n;
    int r = j->source->open_blob(j->source, j->descriptor, &j->tick, &reader, err);

    if (r == 0)
        r = digest_stream_new(j->descriptor->digest.algorithm, &stream, err);
    if (r < 0)
        return r;
    while ((n = reader->read(reader, data, sizeof(data), err)) > 0)
        digest_stream_update(stream, data, (size_t) n);
    if (n < 0)
        return (int) n;
    r = digest_stream_finish(stream, &digest, err);
    if (r == 0 && !digest_equal(&digest, &j->descriptor->digest))
        r = mvm_fail(err, MVM_E_DIGEST, 0, "content has the digest %s",
                     digest_format(&digest).text);
    return r;
}

static void *run_job(void *user)
{
    struct job *j = user;

    j->result = read_blob(j, &j->error);
    return NULL;
}

/* All of them are started before the first is waited for. */
static int run_jobs(struct job *jobs, size_t n, mvm_error **err)
{
    size_t started = 0;
    int r = 0;

    while (started < n && pthread_create(&jobs[started].thread, NULL, run_job, &jobs[started]) == 0)
        started++;
    if (started < n)
        r = mvm_fail(err, MVM_E_SYS, 0, "no more threads");
    for (size_t i = 0; i < started; i++) {
        (void) pthread_join(jobs[i].thread, NULL);
        if (jobs[i].result < 0 && r == 0) {
            r = jobs[i].result;
            error_move(err, steal_ptr(&jobs[i].error));
        }
        mvm_error_free(jobs[i].error);
    }
    return r;
}

static int read_all(struct image_source *source, const struct oci_manifest *m, size_t rounds,
                    mvm_error **err)
{
    size_t each = m->n_layers + 1, n = rounds * each;
    mvm_autofree struct job *jobs = mem_array(n, sizeof(*jobs));

    if (!jobs)
        return mvm_fail_nomem(err);
    for (size_t i = 0; i < n; i++) {
        size_t k = i % each;

        jobs[i].source = source;
        jobs[i].descriptor = k < m->n_layers ? &m->layers[k] : &m->config;
    }
    return run_jobs(jobs, n, err);
}

static int run(const char *name, size_t rounds, mvm_error **err)
{
    mvm_autovalue(oci_reference) ref = { 0 };
    mvm_autovalue(source_document) text = { 0 };
    mvm_autovalue(oci_document) doc = { 0 };
    struct image_tick tick = { .fn = NULL };
    mvm_auto(image_source) source = NULL;
    int r = oci_reference_parse(name, &ref, err);

    if (r == 0)
        r = registry_source_open(&ref, NULL, &tick, NULL, &source, err);
    if (r == 0)
        r = source->open_name(source, NULL, &text, err);
    if (r == 0)
        r = oci_document_parse(text.text, text.len, text.media_type, &doc, err);
    return r < 0 ? r : read_all(source, &doc.manifest, rounds, err);
}

int main(int argc, char **argv)
{
    mvm_autoerror mvm_error *error = NULL;
    uint64_t rounds = 0;
    int r;

    if (argc != 3 || !scan_u64(argv[2], strlen(argv[2]), 100, &rounds)) {
        (void) fprintf(stderr, "usage: registry-tool NAME ROUNDS\n");
        return 2;
    }
    r = run(argv[1], (size_t) rounds, &error);
    if (r == 0) {
        (void) printf("ok\n");
        return 0;
    }
    (void) fprintf(stderr, "%d %s\n", r, mvm_error_message(error));
    return 125;
}
