/* SPDX-License-Identifier: Apache-2.0 */
/* One GET to a registry: tried again where that may help, redirects followed by hand. */
#include "base/scan.h"
#include "image/registry-internal.h"

#include <curl/curl.h>
#include <time.h>

/* A registry that limits us may ask for so much patience (image.md I-91). */
#define RETRY_AFTER_MAX_S 60

static const uint64_t retry_waits_ms[] = { 1000, 3000 };

static bool status_is_temporary(long status)
{
    static const long list[] = { 408, 429, 499, 500, 502, 503, 504, 522 };

    for (size_t i = 0; i < ARRAY_SIZE(list); i++)
        if (list[i] == status)
            return true;
    return false;
}

/* Seconds, or a date (RFC 9110, 10.2.3). */
static uint64_t retry_after_ms(const char *value, uint64_t otherwise_ms)
{
    uint64_t seconds;
    time_t when;

    if (scan_u64(value, strlen(value), UINT32_MAX, &seconds))
        return 1000 * (seconds < RETRY_AFTER_MAX_S ? seconds : RETRY_AFTER_MAX_S);
    when = curl_getdate(value, NULL);
    if (when < 0)
        return otherwise_ms; /* neither seconds nor a date */
    when -= time(NULL);
    if (when < 0)
        return 0;
    return 1000 * (uint64_t) (when < RETRY_AFTER_MAX_S ? when : RETRY_AFTER_MAX_S);
}

/* Up to a tenth is added, so that many clients do not come back at the same moment. */
static uint64_t wait_before(unsigned try, struct http_response *r)
{
    const char *after = r && http_status(r) == 429 ? http_header(r, "Retry-After", 0) : NULL;
    uint64_t base =
        retry_waits_ms[try < ARRAY_SIZE(retry_waits_ms) ? try : ARRAY_SIZE(retry_waits_ms) - 1];
    struct timespec now;

    if (after)
        return retry_after_ms(after, base);
    (void) clock_gettime(CLOCK_MONOTONIC, &now);
    return base + base * (uint64_t) (now.tv_nsec % 100) / 1000;
}

static int send_with_retries(struct registry *g, const struct http_request *request, unsigned tries,
                             struct http_response **ret, mvm_error **err)
{
    for (unsigned try = 0;; try++) {
        mvm_auto(http_response) response = NULL;
        mvm_autoerror mvm_error *why = NULL;
        bool again = false, last = try + 1 >= tries;
        int r = http_get(g->http, request, &response, &again, &why);

        if (r == 0 && (last || !status_is_temporary(http_status(response)))) {
            *ret = steal_ptr(&response);
            return 0;
        }
        if (r < 0 && (last || !again)) {
            error_move(err, steal_ptr(&why));
            return r;
        }
        r = image_tick_sleep(g->tick, wait_before(try, response), err);
        if (r < 0)
            return r;
    }
}

int registry_check_target(const struct registry *g, const char *to, const char *what,
                          mvm_error **err)
{
    mvm_autovalue(url) url = { 0 };
    int r = url_parse(to, &url, err);

    if (r < 0)
        return mvm_context(err, r, "%s", what);
    if (!url.https && g->url.https)
        return mvm_fail(err, MVM_E_NET, 0, "%s: http on '%s', though the registry has https", what,
                        url.host);
    if (url_host_is_internal(url.host) && !url_same_host(&url, &g->url))
        return mvm_fail(err, MVM_E_NET, 0,
                        "%s: the registry has no business to send us to the internal address '%s'",
                        what, url.host);
    return 0;
}

static bool is_redirect(long status)
{
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

/* The token is for the registry's own host and scheme alone. */
static bool may_have_token(const struct registry *g, const char *url)
{
    mvm_autovalue(url) to = { 0 };

    return url_parse(url, &to, NULL) == 0 && url_same_host(&to, &g->url) &&
           to.https == g->url.https;
}

static int send_once(struct registry *g, const char *url, const struct registry_request *rq,
                     struct http_response **ret, mvm_error **err)
{
    const struct http_request request = { .url = url,
                                          .accept = rq->accept,
                                          .range_from = rq->range_from,
                                          .token = rq->with_token && may_have_token(g, url)
                                                       ? g->token
                                                       : NULL };
    int r = send_with_retries(g, &request, rq->tries, ret, err);

    if (r < 0) {
        mvm_autofree char *shown = url_for_message(url);

        return mvm_context(err, r, "GET %s", shown ? shown : "");
    }
    return 0;
}

int registry_send(struct registry *g, const char *url, const struct registry_request *rq,
                  struct http_response **ret, mvm_error **err)
{
    mvm_autofree char *at = strdup(url);

    if (!at)
        return mvm_fail_nomem(err);
    for (unsigned n = 0;; n++) {
        mvm_auto(http_response) response = NULL;
        mvm_autofree char *shown = url_for_message(at);
        const char *next;
        int r = send_once(g, at, rq, &response, err);

        if (r < 0)
            return r;
        next = is_redirect(http_status(response)) ? http_redirect_url(response) : NULL;
        if (!next) {
            *ret = steal_ptr(&response);
            return 0;
        }
        if (n == REGISTRY_REDIRECTS_MAX)
            return mvm_fail(err, MVM_E_NET, 0, "GET %s: more than %d redirects", shown ? shown : "",
                            REGISTRY_REDIRECTS_MAX);
        r = registry_check_target(g, next, "redirect", err);
        if (r < 0)
            return mvm_context(err, r, "GET %s", shown ? shown : "");
        free(at);
        at = strdup(next);
        if (!at)
            return mvm_fail_nomem(err);
    }
}
