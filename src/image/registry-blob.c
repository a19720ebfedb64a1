/* SPDX-License-Identifier: Apache-2.0 */
/* A blob of a registry as a reader. A body that breaks off is taken up again where it ended
 * (image.md I-92). */
#include "image/registry-internal.h"

/* Times that a body may be taken up again without a single byte more. */
#define RESUME_TRIES 3
#define RESUME_WAIT_MS 500
/* What a server sends again because it knows no ranges is thrown away in pieces of this size. */
#define SKIP_PIECE (64u << 10)

struct registry_reader {
    struct blob_reader base;
    struct registry *registry;      /* borrowed */
    struct image_tick *tick;        /* borrowed; NULL: nobody is told */
    struct http_response *response; /* owned */
    char *path;                     /* owned */
    uint64_t wanted;                /* bytes that the descriptor promises */
    uint64_t done;                  /* bytes handed out */
    unsigned tries;                 /* since the last byte */
};

static int skip(struct http_response *response, uint64_t len, mvm_error **err)
{
    mvm_autofree char *data = malloc(SKIP_PIECE);

    if (!data)
        return mvm_fail_nomem(err);
    while (len > 0) {
        ssize_t n = http_read(response, data, len < SKIP_PIECE ? (size_t) len : SKIP_PIECE, err);

        if (n < 0)
            return (int) n;
        if (n == 0)
            return mvm_fail(err, MVM_E_NET, 0, "the body became shorter");
        len -= (uint64_t) n;
    }
    return 0;
}

/* 206 must begin where we stand; the digest tells if it lies. */
static int resume(struct registry_reader *b, mvm_error **err)
{
    const struct registry_request rq = { .range_from = b->done, .with_token = true, .tries = 1 };
    int r;

    http_response_free(steal_ptr(&b->response));
    r = registry_get(b->registry, b->path, &rq, &b->response, err);
    if (r < 0)
        return r;
    return http_status(b->response) == 206 ? 0 : skip(b->response, b->done, err);
}

/* The next bytes of the body that is open, or of one that takes it up again. */
static ssize_t read_some(struct registry_reader *b, void *data, size_t len, mvm_error **err)
{
    int r = b->response ? 0 : resume(b, err);
    ssize_t n;

    if (r < 0)
        return r;
    n = http_read(b->response, data, len, err);
    return n < 0 ? mvm_context(err, (int) n, "GET %s%s", b->registry->root, b->path) : n;
}

static ssize_t blob_read(struct blob_reader *base, void *data, size_t len, mvm_error **err)
{
    struct registry_reader *b = (struct registry_reader *) base;

    for (;;) {
        mvm_autoerror mvm_error *why = NULL;
        ssize_t n = read_some(b, data, len, &why);
        int r;

        if (n >= 0) {
            b->done += (uint64_t) n;
            b->tries = n > 0 ? 0 : b->tries;
            return n;
        }
        if (n != MVM_E_NET || b->done >= b->wanted || ++b->tries > RESUME_TRIES) {
            error_move(err, steal_ptr(&why));
            return n;
        }
        http_response_free(steal_ptr(&b->response));
        r = image_tick_sleep(b->tick, RESUME_WAIT_MS, err);
        if (r < 0)
            return r;
    }
}

static void blob_free(struct blob_reader *base)
{
    struct registry_reader *b = (struct registry_reader *) base;

    http_response_free(b->response);
    free(b->path);
    free(b);
}

int registry_open_blob(struct image_source *base, const struct oci_descriptor *d,
                       struct image_tick *tick, struct blob_reader **ret, mvm_error **err)
{
    const struct registry_request rq = { .with_token = true, .tries = 3 };
    struct registry *g = (struct registry *) base;
    mvm_auto(blob_reader) reader = NULL;
    struct registry_reader *b = calloc(1, sizeof(*b));
    int r;

    if (!b)
        return mvm_fail_nomem(err);
    b->base = (struct blob_reader){ .read = blob_read, .free = blob_free };
    reader = &b->base;
    b->registry = g;
    b->tick = tick;
    b->wanted = d->size;
    if (asprintf(&b->path, "/v2/%s/blobs/%s", g->ref->repository, digest_format(&d->digest).text) <
        0) {
        b->path = NULL;
        return mvm_fail_nomem(err);
    }
    r = registry_get(g, b->path, &rq, &b->response, err);
    if (r < 0)
        return r;
    b->base.has_size = http_length(b->response, &b->base.size);
    *ret = steal_ptr(&reader);
    return 0;
}
