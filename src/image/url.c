/* SPDX-License-Identifier: Apache-2.0 */
#include "image/url.h"

#include "base/scan.h"
#include "image/curl.h"

#include <arpa/inet.h>
#include <strings.h>

void url_deinit(struct url *url)
{
    free(url->host);
    *url = (struct url){ 0 };
}

static int port_number(const char *text, unsigned *ret)
{
    uint64_t n;

    if (!scan_u64(text, strlen(text), 65535, &n) || n == 0)
        return -1;
    *ret = (unsigned) n;
    return 0;
}

/* "[::1]" and "[fe80::1%25eth0]" without brackets; a zone counts as part of no address. */
static char *bare_host(const char *host)
{
    size_t n = strlen(host);
    char *made = host[0] == '[' && n > 2 ? strndup(host + 1, n - 2) : strdup(host);

    for (char *c = made; c && *c; c++)
        if (*c >= 'A' && *c <= 'Z')
            *c = (char) (*c - 'A' + 'a');
    return made;
}

/* What libcurl makes of a URL: the same library then goes there. */
struct parts {
    const struct curl_api *curl; /* borrowed */
    CURLU *u;                    /* owned; so are the others, by libcurl */
    char *scheme, *host, *port, *user;
};

static void parts_deinit(struct parts *p)
{
    if (!p->curl)
        return;
    p->curl->free(p->scheme);
    p->curl->free(p->host);
    p->curl->free(p->port);
    p->curl->free(p->user);
    p->curl->url_cleanup(p->u);
}
MVM_DEFINE_AUTOVALUE(parts, parts_deinit)

static bool parts_take(struct parts *p, const char *text)
{
    const struct curl_api *curl = p->curl;

    return curl->url_set(p->u, CURLUPART_URL, text, 0) == CURLUE_OK &&
           curl->url_get(p->u, CURLUPART_SCHEME, &p->scheme, 0) == CURLUE_OK;
}

static int url_fail(const char *text, const char *why, mvm_error **err)
{
    mvm_autofree char *shown = url_for_message(text);

    return mvm_fail(err, MVM_E_FORMAT, 0, "'%.256s' %s", shown ? shown : "", why);
}

int url_parse(const char *text, struct url *url, mvm_error **err)
{
    mvm_autovalue(parts) p = { 0 };
    unsigned number;
    int r = curl_load(&p.curl, err);

    if (r < 0)
        return r;
    p.u = p.curl->url();
    if (!p.u)
        return mvm_fail_nomem(err);
    if (!parts_take(&p, text))
        return url_fail(text, "is not a URL", err);
    if (strcasecmp(p.scheme, "https") != 0 && strcasecmp(p.scheme, "http") != 0)
        return url_fail(text, "is neither https nor http", err);
    if (p.curl->url_get(p.u, CURLUPART_USER, &p.user, 0) == CURLUE_OK)
        return url_fail(text, "has a user in it", err);
    if (p.curl->url_get(p.u, CURLUPART_HOST, &p.host, 0) != CURLUE_OK ||
        p.curl->url_get(p.u, CURLUPART_PORT, &p.port, CURLU_DEFAULT_PORT) != CURLUE_OK ||
        port_number(p.port, &number) < 0)
        return url_fail(text, "is not a URL", err);
    *url = (struct url){ .https = strcasecmp(p.scheme, "https") == 0,
                         .host = bare_host(p.host),
                         .port = number };
    return url->host ? 0 : mvm_fail_nomem(err);
}

static int append_query(const struct curl_api *curl, CURLU *u, const char *name, const char *value)
{
    mvm_autofree char *text = NULL;

    if (asprintf(&text, "%s=%s", name, value) < 0) {
        text = NULL;
        return -1;
    }
    return curl->url_set(u, CURLUPART_QUERY, text, CURLU_APPENDQUERY | CURLU_URLENCODE) == CURLUE_OK
               ? 0
               : -1;
}

int url_add_query(const char *text, const char *const pairs[][2], size_t n, char **ret,
                  mvm_error **err)
{
    mvm_autovalue(parts) p = { 0 };
    int r = curl_load(&p.curl, err);
    bool good;

    if (r < 0)
        return r;
    p.u = p.curl->url();
    good = p.u && parts_take(&p, text);
    for (size_t i = 0; good && i < n; i++)
        good = !pairs[i][1] || append_query(p.curl, p.u, pairs[i][0], pairs[i][1]) == 0;
    /* In a field that is not used otherwise here. */
    good = good && p.curl->url_get(p.u, CURLUPART_URL, &p.host, 0) == CURLUE_OK;
    if (!good)
        return url_fail(text, "is not a URL", err);
    *ret = strdup(p.host);
    return *ret ? 0 : mvm_fail_nomem(err);
}

