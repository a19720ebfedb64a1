/* SPDX-License-Identifier: Apache-2.0 */
/* The documents of a container engine: its client's config, a context, an image. */
#include "image/engine.h"

#include "base/json.h"
#include "base/scan.h"
#include "base/strbuf.h"

#include <sys/un.h>

/* Of a path or an address; a socket's path is shorter still. */
#define HOST_MAX 1024

void engine_endpoint_deinit(struct engine_endpoint *e)
{
    free(e->socket);
    free(e->url);
    free(e->tls.ca);
    free(e->tls.cert);
    free(e->tls.key);
    *e = (struct engine_endpoint){ 0 };
}

void engine_context_deinit(struct engine_context *c)
{
    free(c->host);
    *c = (struct engine_context){ 0 };
}

static int socket_endpoint(const char *path, struct engine_endpoint *ret, mvm_error **err)
{
    mvm_autovalue(engine_endpoint) made = { 0 };

    if (path[0] != '/' || strlen(path) >= sizeof(((struct sockaddr_un *) NULL)->sun_path))
        return mvm_fail(err, MVM_E_ARG, 0,
                        "'%.128s' is not the absolute path, of at most 107 bytes, of a socket",
                        path);
    made.socket = strdup(path);
    made.url = strdup("http://localhost");
    if (!made.socket || !made.url)
        return mvm_fail_nomem(err);
    *ret = made;
    made = (struct engine_endpoint){ 0 };
    return 0;
}

/* @address is "host[:port]" and perhaps a path. */
static int address_endpoint(const char *address, bool tls, struct engine_endpoint *ret,
                            mvm_error **err)
{
    size_t len = strcspn(address, "?#");

    while (len > 0 && address[len - 1] == '/')
        len--;
    if (len == 0)
        return mvm_fail(err, MVM_E_ARG, 0, "no host is named");
    if (asprintf(&ret->url, "%s://%.*s", tls ? "https" : "http", (int) len, address) < 0) {
        ret->url = NULL;
        return mvm_fail_nomem(err);
    }
    return 0;
}

int engine_host_parse(const char *host, bool tls, struct engine_endpoint *ret, mvm_error **err)
{
    const char *colon = strstr(host, "://");
    int r;

    if (strlen(host) > HOST_MAX)
        return mvm_fail(err, MVM_E_LIMIT, 0, "'%.64s...': more than %d bytes", host, HOST_MAX);
    if (scan_has_prefix(host, "unix://"))
        r = socket_endpoint(host + strlen("unix://"), ret, err);
    else if (scan_has_prefix(host, "tcp://") || scan_has_prefix(host, "http://"))
        r = address_endpoint(colon + 3, tls, ret, err);
    else if (scan_has_prefix(host, "https://"))
        r = address_endpoint(colon + 3, true, ret, err);
    else
        r = mvm_fail(err, MVM_E_UNSUPPORTED, 0, "unix://PATH or tcp://HOST:PORT is wanted");
    return r < 0 ? mvm_context(err, r, "container engine at '%.128s'", host) : 0;
}

int engine_config_parse(const char *text, size_t len, char **ret, mvm_error **err)
{
    mvm_autojson json_t *j = NULL;
    const char *name = NULL;
    int r = json_parse(text, len, "config.json", &j, err);

    if (r == 0 && !json_is_object(j))
        r = mvm_fail(err, MVM_E_FORMAT, 0, "config.json: not an object");
    if (r == 0)
        r = json_get_str(j, "currentContext", &name, err);
    if (r < 0)
        return r;
    *ret = NULL;
    if (!name || !*name || strcmp(name, "default") == 0)
        return 0;
    *ret = strdup(name);
    return *ret ? 0 : mvm_fail_nomem(err);
}

int engine_context_parse(const char *text, size_t len, struct engine_context *ret, mvm_error **err)
{
    mvm_autojson json_t *j = NULL;
    json_t *endpoints = NULL, *docker = NULL;
    const char *host = NULL;
    int r = json_parse(text, len, "meta.json", &j, err);

    if (r == 0 && !json_is_object(j))
        r = mvm_fail(err, MVM_E_FORMAT, 0, "meta.json: not an object");
    if (r == 0)
        r = json_get_object(j, "Endpoints", &endpoints, err);
    if (r == 0 && endpoints)
        r = json_get_object(endpoints, "docker", &docker, err);
    if (r == 0 && !docker)
        r = mvm_fail(err, MVM_E_FORMAT, 0, "meta.json: no 'docker' in 'Endpoints'");
    if (r == 0)
        r = json_need_str(docker, "Host", &host, err);
    if (r == 0)
        r = json_get_bool(docker, "SkipTLSVerify", &ret->unverified, err);
    if (r < 0)
        return r;
    ret->host = strdup(host);
    return ret->host ? 0 : mvm_fail_nomem(err);
}

static int take_part(const char *key, const char *text, char part[OCI_PLATFORM_PART_MAX + 1],
                     mvm_error **err)
{
    if (strlen(text) > OCI_PLATFORM_PART_MAX)
        return mvm_fail(err, MVM_E_LIMIT, 0, "'%s' has more than %d characters", key,
                        OCI_PLATFORM_PART_MAX);
    memcpy(part, text, strlen(text) + 1);
    return 0;
}

int engine_inspect_parse(const char *text, size_t len, struct engine_image *ret, mvm_error **err)
{
    struct engine_image made = { 0 };
    mvm_autojson json_t *j = NULL;
    const char *id = NULL, *os = NULL, *architecture = NULL;
    int r = json_parse(text, len, "answer", &j, err);

    if (r == 0 && !json_is_object(j))
        r = mvm_fail(err, MVM_E_FORMAT, 0, "answer: not an object");
    if (r == 0)
        r = json_need_str(j, "Id", &id, err);
    if (r == 0)
        r = json_need_str(j, "Os", &os, err);
    if (r == 0)
        r = json_need_str(j, "Architecture", &architecture, err);
    if (r == 0)
        r = digest_parse(id, &made.id, err);
    if (r == 0)
        r = take_part("Os", os, made.platform.os, err);
    if (r == 0)
        r = take_part("Architecture", architecture, made.platform.architecture, err);
    if (r < 0)
        return r;
    *ret = made;
    return 0;
}
