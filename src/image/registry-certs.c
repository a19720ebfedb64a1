/* SPDX-License-Identifier: Apache-2.0 */
#include "image/registry-certs.h"

#include "base/file.h"
#include "base/path.h"
#include "base/strbuf.h"

#include <dirent.h>
#include <fcntl.h>

#define PEM_START "-----BEGIN "

static const char *const system_dirs[] = { "/etc/docker/certs.d", "/etc/containers/certs.d" };

void http_tls_deinit(struct http_tls *tls)
{
    free(tls->ca);
    free(tls->cert);
    free(tls->key);
    *tls = (struct http_tls){ 0 };
}

struct certs {
    struct strbuf ca;
    struct http_tls tls;
};

static void certs_deinit(struct certs *c)
{
    strbuf_deinit(&c->ca);
    http_tls_deinit(&c->tls);
}
MVM_DEFINE_AUTOVALUE(certs, certs_deinit)

static bool has_suffix(const char *name, const char *suffix)
{
    size_t n = strlen(name), m = strlen(suffix);

    return n > m && strcmp(name + n - m, suffix) == 0;
}

static int add_authority(struct certs *c, const char *path, mvm_error **err)
{
    mvm_autofree char *text = NULL;
    size_t len = 0;
    int r = file_read_path(path, CERTS_FILE_MAX, &text, &len, err);

    if (r < 0)
        return r;
    if (!memmem(text, len, PEM_START, strlen(PEM_START)))
        return mvm_fail(err, MVM_E_FORMAT, 0, "'%s' is no certificate in PEM", path);
    strbuf_add(&c->ca, text, len);
    strbuf_addc(&c->ca, '\n'); /* a file need not end with one */
    return strbuf_check(&c->ca, "certificates", err);
}

/* The first pair is shown; which of several is wanted, nobody could tell. */
static int add_pair(struct certs *c, const char *path, mvm_error **err)
{
    mvm_autofree char *key = NULL;
    mvm_autoclose int fd = -EBADF;

    if (c->tls.cert)
        return 0;
    if (asprintf(&key, "%.*s.key", (int) (strlen(path) - strlen(".cert")), path) < 0) {
        key = NULL;
        return mvm_fail_nomem(err);
    }
    fd = open(key, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0)
        return mvm_fail(err, errno == ENOENT ? MVM_E_NOT_FOUND : MVM_E_SYS, errno,
                        "the key '%s' of the certificate beside it", key);
    c->tls.cert = strdup(path);
    c->tls.key = steal_ptr(&key);
    return c->tls.cert ? 0 : mvm_fail_nomem(err);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *) a, *(const char *const *) b);
}

/* Sorted, so that the same folder always means the same. */
static int list_names(DIR *dir, struct strv *ret, mvm_error **err)
{
    const struct dirent *entry;

    while ((entry = readdir(dir)) != NULL) {
        if (!has_suffix(entry->d_name, ".crt") && !has_suffix(entry->d_name, ".cert"))
            continue;
        if (ret->n == CERTS_FILES_MAX)
            return mvm_fail(err, MVM_E_LIMIT, 0, "more than %d certificates", CERTS_FILES_MAX);
        if (strv_add(ret, entry->d_name) < 0)
            return mvm_fail_nomem(err);
    }
    if (ret->n > 0)
        qsort(ret->items, ret->n, sizeof(*ret->items), compare_names);
    return 0;
}

static int add_named(struct certs *c, const char *folder, const char *name, mvm_error **err)
{
    mvm_autofree char *path = path_join(folder, name);

    if (!path)
        return mvm_fail_nomem(err);
    return has_suffix(name, ".crt") ? add_authority(c, path, err) : add_pair(c, path, err);
}

static int add_folder(struct certs *c, const char *certs_dir, const char *host, mvm_error **err)
{
    mvm_autofree char *folder = path_join(certs_dir, host);
    mvm_autovalue(strv) names = { .items = NULL };
    DIR *dir;
    int r;

    if (!folder)
        return mvm_fail_nomem(err);
    dir = opendir(folder);
    if (!dir) /* one that we may not enter is none of ours, as docker and podman see it */
        return errno == ENOENT || errno == ENOTDIR || errno == EACCES
                   ? 0
                   : mvm_fail(err, MVM_E_SYS, errno, "open '%s'", folder);
    r = list_names(dir, &names, err);
    (void) closedir(dir);
    if (r < 0)
        return mvm_context(err, r, "%s", folder);
    for (size_t i = 0; r == 0 && i < names.n; i++)
        r = add_named(c, folder, names.items[i], err);
    return r;
}

static int add_usual_folders(struct certs *c, const char *host, mvm_error **err)
{
    const char *config = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    mvm_autofree char *user = NULL;
    int r = 0;

    if (config && *config == '/')
        user = path_join(config, "containers/certs.d");
    else if (home && *home == '/')
        user = path_join(home, ".config/containers/certs.d");
    if (user)
        r = add_folder(c, user, host, err);
    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(system_dirs); i++)
        r = add_folder(c, system_dirs[i], host, err);
    return r;
}

int registry_certs_load(const struct registry_options *options, const char *host,
                        struct http_tls *ret, mvm_error **err)
{
    mvm_autovalue(certs) c = { .ca = STRBUF_INIT(CERTS_TOTAL_MAX) };
    int r = options->ca_file ? add_authority(&c, options->ca_file, err) : 0;

    for (size_t i = 0; r == 0 && i < options->certs_dirs.n; i++)
        r = add_folder(&c, options->certs_dirs.items[i], host, err);
    if (r == 0 && options->certs_dirs.n == 0)
        r = add_usual_folders(&c, host, err);
    if (r < 0)
        return mvm_context(err, r, "certificates for %s", host);
    c.tls.ca_len = c.ca.len;
    if (c.ca.len > 0) {
        c.tls.ca = strbuf_take(&c.ca);
        if (!c.tls.ca)
            return mvm_fail_nomem(err);
    }
    *ret = c.tls;
    c.tls = (struct http_tls){ 0 };
    return 0;
}