bool url_same_host(const struct url *a, const struct url *b)
{
    return a->port == b->port && strcmp(a->host, b->host) == 0;
}

static bool ipv4_is_internal(uint32_t a)
{
    static const struct {
        uint32_t net;
        unsigned bits;
    } nets[] = {
        { 0x00000000, 8 },  /* this network, 0.0.0.0 */
        { 0x0a000000, 8 },  /* private (RFC 1918) */
        { 0x64400000, 10 }, /* shared address space (RFC 6598) */
        { 0x7f000000, 8 },  /* loopback */
        { 0xa9fe0000, 16 }, /* link-local, cloud metadata */
        { 0xac100000, 12 }, /* private */
        { 0xc0a80000, 16 }, /* private */
        { 0xe0000000, 3 },  /* multicast, reserved, broadcast */
    };

    for (size_t i = 0; i < ARRAY_SIZE(nets); i++)
        if ((a ^ nets[i].net) >> (32 - nets[i].bits) == 0)
            return true;
    return false;
}

/* The address without a zone. */
static bool parse_ipv6(const char *host, struct in6_addr *ret)
{
    char text[INET6_ADDRSTRLEN];
    size_t n = strcspn(host, "%");

    if (n >= sizeof(text))
        return false;
    memcpy(text, host, n);
    text[n] = '\0';
    return inet_pton(AF_INET6, text, ret) == 1;
}

static bool ipv6_is_internal(const struct in6_addr *a)
{
    const uint8_t *b = a->s6_addr;
    uint32_t tail = (uint32_t) b[12] << 24 | (uint32_t) b[13] << 16 | (uint32_t) b[14] << 8 | b[15];

    if (IN6_IS_ADDR_V4MAPPED(a) || IN6_IS_ADDR_V4COMPAT(a))
        return ipv4_is_internal(tail);
    return IN6_IS_ADDR_LOOPBACK(a) || IN6_IS_ADDR_UNSPECIFIED(a) || IN6_IS_ADDR_MULTICAST(a) ||
           IN6_IS_ADDR_LINKLOCAL(a) || IN6_IS_ADDR_SITELOCAL(a) || (b[0] & 0xfe) == 0xfc;
}

bool url_host_is_internal(const char *host)
{
    struct in6_addr six;
    struct in_addr four;

    if (inet_pton(AF_INET, host, &four) == 1)
        return ipv4_is_internal(ntohl(four.s_addr));
    return parse_ipv6(host, &six) && ipv6_is_internal(&six);
}

bool url_host_is_loopback(const char *host)
{
    static const char tail[] = ".localhost";
    size_t n = strlen(host);
    struct in6_addr six;
    struct in_addr four;

    if (strcmp(host, "localhost") == 0 ||
        (n > strlen(tail) && strcmp(host + n - strlen(tail), tail) == 0))
        return true;
    if (inet_pton(AF_INET, host, &four) == 1)
        return ntohl(four.s_addr) >> 24 == 127;
    return parse_ipv6(host, &six) && IN6_IS_ADDR_LOOPBACK(&six);
}

bool url_may_lead(const struct url *from, const struct url *to)
{
    if (url_same_host(from, to) || url_host_is_loopback(from->host))
        return true;
    return !url_host_is_loopback(to->host) &&
           (!url_host_is_internal(to->host) || url_host_is_internal(from->host));
}

char *url_for_message(const char *text)
{
    size_t scheme = strcspn(text, ":/?#");
    size_t start = strncmp(text + scheme, "://", 3) == 0 ? scheme + 3 : 0;
    size_t host = strcspn(text + start, "/?#");
    size_t end = start + strcspn(text + start, "?#");
    const char *at = memrchr(text + start, '@', host);
    size_t from = at ? (size_t) (at - text) + 1 : start;
    char *made = NULL;

    if (asprintf(&made, "%.*s%.*s", (int) start, text, (int) (end - from), text + from) < 0)
        return NULL;
    return made;
}
