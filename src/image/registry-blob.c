/* SPDX-License-Identifier: Apache-2.0 */
/* A blob of a registry as a reader. A body that breaks off, stands still or drips is taken up again
 * where it ended (image.md I-92), and at the next place when this one gets no further: the mirrors,
 * the registry, then each URL of the descriptor (image.md I-145). */
#include "image/registry-headers.h"
#include "image/registry-internal.h"

/* Times that a body may be taken up again without a single byte more, and in all: each may cost
 * what came before once more, where ranges are not known. */
#define RESUME_TRIES 3
#define RESUMES_MAX 100
#define RESUME_WAIT_MS 500
/* What a server sends again because it knows no ranges is thrown away in pieces of this size. */
#define SKIP_PIECE (64u << 10)

struct registry_reader {
    struct blob_reader base;
    struct registry *registry;      /* borrowed */
    struct image_tick *tick;        /* borrowed; NULL: nobody is told */
    struct http_client *client;     /* owned; back to the registry at the end */
    struct http_response *response; /* owned */
    const struct oci_descriptor *d; /* borrowed */
    struct digest_text digest;
    size_t at;        /* the endpoint that is read from */
    size_t foreign;   /* 0: that one; else the URL, from 1 on, that is read from instead */
    char *failed;     /* owned: why the places before do not have it; NULL: there were none */
    char *etag;       /* owned: of the body there, if it can be used; else NULL */
    bool no_range;    /* ranges that came were wrong: only whole bodies from now on */
    uint64_t wanted;  /* bytes that the descriptor promises */
    uint64_t done;    /* bytes handed out */
    unsigned tries;   /* since the last byte */
    unsigned resumes; /* in all */
    unsigned slow;    /* of these, because of its speed */
    uint64_t slow_at; /* bytes that were there at the last of them */
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

/* Makes the body begin where we stand: a part must say that it does, of all of it something is
 * thrown away. That it is still the same, the digest tells. */
static int align(const struct registry_reader *b, struct http_response *response, mvm_error **err)
{
    const char *header = http_header(response, "Content-Range", 0);
    struct content_range range = { 0 };

    if (http_status(response) != 206)
        return skip(response, b->done, err);
    if (!header || !content_range_parse(header, &range))
        return mvm_fail(err, MVM_E_FORMAT, 0, "a part of the body that does not say which");
    if (range.first != b->done || (range.total != UINT64_MAX && range.total != b->wanted))
        return mvm_fail(err, MVM_E_FORMAT, 0,
                        "the part from byte %llu of %llu, asked was from %llu of %llu",
                        (unsigned long long) range.first, (unsigned long long) range.total,
                        (unsigned long long) b->done, (unsigned long long) b->wanted);
    return 0;
}

/* @other: one whose blob has another size is passed over; the registry's own is told by who reads.
 */
static int check_start(struct registry_reader *b, bool other, struct http_response *response,
                       mvm_error **err)
{
    const char *etag = http_header(response, "ETag", 0);
    uint64_t size = 0;
    bool has_size = http_length(response, &size);

    if (other && has_size && size != b->wanted)
        return mvm_fail(err, MVM_E_DIGEST, 0, "%s: %llu bytes, manifest says %llu", b->digest.text,
                        (unsigned long long) size, (unsigned long long) b->wanted);
    b->base.has_size = has_size;
    b->base.size = size;
    return text_replace(&b->etag, etag && etag_is_strong(etag) ? etag : NULL) < 0
               ? mvm_fail_nomem(err)
               : 0;
}

static int open_at(struct endpoint *e, void *user, mvm_error **err)
{
    struct registry_reader *b = user;
    mvm_auto(http_response) response = NULL;
    mvm_autofree char *path = NULL;
    const struct registry_request rq = { .range_from = b->no_range ? 0 : b->done,
                                         .if_range = b->etag,
                                         .tries = e->tries };
    int r;

    if (asprintf(&path, "/v2/%s/blobs/%s", e->repository, b->digest.text) < 0) {
        path = NULL;
        return mvm_fail_nomem(err);
    }
    r = endpoint_get(e, b->client, path, &rq, &response, err);
    if (r < 0)
        return r;
    r = b->done == 0 ? check_start(b, e->mirror, response, err) : align(b, response, err);
    if (r < 0)
        return mvm_context(err, r, "GET %s%s", e->roots[endpoint_scheme(e)], path);
    b->response = steal_ptr(&response);
    return 0;
}

static struct endpoint *registry_itself(const struct registry_reader *b)
{
    return &b->registry->endpoints[b->registry->n - 1];
}

static int open_foreign(struct registry_reader *b, mvm_error **err)
{
    struct endpoint *e = registry_itself(b);
    const char *url = b->d->urls.items[b->foreign - 1];
    mvm_auto(http_response) response = NULL;
    const struct registry_request rq = { .range_from = b->no_range ? 0 : b->done,
                                         .if_range = b->etag,
                                         .tries = e->tries };
    int r = registry_foreign_get(e, b->client, url, &rq, &response, err);

    if (r == 0)
        r = b->done == 0 ? check_start(b, true, response, err) : align(b, response, err);
    if (r < 0)
        return r;
    b->response = steal_ptr(&response);
    return 0;
}

static int open_place(struct registry_reader *b, mvm_error **err)
{
    size_t before = b->at;
    int r;

    if (b->foreign > 0)
        return open_foreign(b, err);
    r = registry_try_each(b->registry, &b->at, open_at, b, err);
    if (b->at != before)
        free(steal_ptr(&b->etag)); /* another host has its own */
    return r;
}

/* Puts what failed before in front. */
static int tell_all(const struct registry_reader *b, int r, mvm_error **err)
{
    if (r == MVM_E_CANCELLED || r == MVM_E_NOMEM || !b->failed)
        return r;
    return mvm_context(err, r, "%s; and URL %zu of %zu", b->failed, b->foreign, b->d->urls.n);
}

/* After a failure with @code that no other try here will mend: the next URL, if there is one. */
static bool next_url(struct registry_reader *b, int code, mvm_error **why)
{
    if (code == MVM_E_CANCELLED || code == MVM_E_NOMEM || b->foreign == b->d->urls.n)
        return false;
    (void) tell_all(b, code, why);
    if (text_replace(&b->failed, mvm_error_message(*why)) < 0)
        return false;
    b->foreign++;
    b->tries = b->slow = 0;
    b->no_range = false;
    free(steal_ptr(&b->etag));
    return true;
}

static int open_somewhere(struct registry_reader *b, mvm_error **err)
{
    for (;;) {
        mvm_autoerror mvm_error *why = NULL;
        int r = open_place(b, &why);

        if (r == 0)
            return 0;
        if (next_url(b, r, &why))
            continue;
        error_move(err, steal_ptr(&why));
        return r;
    }
}

/* Names what was read from. */
static int name_place(const struct registry_reader *b, int r, mvm_error **err)
{
    struct endpoint *e = &b->registry->endpoints[b->at];
    mvm_autofree char *shown = NULL;

    if (b->foreign == 0)
        return mvm_context(err, r, "GET %s/v2/%s/blobs/%s", e->roots[endpoint_scheme(e)],
                           e->repository, b->digest.text);
    shown = url_for_message(b->d->urls.items[b->foreign - 1]);
    return mvm_context(err, r, "GET %s", shown ? shown : "");
}

/* The next bytes of the body that is open, or of one that takes it up again. */
static ssize_t read_some(struct registry_reader *b, void *data, size_t len, mvm_error **err)
{
    int r = b->response ? 0 : open_somewhere(b, err);
    ssize_t n;

    if (r < 0)
        return r;
    n = http_read(b->response, data, len, err);
    return n < 0 ? name_place(b, (int) n, err) : n;
}

/* A peer that drips brings a byte each time, and yet must not be asked for ever. */
static bool is_too_slow(struct registry_reader *b)
{
    if (!http_client_slow(b->client))
        return false;
    if (b->done - b->slow_at >= HTTP_SLOW_FORGIVEN)
        b->slow = 0;
    b->slow_at = b->done;
    return ++b->slow > RESUME_TRIES;
}

/* After a failure with @code: is there another way? */
static bool may_resume(struct registry_reader *b, int code)
{
    if ((code != MVM_E_NET && code != MVM_E_FORMAT) || b->done >= b->wanted ||
        ++b->resumes > RESUMES_MAX)
        return false;
    if (code == MVM_E_FORMAT && (b->no_range || b->done == 0))
        return false;
    b->no_range = b->no_range || code == MVM_E_FORMAT;
    if (!is_too_slow(b) && ++b->tries <= RESUME_TRIES)
        return true;
    if (b->foreign > 0 || b->at + 1 >= b->registry->n)
        return false;
    b->at++;
    b->tries = b->slow = 0;
    free(steal_ptr(&b->etag));
    return true;
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
        http_response_free(steal_ptr(&b->response));
        if (!may_resume(b, (int) n) && !(b->done < b->wanted && next_url(b, (int) n, &why))) {
            error_move(err, steal_ptr(&why));
            return tell_all(b, (int) n, err);
        }
        /* At once where there was progress. */
        r = image_tick_sleep(b->tick, b->tries > 1 ? RESUME_WAIT_MS : 0, err);
        if (r < 0)
            return r;
    }
}

static void blob_free(struct blob_reader *base)
{
    struct registry_reader *b = (struct registry_reader *) base;

    http_response_free(b->response);
    registry_give_client(b->registry, b->client);
    free(b->etag);
    free(b->failed);
    free(b);
}

int registry_open_blob(struct image_source *base, const struct oci_descriptor *d,
                       struct image_tick *tick, struct blob_reader **ret, mvm_error **err)
{
    mvm_auto(blob_reader) reader = NULL;
    struct registry_reader *b = calloc(1, sizeof(*b));
    int r;

    if (!b)
        return mvm_fail_nomem(err);
    b->base = (struct blob_reader){ .read = blob_read, .free = blob_free };
    reader = &b->base;
    b->registry = (struct registry *) base;
    b->tick = tick;
    b->d = d;
    b->wanted = d->size;
    b->digest = digest_format(&d->digest);
    r = registry_take_client(b->registry, tick, &b->client, err);
    if (r < 0)
        return r;
    r = open_somewhere(b, err);
    if (r < 0)
        return tell_all(b, r, err);
    *ret = steal_ptr(&reader);
    return 0;
}
