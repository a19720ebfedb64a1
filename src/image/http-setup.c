/* SPDX-License-Identifier: Apache-2.0 */
/* What libcurl is told of a request. */
#include "image/http-internal.h"
#include "image/url.h"

#include <sys/socket.h>

#define HTTP_USER_AGENT "microvm/" MICROVM_VERSION

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
    r->came += len;
    return len;
}

static size_t on_header(char *data, size_t size, size_t n, void *user)
{
    struct http_response *r = user;
    size_t len = size * n;

    r->seen = true;
    r->head_too_long = len > HTTP_HEAD_MAX - r->head;
    if (r->head_too_long)
        return 0;
    r->head += len;
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

    if (!value)
        return 0;
    if (asprintf(&line, "%s: %s", name, value) < 0) {
        line = NULL;
        return mvm_fail_nomem(err);
    }
    more = r->curl->slist_append(r->headers, line);
    explicit_bzero(line, strlen(line)); /* it may be credentials */
    if (!more)
        return mvm_fail_nomem(err);
    r->headers = more;
    return 0;
}

static int add_headers(struct http_response *r, const struct http_request *rq, mvm_error **err)
{
    mvm_autofree char *range = NULL;
    int res = add_header(r, "Accept", rq->accept, err);

    if (res == 0)
        res = add_header(r, "Authorization", rq->authorization, err);
    if (res == 0 && rq->range_from > 0) {
        if (asprintf(&range, "bytes=%llu-", (unsigned long long) rq->range_from) < 0) {
            range = NULL;
            return mvm_fail_nomem(err);
        }
        res = add_header(r, "Range", range, err);
        if (res == 0)
            res = add_header(r, "If-Range", rq->if_range, err);
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

static bool set_fixed_options(const struct curl_api *curl, CURL *e)
{
    for (size_t i = 0; i < ARRAY_SIZE(fixed_options); i++)
        if (curl->easy_setopt(e, fixed_options[i].option, fixed_options[i].value) != CURLE_OK)
            return false;
    return curl->easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
           curl->easy_setopt(e, CURLOPT_USERAGENT, HTTP_USER_AGENT) == CURLE_OK;
}

/* A name that is still being looked up would else be waited for when the transfer is given up, as
 * long as no server of names answers. A library that is older than the option waits. */
static void set_quick_exit(const struct curl_api *curl, CURL *e)
{
#if LIBCURL_VERSION_NUM >= 0x075700
    (void) curl->easy_setopt(e, CURLOPT_QUICK_EXIT, 1L);
#else
    (void) curl;
    (void) e;
#endif
}

static bool set_callbacks(struct http_response *r)
{
    const struct curl_api *curl = r->curl;
    CURL *e = r->easy;

    return curl->easy_setopt(e, CURLOPT_ERRORBUFFER, r->error) == CURLE_OK &&
           curl->easy_setopt(e, CURLOPT_OPENSOCKETFUNCTION, on_socket) == CURLE_OK &&
           curl->easy_setopt(e, CURLOPT_HEADERFUNCTION, on_header) == CURLE_OK &&
           curl->easy_setopt(e, CURLOPT_HEADERDATA, r) == CURLE_OK &&
           curl->easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body) == CURLE_OK &&
           curl->easy_setopt(e, CURLOPT_WRITEDATA, r) == CURLE_OK &&
           curl->easy_setopt(e, CURLOPT_PRIVATE, r) == CURLE_OK;
}

/* The certificates come in addition to the system's: libcurl looks into the system's folder of
 * certificates besides a bundle that is given. */
static bool set_tls(struct http_response *r, const struct http_tls *tls)
{
    const struct curl_api *curl = r->curl;
    bool good = true;

    if (!tls)
        return true;
    if (tls->ca) {
        struct curl_blob ca = { .data = tls->ca, .len = tls->ca_len, .flags = CURL_BLOB_COPY };

        good = curl->easy_setopt(r->easy, CURLOPT_CAINFO_BLOB, &ca) == CURLE_OK;
    }
    if (good && tls->cert)
        good = curl->easy_setopt(r->easy, CURLOPT_SSLCERT, tls->cert) == CURLE_OK &&
               curl->easy_setopt(r->easy, CURLOPT_SSLKEY, tls->key) == CURLE_OK;
    if (good && tls->unverified)
        good = curl->easy_setopt(r->easy, CURLOPT_SSL_VERIFYPEER, 0L) == CURLE_OK &&
               curl->easy_setopt(r->easy, CURLOPT_SSL_VERIFYHOST, 0L) == CURLE_OK;
    return good;
}

/* libcurl reads the other variables itself, but leaves HTTP_PROXY alone, which a web server's
 * client may have set (CGI has its headers there). Other programs read both. */
static bool set_proxy(struct http_response *r, const struct url *url)
{
    const char *proxy = getenv("HTTP_PROXY");

    if (url_host_is_loopback(url->host))
        return r->curl->easy_setopt(r->easy, CURLOPT_NOPROXY, "*") == CURLE_OK;
    if (url->https || !proxy || getenv("http_proxy") || getenv("REQUEST_METHOD"))
        return true;
    return r->curl->easy_setopt(r->easy, CURLOPT_PROXY, proxy) == CURLE_OK;
}

static bool set_request(struct http_response *r, const struct http_request *rq)
{
    const struct curl_api *curl = r->curl;
    long connect_ms = (long) r->client->limits.connect_ms;

    if (rq->form && curl->easy_setopt(r->easy, CURLOPT_COPYPOSTFIELDS, rq->form) != CURLE_OK)
        return false;
    return curl->easy_setopt(r->easy, CURLOPT_URL, rq->url) == CURLE_OK &&
           curl->easy_setopt(r->easy, CURLOPT_UNIX_SOCKET_PATH, rq->unix_socket) == CURLE_OK &&
           curl->easy_setopt(r->easy, CURLOPT_HTTPHEADER, r->headers) == CURLE_OK &&
           curl->easy_setopt(r->easy, CURLOPT_CONNECTTIMEOUT_MS, connect_ms) == CURLE_OK;
}

int http_setup(struct http_response *r, const struct http_request *request, mvm_error **err)
{
    mvm_autovalue(url) url = { 0 };
    int res = url_parse(request->url, &url, err);

    if (res == 0)
        res = add_headers(r, request, err);
    if (res < 0)
        return res;
    set_quick_exit(r->curl, r->easy);
    if (!set_fixed_options(r->curl, r->easy) || !set_callbacks(r) || !set_request(r, request) ||
        !set_tls(r, request->tls) || !set_proxy(r, &url))
        return mvm_fail(err, MVM_E_UNSUPPORTED, 0, "this libcurl lacks an option that is needed");
    return 0;
}
