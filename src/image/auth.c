/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which files, and which keys in them. The files are those of docker and podman, docker's first, as
 * both write theirs; each key is looked for in all of them before a less specific one is.
 */
#include "image/auth.h"

#include "base/file.h"
#include "base/path.h"
#include "image/auth-config.h"
#include "image/auth-helper.h"

#include <fcntl.h>

/* One a place. */
#define FILES_MAX 8

#define HUB "docker.io"
/* The keys under which docker (first), podman and others keep Docker Hub's. */
static const char *const hub_keys[] = { "https://index.docker.io/v1/", "docker.io",
                                        "index.docker.io", "registry-1.docker.io" };

struct auth_file {
    char *path;                 /* owned */
    struct auth_config *config; /* owned */
};
struct auth_store {
    struct auth_file files[FILES_MAX];
    size_t n;
};

void auth_store_free(struct auth_store *s)
{
    for (size_t i = 0; s && i < s->n; i++) {
        free(s->files[i].path);
        auth_config_free(s->files[i].config);
    }
    free(s);
}

/* The file cannot be seen at all, as in somebody else's home: that is not ours then. */
static bool is_hidden(const char *path)
{
    mvm_autoclose int fd = open(path, O_PATH | O_CLOEXEC);

    return fd < 0;
}

/* Takes @path over; NULL: nothing. */
static int add_file(struct auth_store *s, char *path, bool needed, mvm_error **err)
{
    mvm_autofree char *owned = path, *text = NULL;
    mvm_autoerror mvm_error *why = NULL;
    size_t len = 0;
    int r;

    if (!path)
        return mvm_fail_nomem(err);
    r = file_read_path(path, AUTH_FILE_MAX, &text, &len, &why);
    if (r < 0 && !needed && (r == MVM_E_NOT_FOUND || is_hidden(path)))
        return 0;
    if (r < 0) {
        error_move(err, steal_ptr(&why));
        return mvm_context(err, r, "credentials");
    }
    r = auth_config_parse(text, len, &s->files[s->n].config, err);
    explicit_bzero(text, len);
    if (r < 0)
        return mvm_context(err, r, "%s", path);
    s->files[s->n++].path = steal_ptr(&owned);
    return 0;
}

/* An absolute path from the environment; NULL: unset. */
static const char *folder(const char *variable)
{
    const char *value = getenv(variable);

    return value && *value == '/' ? value : NULL;
}

static int add_below(struct auth_store *s, const char *dir, const char *name, mvm_error **err)
{
    return dir ? add_file(s, path_join(dir, name), false, err) : 0;
}

static int add_runtime(struct auth_store *s, mvm_error **err)
{
    char *path = NULL;

    if (folder("XDG_RUNTIME_DIR"))
        return add_below(s, folder("XDG_RUNTIME_DIR"), "containers/auth.json", err);
    if (asprintf(&path, "/run/containers/%u/auth.json", (unsigned) geteuid()) < 0)
        path = NULL;
    return add_file(s, path, false, err);
}

static int add_usual(struct auth_store *s, mvm_error **err)
{
    const char *docker = getenv("DOCKER_CONFIG"), *file = getenv("REGISTRY_AUTH_FILE");
    int r = docker && *docker ? add_below(s, docker, "config.json", err)
                              : add_below(s, folder("HOME"), ".docker/config.json", err);

    if (r == 0 && file && *file)
        r = add_file(s, strdup(file), false, err);
    if (r == 0)
        r = add_runtime(s, err);
    if (r == 0)
        r = add_below(s, folder("XDG_CONFIG_HOME"), "containers/auth.json", err);
    if (r == 0)
        r = add_below(s, folder("HOME"), ".config/containers/auth.json", err);
    return r;
}

int auth_store_open(const char *file, struct auth_store **ret, mvm_error **err)
{
    mvm_auto(auth_store) s = calloc(1, sizeof(*s));
    int r;

    if (!s)
        return mvm_fail_nomem(err);
    r = file ? add_file(s, strdup(file), true, err) : add_usual(s, err);
    if (r < 0)
        return r;
    *ret = steal_ptr(&s);
    return 0;
}

