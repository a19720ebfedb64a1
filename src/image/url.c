/* SPDX-License-Identifier: Apache-2.0 */
#include "image/url.h"

#include "base/scan.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <strings.h>

static void autocurlu_run(CURLU **u)
{
    curl_url_cleanup(*u);
}
#define mvm_autocurlu __attribute__((cleanup(autocurlu_run)))

static void autocurlstr_run(char **text)
{
    curl_free(*text);
}
#define mvm_autocurlstr __attribute__((cleanup(autocurlstr_run)))

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

int url_parse(const char *text, struct url *url, mvm_error **err)
{
    mvm_autocurlu CURLU *u = curl_url();
    mvm_autocurlstr char *scheme = NULL;
    mvm_autocurlstr char *host = NULL;
    mvm_autocurlstr char *port = NULL;
    unsigned number;

    if (!u)
        return mvm_fail_nomem(err);
    if (curl_url_set(u, CURLUPART_URL, text, 0) != CURLUE_OK ||
        curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK)
        return mvm_fail(err, MVM_E_FORMAT, 0, "'%.256s' is not a URL", text);
    if (strcasecmp(scheme, "https") != 0 && strcasecmp(scheme, "http") != 0)
        return mvm_fail(err, MVM_E_FORMAT, 0, "'%.256s' is neither https nor http", text);
    if (curl_url_get(u, CURLUPART_HOST, &host, 0) != CURLUE_OK ||
        curl_url_get(u, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) != CURLUE_OK ||
        port_number(port, &number) < 0)
        return mvm_fail(err, MVM_E_FORMAT, 0, "'%.256s' is not a URL", text);
    *url = (struct url){ .https = strcasecmp(scheme, "https") == 0,
                         .host = bare_host(host),
                         .port = number };
    return url->host ? 0 : mvm_fail_nomem(err);
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
