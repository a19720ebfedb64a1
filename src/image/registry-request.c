/* SPDX-License-Identifier: Apache-2.0 */
/* One request to a registry: tried again where that may help, redirects followed by hand. */
#include "image/registry-certs.h"
#include "image/registry-headers.h"
#include "image/registry-internal.h"

#include <time.h>

/* A registry that limits us may ask for so much patience (image.md I-91). */
#define RETRY_AFTER_MAX_MS 60000

static const uint64_t retry_waits_ms[] = { 1000, 3000 };

static bool status_is_temporary(long status)
{
    static const long list[] = { 408, 429, 499, 500, 502, 503, 504, 522 };

    for (size_t i = 0; i < ARRAY_SIZE(list); i++)
        if (list[i] == status)
            return true;
    return false;
}

/* As long as the registry asks for; else a little longer than the fixed times, so that many
 * clients do not come back at the same moment. */
static uint64_t wait_before(unsigned try, struct http_response *r)
{
    const char *after = r ? http_header(r, "Retry-After", 0) : NULL;
    uint64_t base =
        retry_waits_ms[try < ARRAY_SIZE(retry_waits_ms) ? try : ARRAY_SIZE(retry_waits_ms) - 1];
    struct timespec now;

    (void) clock_gettime(CLOCK_MONOTONIC, &now);
    base += base * (uint64_t) (now.tv_nsec % 100) / 1000;
    return after ? retry_after_ms(after, RETRY_AFTER_MAX_MS, base) : base;
}

static int send_with_retries(struct http_client *c, const struct http_request *request,
                             unsigned tries, struct http_response **ret, mvm_error **err)
{
    for (unsigned try = 0;; try++) {
        mvm_auto(http_response) response = NULL;
        mvm_autoerror mvm_error *why = NULL;
        bool again = false, last = try + 1 >= tries;
        int r = http_send(c, request, &response, &again, &why);

        if (r == 0 && (last || !status_is_temporary(http_status(response)))) {
            *ret = steal_ptr(&response);
            return 0;
        }
        if (r < 0 && (last || !again)) {
            error_move(err, steal_ptr(&why));
            return r;
        }
        r = image_tick_sleep(http_client_tick(c), wait_before(try, response), err);
        if (r < 0)
            return r;
    }
}

/* A name for this machine is no better than its addresses; a registry that runs here may know of
 * others that do. */
static bool is_internal(const struct url *from, const struct url *to)
{
    bool named = url_host_is_loopback(to->host) && !url_host_is_internal(to->host);

    return url_host_is_internal(to->host) || (named && !url_host_is_loopback(from->host));
}

int registry_check_target(const struct url *from, bool insecure, const char *to, const char *what,
                          mvm_error **err)
{
    mvm_autovalue(url) url = { 0 };
    int r = url_parse(to, &url, err);

    if (r < 0)
        return mvm_context(err, r, "%s", what);
    if (!url.https && from->https && !insecure)
        return mvm_fail(err, MVM_E_NET, 0, "%s: http on '%s', though the registry has https", what,
                        url.host);
    if (is_internal(from, &url) && !url_same_host(&url, from))
        return mvm_fail(err, MVM_E_NET, 0,
                        "%s: the registry has no business to send us to the internal address '%s'",
                        what, url.host);
    return 0;
}

static bool is_redirect(long status)
{
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

/* "host:port" as the folders of certificates have it. */
static int load_tls(struct endpoint *e, const struct url *to, struct http_tls *ret, mvm_error **err)
{
    mvm_autofree char *host = NULL;
    bool own = url_same_host(to, &e->urls[REGISTRY_HTTPS]), six = strchr(to->host, ':') != NULL;
    int r;

    if (!to->https)
        return 0;
    if (own)
        host = strdup(e->host);
    else if (asprintf(&host, to->port == 443 ? "%s%s%s" : "%s%s%s:%u", six ? "[" : "", to->host,
                      six ? "]" : "", to->port) < 0)
        host = NULL;
    r = host ? registry_certs_load(e->options, host, ret, err) : mvm_fail_nomem(err);
    ret->unverified = own && e->insecure;
    return r;
}

/* Credentials are for the one host and scheme that they are meant for. */
static int send_once(struct endpoint *e, struct http_client *c, const char *url,
                     const struct registry_request *rq, struct http_response **ret, mvm_error **err)
{
    mvm_autovalue(http_tls) tls = { 0 };
    mvm_autovalue(url) to = { 0 };
    struct http_request request = { .url = url,
                                    .accept = rq->accept,
                                    .form = rq->form,
                                    .range_from = rq->range_from,
                                    .if_range = rq->if_range,
                                    .tls = &tls };
    int r = url_parse(url, &to, err);

    if (r == 0)
        r = load_tls(e, &to, &tls, err);
    if (r < 0)
        return r;
    if (rq->authorization && url_same_host(&to, rq->authorized) &&
        to.https == rq->authorized->https)
        request.authorization = rq->authorization;
    r = send_with_retries(c, &request, rq->tries, ret, err);
    if (r < 0) {
        mvm_autofree char *shown = url_for_message(url);

        return mvm_context(err, r, "%s %s", rq->form ? "POST" : "GET", shown ? shown : "");
    }
    return 0;
}

/* A form has a secret in it, which is for the host that was asked. */
static int check_redirect(const struct endpoint *e, const struct registry_request *rq,
                          const char *from, const char *to, mvm_error **err)
{
    mvm_autovalue(url) a = { 0 }, b = { 0 };
    int r;

    if (rq->foreign) {
        r = registry_check_foreign(e, to, err);
        return r < 0 ? mvm_context(err, r, "redirect") : 0;
    }
    r = registry_check_target(&e->urls[rq->scheme], e->insecure, to, "redirect", err);
    if (r < 0 || !rq->form)
        return r;
    r = url_parse(from, &a, err);
    if (r == 0)
        r = url_parse(to, &b, err);
    if (r == 0 && (!url_same_host(&a, &b) || a.https != b.https))
        r = mvm_fail(err, MVM_E_NET, 0, "redirect: to another host '%s', which a secret is not for",
                     b.host);
    return r;
}

int registry_send(struct endpoint *e, struct http_client *c, const char *url,
                  const struct registry_request *rq, struct http_response **ret, mvm_error **err)
{
    mvm_autofree char *at = strdup(url);

    if (!at)
        return mvm_fail_nomem(err);
    for (unsigned n = 0;; n++) {
        mvm_auto(http_response) response = NULL;
        mvm_autofree char *shown = url_for_message(at);
        const char *next;
        int r = send_once(e, c, at, rq, &response, err);

        if (r < 0)
            return r;
        if (!rq->foreign)
            endpoint_set_scheme(e, rq->scheme);
        next = is_redirect(http_status(response)) ? http_redirect_url(response) : NULL;
        if (!next) {
            *ret = steal_ptr(&response);
            return 0;
        }
        if (n == REGISTRY_REDIRECTS_MAX)
            return mvm_fail(err, MVM_E_NET, 0, "GET %s: more than %d redirects", shown ? shown : "",
                            REGISTRY_REDIRECTS_MAX);
        r = check_redirect(e, rq, at, next, err);
        if (r < 0)
            return mvm_context(err, r, "GET %s", shown ? shown : "");
        free(at);
        at = strdup(next);
        if (!at)
            return mvm_fail_nomem(err);
    }
}