/* What is looked for, and what was in the way. */
struct search {
    const struct auth_store *store;
    struct image_tick *tick;
    struct credentials *ret;
    mvm_error *why; /* owned: of the first helper that failed */
    int code;
};

static void search_deinit(struct search *q)
{
    mvm_error_free(q->why);
}
MVM_DEFINE_AUTOVALUE(search, search_deinit)

/* A helper that fails is remembered: the credentials may be elsewhere. */
static int ask_helper(struct search *q, const char *name, const char *key, mvm_error **err)
{
    mvm_autoerror mvm_error *why = NULL;
    int r = auth_helper_get(name, key, q->tick, q->ret, &why);

    if (r == MVM_E_CANCELLED || r == MVM_E_NOMEM) {
        error_move(err, steal_ptr(&why));
        return r;
    }
    if (r < 0 && !q->why) {
        q->why = steal_ptr(&why);
        q->code = r;
    }
    return 0;
}

/* The store for all is asked about hosts alone: it is how docker and podman fill it, and each
 * question may take a second. */
static int try_file(struct search *q, const struct auth_file *f, const char *key, bool host,
                    mvm_error **err)
{
    const char *helper = auth_config_helper(f->config, key);
    int r = 0;

    if (!helper && host)
        helper = auth_config_store(f->config);
    if (helper)
        r = ask_helper(q, helper, key, err);
    if (r == 0 && !credentials_are_set(q->ret)) {
        r = auth_config_get(f->config, key, q->ret, err);
        if (r < 0)
            return mvm_context(err, r, "%s", f->path);
    }
    return r;
}

/* 1: found. */
static int try_key(struct search *q, const char *key, bool host, mvm_error **err)
{
    for (size_t i = 0; i < q->store->n; i++) {
        int r = try_file(q, &q->store->files[i], key, host, err);

        if (r < 0)
            return r;
        if (credentials_are_set(q->ret))
            return 1;
    }
    return 0;
}

/* "host/a/b", then "host/a": a key for a namespace. */
static int try_paths(struct search *q, const char *host, const char *repository, mvm_error **err)
{
    mvm_autofree char *key = path_join(host, repository);
    int r = 0;

    if (!key)
        return mvm_fail_nomem(err);
    for (char *end = key + strlen(key); r == 0 && end && end > key + strlen(host);) {
        *end = '\0';
        r = try_key(q, key, false, err);
        end = strrchr(key, '/');
        if (end && end <= key + strlen(host))
            break;
    }
    return r;
}

static int try_all(struct search *q, const char *registry, const char *repository, mvm_error **err)
{
    bool hub = strcmp(registry, HUB) == 0;
    int r = try_paths(q, registry, repository, err);

    for (size_t i = 1; hub && r == 0 && i < ARRAY_SIZE(hub_keys); i++)
        if (strcmp(hub_keys[i], registry) != 0)
            r = try_paths(q, hub_keys[i], repository, err);
    if (!hub && r == 0)
        r = try_key(q, registry, true, err);
    for (size_t i = 0; hub && r == 0 && i < ARRAY_SIZE(hub_keys); i++)
        r = try_key(q, hub_keys[i], true, err);
    return r;
}

int auth_store_find(const struct auth_store *s, const char *registry, const char *repository,
                    struct image_tick *tick, struct credentials *ret, mvm_error **err)
{
    mvm_autovalue(credentials) found = { 0 };
    mvm_autovalue(search) q = { .store = s, .tick = tick, .ret = &found };
    int r = try_all(&q, registry, repository, err);

    if (r < 0)
        return r;
    if (r == 0 && q.why) {
        error_move(err, steal_ptr(&q.why));
        return q.code;
    }
    *ret = found;
    found = (struct credentials){ 0 };
    return 0;
}
