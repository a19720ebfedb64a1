/* SPDX-License-Identifier: Apache-2.0 */
#include "image/http.h"

#include "base/clock.h"
#include "base/strbuf.h"
#include "image/url.h"

#include <curl/curl.h>
#include <sys/socket.h>

/* Bytes that may arrive while the caller is busy; one piece that the library hands over fits
 * several times. */
#define HTTP_BODY_MAX (1u << 20)
#define HTTP_PIECE (128L << 10)
#define HTTP_USER_AGENT "microvm/" MICROVM_VERSION

struct http_client {
    CURLM *multi; /* owned */
    struct http_limits limits;
    struct image_tick *tick; /* borrowed */
};

struct http_response {
    struct http_client *client; /* borrowed */
    CURL *easy;                 /* owned */
    struct curl_slist *headers; /* owned: of the request */
    char error[CURL_ERROR_SIZE];
    unsigned char *body; /* owned: HTTP_BODY_MAX; bytes from start to end wait to be read */
    size_t start, end;
    bool paused;       /* the library holds a piece that did not fit */
    bool headers_done; /* the last header of the final answer is here */
    bool ended;
    CURLcode result; /* once it has ended */
    bool seen;       /* a byte came since the flag was last cleared */
};

int http_client_new(const struct http_limits *limits, struct image_tick *tick,
                    struct http_client **ret, mvm_error **err)
{
    mvm_auto(http_client) c = calloc(1, sizeof(*c));

    if (!c)
        return mvm_fail_nomem(err);
    c->limits = *limits;
    c->tick = tick;
    c->multi = curl_multi_init();
    if (!c->multi)
        return mvm_fail_nomem(err);
    *ret = steal_ptr(&c);
    return 0;
}

void http_client_free(struct http_client *c)
{
    if (!c)
        return;
    (void) curl_multi_cleanup(c->multi);
    free(c);
}

void http_response_free(struct http_response *r)
{
    if (!r)
        return;
    if (r->easy) {
        (void) curl_multi_remove_handle(r->client->multi, r->easy);
        curl_easy_cleanup(r->easy);
    }
    curl_slist_free_all(r->headers);
    free(r->body);
    free(r);
}

static size_t on_body(char *data, size_t size, size_t n, void *user)
{
    struct http_response *r = user;
    size_t len = size * n; /* size is always 1 */

    r->seen = true;
    if (len > HTTP_BODY_MAX - r->end) {
        r->paused = true;
        return CURL_WRITEFUNC_PAUSE;
    }
    memcpy(r->body + r->end, data, len);
    r->end += len;
    return len;
}

static size_t on_header(char *data, size_t size, size_t n, void *user)
{
    struct http_response *r = user;
    size_t len = size * n;

    r->seen = true;
    /* The empty line: after an interim answer (1xx) another head follows. */
    if (len <= 2 && (data[0] == '\r' || data[0] == '\n') && http_status(r) >= 200)
        r->headers_done = true;
    return len;
}

/* The library's own sockets are not CLOEXEC. */
static curl_socket_t on_socket(void *user, curlsocktype purpose, struct curl_sockaddr *a)
{
    (void) user;
    (void) purpose;
    return socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
}

static int add_header(struct http_response *r, const char *name, const char *value, mvm_error **err)
{
    mvm_autofree char *line = NULL;
    struct curl_slist *more;

    if (asprintf(&line, "%s: %s", name, value) < 0) {
        line = NULL;
        return mvm_fail_nomem(err);
    }
    more = curl_slist_append(r->headers, line);
    if (!more)
        return mvm_fail_nomem(err);
    r->headers = more;
    return 0;
}

static int add_headers(struct http_response *r, const struct http_request *rq, mvm_error **err)
{
    mvm_autofree char *bearer = NULL, *range = NULL;
    int res = rq->accept ? add_header(r, "Accept", rq->accept, err) : 0;

    if (res == 0 && rq->token) {
        if (asprintf(&bearer, "Bearer %s", rq->token) < 0) {
            bearer = NULL;
            return mvm_fail_nomem(err);
        }
        res = add_header(r, "Authorization", bearer, err);
    }
    if (res == 0 && rq->range_from > 0) {
        if (asprintf(&range, "bytes=%llu-", (unsigned long long) rq->range_from) < 0) {
            range = NULL;
            return mvm_fail_nomem(err);
        }
        res = add_header(r, "Range", range, err);
    }
    return res;
}

