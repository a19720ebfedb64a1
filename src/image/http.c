/* SPDX-License-Identifier: Apache-2.0 */
#include "image/http-internal.h"

#include "base/clock.h"
#include "base/strbuf.h"

int http_client_new(const struct http_limits *limits, struct image_tick *tick,
                    struct http_client **ret, mvm_error **err)
{
    const struct curl_api *curl = NULL;
    mvm_auto(http_client) c = NULL;
    int r = curl_load(&curl, err);

    if (r < 0)
        return r;
    c = calloc(1, sizeof(*c));
    if (!c)
        return mvm_fail_nomem(err);
    c->curl = curl;
    c->limits = *limits;
    c->tick = tick;
    c->multi = curl->multi_init();
    if (!c->multi)
        return mvm_fail_nomem(err);
    *ret = steal_ptr(&c);
    return 0;
}

void http_client_free(struct http_client *c)
{
    if (!c)
        return;
    if (c->multi)
        (void) c->curl->multi_cleanup(c->multi);
    free(c);
}

void http_client_set_tick(struct http_client *c, struct image_tick *tick)
{
    c->tick = tick;
}

void http_client_set_stall(struct http_client *c, uint64_t stall_ms)
{
    c->limits.stall_ms = stall_ms;
}

struct image_tick *http_client_tick(const struct http_client *c)
{
    return c->tick;
}

bool http_client_slow(const struct http_client *c)
{
    return c->slow;
}

bool http_client_untrusted(const struct http_client *c)
{
    return c->untrusted;
}

void http_response_free(struct http_response *r)
{
    if (!r)
        return;
    if (r->easy) {
        (void) r->curl->multi_remove_handle(r->client->multi, r->easy);
        r->curl->easy_cleanup(r->easy);
    }
    r->curl->slist_free_all(r->headers);
    free(r->body);
    free(r);
}

static void collect_results(struct http_client *c)
{
    CURLMsg *m;
    int left;

    while ((m = c->curl->multi_info_read(c->multi, &left)) != NULL) {
        struct http_response *r = NULL;

        if (m->msg != CURLMSG_DONE ||
            c->curl->easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **) &r) != CURLE_OK)
            continue;
        r->result = m->data.result;
        r->ended = true;
    }
}

/* Lets the transfer go on for a moment. */
static int pump(struct http_response *r, mvm_error **err)
{
    int running;
    CURLMcode code;

    if (r->paused && r->end == 0) {
        r->paused = false;
        (void) r->curl->easy_pause(r->easy,
                                   CURLPAUSE_CONT); /* an error shows as the transfer's result */
    }
    code = r->curl->multi_perform(r->client->multi, &running);
    collect_results(r->client);
    if (code == CURLM_OK && !r->ended && r->end == r->start && !r->seen)
        code = r->curl->multi_poll(r->client->multi, NULL, 0, IMAGE_TICK_MS, NULL);
    if (code != CURLM_OK)
        return mvm_fail(err, MVM_E_NET, 0, "%s", r->curl->multi_strerror(code));
    return image_tick(r->client->tick, err);
}

static int transfer_result(const struct http_response *r, mvm_error **err)
{
    if (r->result == CURLE_OK)
        return 0;
    if (r->head_too_long)
        return mvm_fail(err, MVM_E_LIMIT, 0, "more than %u bytes of headers", HTTP_HEAD_MAX);
    return mvm_fail(err, MVM_E_NET, 0, "%s",
                    r->error[0] ? r->error : r->curl->easy_strerror(r->result));
}

/* After @ms more of waiting: is the body too slow? */
static int check_rate(struct http_response *r, uint64_t ms, mvm_error **err)
{
    const struct http_limits *l = &r->client->limits;
    const uint64_t window_ms = l->slow_ms > l->stall_ms ? l->slow_ms : l->stall_ms;

    r->waited_ms += ms;
    if (r->waited_ms < window_ms || r->ended)
        return 0;
    if (r->came < r->waited_ms * HTTP_RATE_MIN / 1000) {
        r->client->slow = true;
        return mvm_fail(err, MVM_E_NET, 0, "too slow: %llu bytes in %llu ms",
                        (unsigned long long) r->came, (unsigned long long) r->waited_ms);
    }
    r->came = r->waited_ms = 0;
    return 0;
}

static int check_times(struct http_response *r, bool head, uint64_t start_ms, uint64_t last_ms,
                       mvm_error **err)
{
    const uint64_t now_ms = clock_now_ms(), stall_ms = r->client->limits.stall_ms;

    if (now_ms - last_ms > stall_ms)
        return mvm_fail(err, MVM_E_NET, 0, "no byte for %llu ms", (unsigned long long) stall_ms);
    if (head && !r->headers_done && now_ms - start_ms > stall_ms * HTTP_HEAD_STALLS)
        return mvm_fail(err, MVM_E_NET, 0, "too slow: no whole answer in %llu ms",
                        (unsigned long long) (stall_ms * HTTP_HEAD_STALLS));
    return 0;
}

