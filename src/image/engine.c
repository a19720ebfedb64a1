/* SPDX-License-Identifier: Apache-2.0 */
#include "image/engine.h"

#include "base/file.h"
#include "base/io.h"
#include "base/path.h"
#include "base/strbuf.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

/* Enough for what was tried, in a message. */
#define TRIED_MAX 2048
/* Most bytes of a bundle of certificates: the system's own has some 220 KiB. */
#define CA_MAX (4u << 20)

/* The folder of Docker's client; NULL: there is none, or no memory. */
static char *docker_folder(void)
{
    const char *own = getenv("DOCKER_CONFIG"), *home = getenv("HOME");

    if (own && *own)
        return strdup(own);
    return home && *home ? path_join(home, ".docker") : NULL;
}

/* ca.pem, cert.pem and key.pem, each where it is there. */
static int tls_take(const char *folder, bool unverified, struct engine_endpoint *e, mvm_error **err)
{
    mvm_autoclose int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct stat st;
    int r;

    e->has_tls = true;
    e->tls.unverified = unverified;
    if (fd < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "open the folder of certificates '%s'", folder);
    r = file_read(fd, "ca.pem", CA_MAX, &e->tls.ca, &e->tls.ca_len, err);
    if (r < 0 && r != MVM_E_NOT_FOUND)
        return mvm_context(err, r, "certificates in '%s'", folder);
    if (fstatat(fd, "cert.pem", &st, 0) < 0)
        return 0;
    e->tls.cert = path_join(folder, "cert.pem");
    e->tls.key = path_join(folder, "key.pem");
    return e->tls.cert && e->tls.key ? 0 : mvm_fail_nomem(err);
}

/* As Docker's own clients read them: certificates without DOCKER_TLS_VERIFY mean that the peer is
 * not verified. */
static int from_environment(const char *host, struct engine_endpoint *ret, mvm_error **err)
{
    const char *verify = getenv("DOCKER_TLS_VERIFY"), *path = getenv("DOCKER_CERT_PATH");
    const bool strict = verify && *verify, certificates = path && *path;
    mvm_autofree char *folder = certificates ? strdup(path) : docker_folder();
    int r = engine_host_parse(host, strict || certificates, ret, err);

    if (r < 0 || ret->socket || !(strict || certificates))
        return r;
    return folder
               ? tls_take(folder, !strict, ret, err)
               : mvm_fail(err, MVM_E_ARG, 0, "DOCKER_TLS_VERIFY without a folder of certificates");
}

/* "<folder>/contexts/<kind>/<sha256 of the name>" (docker/cli, context store). */
static int context_path(const char *folder, const char *kind, const char *name, char **ret,
                        mvm_error **err)
{
    struct digest digest;
    struct digest_text text;
    int r = digest_of(DIGEST_SHA256, name, strlen(name), &digest, err);

    if (r < 0)
        return r;
    text = digest_format(&digest);
    if (asprintf(ret, "%s/contexts/%s/%s", folder, kind, digest_hex(&text)) < 0) {
        *ret = NULL;
        return mvm_fail_nomem(err);
    }
    return 0;
}

static int read_in(const char *folder, const char *name, size_t max, char **ret, size_t *ret_len,
                   mvm_error **err)
{
    mvm_autoclose int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return mvm_fail(err, errno == ENOENT || errno == ENOTDIR ? MVM_E_NOT_FOUND : MVM_E_SYS,
                        errno, "open '%s'", folder);
    return file_read(fd, name, max, ret, ret_len, err);
}

/* The name of the chosen context; NULL: none. */
static int context_name(const char *folder, char **ret, mvm_error **err)
{
    const char *own = getenv("DOCKER_CONTEXT");
    mvm_autofree char *text = NULL;
    size_t len = 0;
    int r;

    *ret = NULL;
    if (own && *own) {
        if (strcmp(own, "default") != 0 && !(*ret = strdup(own)))
            return mvm_fail_nomem(err);
        return 0;
    }
    r = read_in(folder, "config.json", ENGINE_CONFIG_MAX, &text, &len, NULL);
    /* What cannot be read is the business of who looks for credentials in it. */
    return r < 0 ? 0 : engine_config_parse(text, len, ret, err);
}