/* Numbers that are the same for each request. */
static const struct {
    CURLoption option;
    long value;
} fixed_options[] = {
    { CURLOPT_FOLLOWLOCATION, 0 },
    { CURLOPT_NOSIGNAL, 1 },
    { CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2 }, /* or newer */
    { CURLOPT_NETRC, CURL_NETRC_IGNORED },
    { CURLOPT_SUPPRESS_CONNECT_HEADERS, 1 },
    { CURLOPT_BUFFERSIZE, HTTP_PIECE },
};

static bool set_fixed_options(CURL *e)
{
    for (size_t i = 0; i < ARRAY_SIZE(fixed_options); i++)
        if (curl_easy_setopt(e, fixed_options[i].option, fixed_options[i].value) != CURLE_OK)
            return false;
    return curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
           curl_easy_setopt(e, CURLOPT_USERAGENT, HTTP_USER_AGENT) == CURLE_OK;
}

static bool set_callbacks(struct http_response *r)
{
    CURL *e = r->easy;

    return curl_easy_setopt(e, CURLOPT_ERRORBUFFER, r->error) == CURLE_OK &&
           curl_easy_setopt(e, CURLOPT_OPENSOCKETFUNCTION, on_socket) == CURLE_OK &&
           curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, on_header) == CURLE_OK &&
           curl_easy_setopt(e, CURLOPT_HEADERDATA, r) == CURLE_OK &&
           curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body) == CURLE_OK &&
           curl_easy_setopt(e, CURLOPT_WRITEDATA, r) == CURLE_OK &&
           curl_easy_setopt(e, CURLOPT_PRIVATE, r) == CURLE_OK;
}

/* The certificates come in addition to the system's: libcurl looks into the system's folder of
 * certificates besides a bundle that is given. */
static bool set_tls(CURL *e, const struct http_tls *tls)
{
    bool good = true;

    if (!tls)
        return true;
    if (tls->ca) {
        struct curl_blob ca = { .data = tls->ca, .len = tls->ca_len, .flags = CURL_BLOB_COPY };

        good = curl_easy_setopt(e, CURLOPT_CAINFO_BLOB, &ca) == CURLE_OK;
    }
    if (good && tls->cert)
        good = curl_easy_setopt(e, CURLOPT_SSLCERT, tls->cert) == CURLE_OK &&
               curl_easy_setopt(e, CURLOPT_SSLKEY, tls->key) == CURLE_OK;
    if (good && tls->unverified)
        good = curl_easy_setopt(e, CURLOPT_SSL_VERIFYPEER, 0L) == CURLE_OK &&
               curl_easy_setopt(e, CURLOPT_SSL_VERIFYHOST, 0L) == CURLE_OK;
    return good;
}

static int set_options(struct http_response *r, const struct http_request *rq, mvm_error **err)
{
    long connect_ms = (long) r->client->limits.connect_ms;
    mvm_autovalue(url) url = { 0 };
    bool good;
    int res = url_parse(rq->url, &url, err);

    if (res == 0)
        res = add_headers(r, rq, err);
    if (res < 0)
        return res;
    good = set_fixed_options(r->easy) && set_callbacks(r) &&
           curl_easy_setopt(r->easy, CURLOPT_URL, rq->url) == CURLE_OK &&
           curl_easy_setopt(r->easy, CURLOPT_HTTPHEADER, r->headers) == CURLE_OK &&
           curl_easy_setopt(r->easy, CURLOPT_CONNECTTIMEOUT_MS, connect_ms) == CURLE_OK &&
           curl_easy_setopt(r->easy, CURLOPT_UNIX_SOCKET_PATH, rq->unix_socket) == CURLE_OK &&
           set_tls(r->easy, rq->tls);
    /* A proxy has another loopback. */
    if (good && url_host_is_loopback(url.host))
        good = curl_easy_setopt(r->easy, CURLOPT_NOPROXY, "*") == CURLE_OK;
    return good
               ? 0
               : mvm_fail(err, MVM_E_UNSUPPORTED, 0, "this libcurl lacks an option that is needed");
}