/* Pumps until @r has what is waited for; the head (@head) or a byte of the body, or has ended. */
static int wait_for(struct http_response *r, bool head, mvm_error **err)
{
    uint64_t start_ms = clock_now_ms(), last_ms = start_ms, before_ms;
    int res = 0;

    while (res == 0 && !r->ended && (head ? !r->headers_done : r->end == r->start)) {
        r->seen = false;
        before_ms = clock_now_ms();
        res = pump(r, err);
        if (r->seen)
            last_ms = clock_now_ms();
        if (res == 0)
            res = check_times(r, head, start_ms, last_ms, err);
        if (res == 0 && !head)
            res = check_rate(r, clock_now_ms() - before_ms, err);
    }
    return res;
}

/* Failures of the connection under way, and a peer that is slow to answer; a host that is not
 * there, a proxy that refuses or a bad certificate stays so. */
static bool result_is_temporary(struct http_response *r)
{
    static const CURLcode temporary[] = {
        CURLE_GOT_NOTHING, CURLE_SEND_ERROR,   CURLE_RECV_ERROR,        CURLE_PARTIAL_FILE,
        CURLE_HTTP2,       CURLE_HTTP2_STREAM, CURLE_OPERATION_TIMEDOUT
    };
    long proxy = 0;

    if (r->curl->easy_getinfo(r->easy, CURLINFO_HTTP_CONNECTCODE, &proxy) == CURLE_OK &&
        proxy >= 400)
        return false;
    for (size_t i = 0; i < ARRAY_SIZE(temporary); i++)
        if (r->result == temporary[i])
            return true;
    return false;
}

static int response_new(struct http_client *c, struct http_response **ret, mvm_error **err)
{
    mvm_auto(http_response) r = calloc(1, sizeof(*r));

    if (!r)
        return mvm_fail_nomem(err);
    r->client = c;
    r->curl = c->curl;
    r->easy = c->curl->easy_init();
    r->body = malloc(HTTP_BODY_MAX);
    if (!r->easy || !r->body)
        return mvm_fail_nomem(err);
    *ret = steal_ptr(&r);
    return 0;
}

int http_send(struct http_client *c, const struct http_request *request, struct http_response **ret,
              bool *ret_retryable, mvm_error **err)
{
    mvm_auto(http_response) r = NULL;
    int res = response_new(c, &r, err);

    *ret_retryable = false;
    c->untrusted = c->slow = false;
    if (res == 0)
        res = http_setup(r, request, err);
    if (res < 0)
        return res;
    if (c->curl->multi_add_handle(c->multi, r->easy) != CURLM_OK)
        return mvm_fail_nomem(err);
    res = wait_for(r, true, err);
    if (res == MVM_E_NET) {
        *ret_retryable = true; /* it stood still */
    } else if (res == 0 && !r->headers_done) {
        *ret_retryable = result_is_temporary(r);
        c->untrusted = r->result == CURLE_PEER_FAILED_VERIFICATION;
        res = r->result == CURLE_OK ? mvm_fail(err, MVM_E_NET, 0, "no answer")
                                    : transfer_result(r, err);
    }
    if (res < 0)
        return res;
    *ret = steal_ptr(&r);
    return 0;
}

long http_status(const struct http_response *r)
{
    long status = 0;

    (void) r->curl->easy_getinfo(r->easy, CURLINFO_RESPONSE_CODE, &status);
    return status;
}

const char *http_header(struct http_response *r, const char *name, size_t n)
{
    struct curl_header *h = NULL;

    return r->curl->easy_header(r->easy, name, n, CURLH_HEADER, -1, &h) == CURLHE_OK ? h->value
                                                                                     : NULL;
}

const char *http_redirect_url(struct http_response *r)
{
    char *url = NULL;

    return r->curl->easy_getinfo(r->easy, CURLINFO_REDIRECT_URL, &url) == CURLE_OK ? url : NULL;
}

bool http_length(struct http_response *r, uint64_t *ret)
{
    curl_off_t n = -1;

    if (r->curl->easy_getinfo(r->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &n) != CURLE_OK || n < 0)
        return false;
    *ret = (uint64_t) n;
    return true;
}

ssize_t http_read(struct http_response *r, void *data, size_t len, mvm_error **err)
{
    int res = wait_for(r, false, err);
    size_t n;

    if (res < 0)
        return res;
    if (r->end == r->start)
        return transfer_result(r, err);
    n = r->end - r->start < len ? r->end - r->start : len;
    memcpy(data, r->body + r->start, n);
    r->start += n;
    if (r->start == r->end)
        r->start = r->end = 0;
    return (ssize_t) n;
}

int http_read_all(struct http_response *r, size_t max, char **ret, size_t *ret_len, mvm_error **err)
{
    mvm_autovalue(strbuf) all = STRBUF_INIT(max);
    mvm_autofree char *piece = malloc((size_t) HTTP_PIECE);
    ssize_t n;
    char *text;
    int res;

    if (!piece)
        return mvm_fail_nomem(err);
    while ((n = http_read(r, piece, (size_t) HTTP_PIECE, err)) > 0) {
        strbuf_add(&all, piece, (size_t) n);
        res = strbuf_check(&all, "answer", err);
        if (res < 0)
            return res == MVM_E_LIMIT
                       ? mvm_fail(err, MVM_E_LIMIT, 0, "more than the limit of %zu bytes", max)
                       : res;
    }
    if (n < 0)
        return (int) n;
    *ret_len = all.len;
    text = all.len > 0 ? strbuf_take(&all) : strdup("");
    if (!text)
        return mvm_fail_nomem(err);
    *ret = text;
    return 0;
}
