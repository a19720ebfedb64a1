/* SPDX-License-Identifier: Apache-2.0 */
#include "image/registry-options.h"

#include "base/scan.h"

#include <ctype.h>

/* Of a host with its port (RFC 1035: 253 characters), and of a mirror's URL. */
#define HOST_TEXT_MAX 260
#define MIRROR_URL_MAX 1024

#define HUB "docker.io"

/* "host", "host:5000", "[::1]:5000": what may stand in a reference before the first slash. */
static bool is_host(const char *text, size_t len)
{
    if (len == 0 || len > HOST_TEXT_MAX)
        return false;
    for (size_t i = 0; i < len; i++)
        if (!isalnum((unsigned char) text[i]) && !strchr("-._:[]", text[i]))
            return false;
    return true;
}

static char *lower(const char *text, size_t len)
{
    char *made = strndup(text, len);

    for (char *c = made; c && *c; c++)
        *c = (char) tolower((unsigned char) *c);
    return made;
}

/* A prefix is the start of a repository's name there. */
static bool is_mirror_url(const char *url)
{
    const char *host = url + (scan_has_prefix(url, "https://")  ? strlen("https://")
                              : scan_has_prefix(url, "http://") ? strlen("http://")
                                                                : 0);
    size_t n = strcspn(host, "/");

    return host != url && strlen(url) <= MIRROR_URL_MAX && is_host(host, n) &&
           strspn(host + n, "abcdefghijklmnopqrstuvwxyz0123456789-._/") == strlen(host + n) &&
           !strstr(host + n, "//") && !strstr(host + n, "..");
}

static int mirror_fill(struct registry_mirror *m, const char *registry, size_t len, const char *url)
{
    size_t n = strlen(url);

    while (n > 0 && url[n - 1] == '/')
        n--;
    m->registry = len > 0 ? lower(registry, len) : strdup(HUB);
    m->url = strndup(url, n);
    return m->registry && m->url ? 0 : -1;
}

static void mirror_deinit(struct registry_mirror *m)
{
    free(m->registry);
    free(m->url);
}
MVM_DEFINE_AUTOVALUE(registry_mirror, mirror_deinit)

int registry_options_add_mirror(struct registry_options *o, const char *text, mvm_error **err)
{
    mvm_autovalue(registry_mirror) m = { 0 };
    size_t n = strcspn(text, "=");
    const char *url = text[n] ? text + n + 1 : text;

    if (!text[n])
        n = 0;
    if (!is_mirror_url(url) || (url != text && !is_host(text, n)))
        return mvm_fail(err, MVM_E_ARG, 0,
                        "'%.256s': [REGISTRY=]http[s]://HOST[:PORT][/PREFIX] is wanted", text);
    if (o->n_mirrors == REGISTRY_MIRRORS_MAX)
        return mvm_fail(err, MVM_E_LIMIT, 0, "more than %d mirrors", REGISTRY_MIRRORS_MAX);
    if (mirror_fill(&m, text, n, url) < 0 ||
        mem_grow(&o->mirrors, &o->cap_mirrors, o->n_mirrors, sizeof(m)) < 0)
        return mvm_fail_nomem(err);
    o->mirrors[o->n_mirrors++] = m;
    m = (struct registry_mirror){ 0 };
    return 0;
}

int registry_options_add_insecure(struct registry_options *o, const char *text, mvm_error **err)
{
    mvm_autofree char *host = NULL;

    if (!is_host(text, strlen(text)))
        return mvm_fail(err, MVM_E_ARG, 0, "'%.256s': HOST[:PORT] is wanted", text);
    if (o->insecure.n == REGISTRY_INSECURE_MAX)
        return mvm_fail(err, MVM_E_LIMIT, 0, "more than %d insecure registries",
                        REGISTRY_INSECURE_MAX);
    host = lower(text, strlen(text));
    return host && strv_add(&o->insecure, host) == 0 ? 0 : mvm_fail_nomem(err);
}

void registry_options_deinit(struct registry_options *o)
{
    for (size_t i = 0; i < o->n_mirrors; i++)
        mirror_deinit(&o->mirrors[i]);
    free(o->mirrors);
    strv_deinit(&o->insecure);
    free(o->ca_file);
    free(o->auth_file);
    strv_deinit(&o->certs_dirs);
    *o = (struct registry_options){ 0 };
}