static void collect_results(struct http_client *c)
{
    CURLMsg *m;
    int left;

    while ((m = curl_multi_info_read(c->multi, &left)) != NULL) {
        struct http_response *r = NULL;

        if (m->msg != CURLMSG_DONE ||
            curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **) &r) != CURLE_OK)
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
        (void) curl_easy_pause(r->easy,
                               CURLPAUSE_CONT); /* an error shows as the transfer's result */
    }
    code = curl_multi_perform(r->client->multi, &running);
    collect_results(r->client);
    if (code == CURLM_OK && !r->ended && r->end == r->start && !r->seen)
        code = curl_multi_poll(r->client->multi, NULL, 0, IMAGE_TICK_MS, NULL);
    if (code != CURLM_OK)
        return mvm_fail(err, MVM_E_NET, 0, "%s", curl_multi_strerror(code));
    return image_tick(r->client->tick, err);
}

static int transfer_result(const struct http_response *r, mvm_error **err)
{
    if (r->result == CURLE_OK)
        return 0;
    return mvm_fail(err, MVM_E_NET, 0, "%s",
                    r->error[0] ? r->error : curl_easy_strerror(r->result));
}

/* Pumps until @r has what is waited for; the head (@head) or a byte of the body, or has ended. */
static int wait_for(struct http_response *r, bool head, mvm_error **err)
{
    uint64_t last_ms = clock_now_ms();
    int res = 0;

    while (res == 0 && !r->ended && (head ? !r->headers_done : r->end == r->start)) {
        r->seen = false;
        res = pump(r, err);
        if (r->seen)
            last_ms = clock_now_ms();
        else if (res == 0 && clock_now_ms() - last_ms > r->client->limits.stall_ms)
            res = mvm_fail(err, MVM_E_NET, 0, "no byte for %llu ms",
                           (unsigned long long) r->client->limits.stall_ms);
    }
    return res;
}

/* Failures of the connection under way; a host that is not there, or a bad certificate, stays so.
 */
static bool result_is_temporary(CURLcode code)
{
    return code == CURLE_GOT_NOTHING || code == CURLE_SEND_ERROR || code == CURLE_RECV_ERROR ||
           code == CURLE_PARTIAL_FILE || code == CURLE_HTTP2 || code == CURLE_HTTP2_STREAM;
}

int http_get(struct http_client *c, const struct http_request *request, struct http_response **ret,
             bool *ret_retryable, mvm_error **err)
{
    mvm_auto(http_response) r = calloc(1, sizeof(*r));
    int res;

    *ret_retryable = false;
    if (!r)
        return mvm_fail_nomem(err);
    r->client = c;
    r->easy = curl_easy_init();
    r->body = malloc(HTTP_BODY_MAX);
    if (!r->easy || !r->body)
        return mvm_fail_nomem(err);
    res = set_options(r, request, err);
    if (res < 0)
        return res;
    if (curl_multi_add_handle(c->multi, r->easy) != CURLM_OK)
        return mvm_fail_nomem(err);
    res = wait_for(r, true, err);
    if (res == 0 && !r->headers_done) {
        *ret_retryable = result_is_temporary(r->result);
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

    (void) curl_easy_getinfo(r->easy, CURLINFO_RESPONSE_CODE, &status);
    return status;
}

const char *http_header(struct http_response *r, const char *name, size_t n)
{
    struct curl_header *h = NULL;

    return curl_easy_header(r->easy, name, n, CURLH_HEADER, -1, &h) == CURLHE_OK ? h->value : NULL;
}

const char *http_redirect_url(struct http_response *r)
{
    char *url = NULL;

    return curl_easy_getinfo(r->easy, CURLINFO_REDIRECT_URL, &url) == CURLE_OK ? url : NULL;
}

bool http_length(struct http_response *r, uint64_t *ret)
{
    curl_off_t n = -1;

    if (curl_easy_getinfo(r->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &n) != CURLE_OK || n < 0)
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
