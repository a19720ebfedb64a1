/* SPDX-License-Identifier: Apache-2.0 */
/* One GET of a disk image, through redirects. */
#include "image/disk-download.h"

#include "base/scan.h"
#include "image/curl.h"
#include "image/http.h"
#include "image/url.h"

#include <time.h>

/* As browsers have it. */
#define REDIRECTS_MAX 10
/* A server may ask us to wait; beyond that it is as good as away (image.md I-91). */
#define RETRY_AFTER_MAX_S 60

void disk_validator_deinit(struct disk_validator *v)
{
    free(v->etag);
    free(v->last_modified);
    *v = (struct disk_validator){ 0 };
}

void disk_answer_deinit(struct disk_answer *a)
{
    http_response_free(a->response);
    disk_validator_deinit(&a->validator);
    *a = (struct disk_answer){ 0 };
}

bool disk_parse_range(const char *text, uint64_t *ret_from, bool *ret_has_total,
                      uint64_t *ret_total)
{
    size_t dash, slash;

    if (!scan_has_prefix(text, "bytes "))
        return false;
    text += strlen("bytes ");
    dash = strcspn(text, "-");
    slash = strcspn(text, "/");
    if (!text[dash] || !text[slash] || slash < dash || !scan_u64(text, dash, INT64_MAX, ret_from))
        return false;
    text += slash + 1;
    *ret_has_total = strcmp(text, "*") != 0;
    return !*ret_has_total || scan_u64(text, strlen(text), INT64_MAX, ret_total);
}

/* Seconds or a date (RFC 9110, 10.2.3). */
static uint64_t retry_after_ms(struct http_response *response)
{
    const char *text = http_header(response, "Retry-After", 0);
    uint64_t seconds = 0;

    if (!text)
        return 0;
    if (!scan_u64(text, strlen(text), UINT32_MAX, &seconds)) {
        const struct curl_api *curl = NULL;
        time_t now = time(NULL), at = curl_load(&curl, NULL) == 0 ? curl->getdate(text, NULL) : 0;

        seconds = at > now ? (uint64_t) (at - now) : 0;
    }
    return (seconds < RETRY_AFTER_MAX_S ? seconds : RETRY_AFTER_MAX_S) * 1000;
}

static int take_validator(struct http_response *response, struct disk_validator *ret,
                          mvm_error **err)
{
    const char *etag = http_header(response, "ETag", 0);
    const char *modified = http_header(response, "Last-Modified", 0);

    /* A weak tag says "as good as", which does for no range (RFC 9110, 13.1.5). */
    if (etag && etag[0] == '"' && !(ret->etag = strdup(etag)))
        return mvm_fail_nomem(err);
    if (modified && !(ret->last_modified = strdup(modified)))
        return mvm_fail_nomem(err);
    return 0;
}

static bool status_is_temporary(long status)
{
    return status == 408 || status == 429 || status >= 500;
}

/* What an answer that is no redirect says. */
static int take_answer(struct disk_answer *a, uint64_t from, mvm_error **err)
{
    long status = http_status(a->response);
    const char *range = http_header(a->response, "Content-Range", 0);

    if (status == 206) {
        if (!range || !disk_parse_range(range, &a->from, &a->has_total, &a->total) ||
            a->from != from)
            return mvm_fail(err, MVM_E_NET, 0, "an answer with the wrong range");
        return take_validator(a->response, &a->validator, err);
    }
    if (status >= 200 && status < 300) {
        a->has_total = http_length(a->response, &a->total);
        return take_validator(a->response, &a->validator, err);
    }
    /* The range is beyond the end: the kept bytes are of another file. */
    if (status == 416)
        return mvm_fail(err, MVM_E_STATE, 0, "status %ld", status);
    a->retryable = status_is_temporary(status);
    a->retry_after_ms = a->retryable ? retry_after_ms(a->response) : 0;
    return mvm_fail(err, status == 404 || status == 410 ? MVM_E_NOT_FOUND : MVM_E_NET, 0,
                    "status %ld", status);
}

static int get_once(struct http_client *http, const char *url, uint64_t from, struct disk_answer *a,
                    mvm_error **err)
{
    const struct http_request request = { .url = url, .range_from = from };
    bool retryable;
    int r = http_send(http, &request, &a->response, &retryable, err);

    a->retryable = r == MVM_E_NET;
    return r;
}

/* @origin: the URL that the user gave. */
static int check_target(const char *origin, const char *at, const char *to, mvm_error **err)
{
    mvm_autovalue(url) from = { 0 }, here = { 0 }, next = { 0 };
    int r = url_parse(origin, &from, err);

    if (r == 0)
        r = url_parse(at, &here, err);
    if (r == 0)
        r = url_parse(to, &next, err);
    if (r < 0)
        return mvm_context(err, r, "redirect");
    if (here.https && !next.https)
        return mvm_fail(err, MVM_E_NET, 0, "redirected from https to http on '%s'", next.host);
    return url_may_lead(&from, &next)
               ? 0
               : mvm_fail(err, MVM_E_NET, 0,
                          "redirect: '%s' has no business to send us to the internal address '%s'",
                          from.host, next.host);
}

/* 1: *url is now where the redirect leads; 0: it is none. */
static int redirect(struct disk_answer *a, const char *origin, char **url, mvm_error **err)
{
    mvm_autofree char *next = NULL;
    long status = http_status(a->response);
    const char *to = http_redirect_url(a->response);
    int r;

    if (status < 300 || status >= 400 || !to)
        return 0;
    r = check_target(origin, *url, to, err);
    if (r < 0)
        return r;
    next = strdup(to);
    if (!next)
        return mvm_fail_nomem(err);
    free(*url);
    *url = steal_ptr(&next);
    http_response_free(steal_ptr(&a->response));
    return 1;
}

int disk_http_get(struct http_client *http, const char *url, uint64_t from, struct disk_answer *ret,
                  mvm_error **err)
{
    mvm_autovalue(disk_answer) a = { 0 };
    mvm_autofree char *at = strdup(url);
    int r = at ? 1 : mvm_fail_nomem(err);

    for (unsigned n = 0; r == 1; n++) {
        r = n > REDIRECTS_MAX ? mvm_fail(err, MVM_E_NET, 0, "more than %d redirects", REDIRECTS_MAX)
                              : get_once(http, at, from, &a, err);
        if (r == 0)
            r = redirect(&a, url, &at, err);
    }
    if (r == 0)
        r = take_answer(&a, from, err);
    if (r < 0) {
        ret->retryable = a.retryable;
        ret->retry_after_ms = a.retry_after_ms;
        return r;
    }
    *ret = a;
    a = (struct disk_answer){ 0 };
    return 0;
}