static int context_read(const char *folder, const char *name, struct engine_endpoint *ret,
                        mvm_error **err)
{
    mvm_autovalue(engine_context) context = { 0 };
    mvm_autofree char *meta = NULL, *tls = NULL, *certificates = NULL, *text = NULL;
    struct stat st;
    size_t len = 0;
    int r = context_path(folder, "meta", name, &meta, err);

    if (r == 0)
        r = context_path(folder, "tls", name, &tls, err);
    if (r == 0 && !(certificates = path_join(tls, "docker")))
        r = mvm_fail_nomem(err);
    if (r == 0)
        r = read_in(meta, "meta.json", ENGINE_CONTEXT_MAX, &text, &len, err);
    if (r == 0)
        r = engine_context_parse(text, len, &context, err);
    if (r < 0)
        return r;
    const bool has_tls = stat(certificates, &st) == 0;

    r = engine_host_parse(context.host, has_tls, ret, err);
    return r == 0 && has_tls && !ret->socket ? tls_take(certificates, context.unverified, ret, err)
                                             : r;
}

/* Whether anybody listens; an address answers, or does not, at the first request. */
static int endpoint_check(const struct engine_endpoint *e, mvm_error **err)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    mvm_autoclose int fd = -EBADF;

    if (!e->socket)
        return 0;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "make a socket");
    memcpy(address.sun_path, e->socket, strlen(e->socket) + 1); /* its length was checked */
    /* EAGAIN: it listens, and is busy. */
    if (connect(fd, (struct sockaddr *) &address, sizeof(address)) < 0 && errno != EAGAIN)
        return mvm_fail(err, errno == ENOENT || errno == ECONNREFUSED ? MVM_E_NOT_FOUND : MVM_E_SYS,
                        errno, "'%s'", e->socket);
    return 0;
}

static void note(struct strbuf *tried, const mvm_error *why)
{
    strbuf_addf(tried, "%s%s", tried->len > 0 ? "; " : "", mvm_error_message(why));
}

/* 1: @ret is one that answers; 0: none, as @tried tells; a negative code: a choice of the user's
 * that makes no sense. */
static int try_context(struct engine_endpoint *ret, struct strbuf *tried, mvm_error **err)
{
    mvm_autovalue(engine_endpoint) e = { 0 };
    mvm_autofree char *folder = docker_folder();
    mvm_autofree char *name = NULL;
    mvm_autoerror mvm_error *why = NULL;
    int r = folder ? context_name(folder, &name, err) : 0;

    if (r < 0 || !name)
        return r < 0 ? mvm_context(err, r, "'%s'", folder) : 0;
    r = context_read(folder, name, &e, err);
    if (r < 0)
        return mvm_context(err, r, "Docker context '%.64s'", name);
    if (endpoint_check(&e, &why) < 0) {
        note(tried, why);
        return 0;
    }
    *ret = e;
    e = (struct engine_endpoint){ 0 };
    return 1;
}

static int try_socket(const char *folder, const char *name, struct engine_endpoint *ret,
                      struct strbuf *tried, mvm_error **err)
{
    mvm_autovalue(engine_endpoint) e = { 0 };
    mvm_autofree char *host = NULL;
    mvm_autoerror mvm_error *why = NULL;

    if (!folder || !*folder)
        return 0;
    if (asprintf(&host, "unix://%s/%s", folder, name) < 0) {
        host = NULL;
        return mvm_fail_nomem(err);
    }
    if (engine_host_parse(host, false, &e, &why) < 0 || endpoint_check(&e, &why) < 0) {
        note(tried, why);
        return 0;
    }
    *ret = e;
    e = (struct engine_endpoint){ 0 };
    return 1;
}

int engine_find(struct engine_endpoint *ret, mvm_error **err)
{
    const char *host = getenv("DOCKER_HOST"), *runtime = getenv("XDG_RUNTIME_DIR");
    const struct {
        const char *folder, *name;
    } sockets[] = {
        { "/var/run", "docker.sock" },
        { runtime, "docker.sock" },
        { runtime, "podman/podman.sock" },
        { "/run/podman", "podman.sock" },
    };
    mvm_autovalue(strbuf) tried = STRBUF_INIT(TRIED_MAX);
    int r;

    if (host && *host) {
        r = from_environment(host, ret, err);
        if (r == 0)
            r = endpoint_check(ret, err);
        return r < 0 ? mvm_context(err, r, "DOCKER_HOST") : 0;
    }
    r = try_context(ret, &tried, err);
    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(sockets); i++)
        r = try_socket(sockets[i].folder, sockets[i].name, ret, &tried, err);
    if (r != 0)
        return r < 0 ? r : 0;
    return mvm_fail(err, MVM_E_NOT_FOUND, 0, "no container engine answers: %s", strbuf_str(&tried));
}
