/* SPDX-License-Identifier: Apache-2.0 */
#include "image/auth-helper.h"

#include "base/child.h"
#include "base/io.h"
#include "base/json.h"
#include "base/path.h"
#include "image/auth-config.h"

#include <signal.h>

#define HELPER_PREFIX "docker-credential-"
/* What a helper prints when it has none (docker-credential-helpers, credentials/error.go). */
#define HELPER_NOT_FOUND "credentials not found"
/* The user name that says that the secret is an identity token. */
#define HELPER_TOKEN_USER "<token>"
/* For a helper, after a cancel, to end by itself. */
#define HELPER_END_MS 20

static bool name_is_valid(const char *name)
{
    static const char set[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";

    return *name && strlen(name) <= AUTH_HELPER_NAME_MAX && strspn(name, set) == strlen(name);
}

static int take(const json_t *root, const char *key, char **ret, mvm_error **err)
{
    const char *text = NULL;
    int r = json_get_str(root, key, &text, err);

    if (r == 0 && text && *text) {
        *ret = strdup(text);
        if (!*ret)
            return mvm_fail_nomem(err);
    }
    return r;
}

int auth_helper_parse(const char *text, size_t len, struct credentials *ret, mvm_error **err)
{
    mvm_autojson json_t *root = NULL;
    mvm_autovalue(credentials) c = { 0 };
    int r = json_parse(text, len, "answer", &root, err);

    if (r == 0 && !json_is_object(root))
        r = mvm_fail(err, MVM_E_FORMAT, 0, "answer: not an object");
    if (r == 0)
        r = take(root, "Username", &c.username, err);
    if (r == 0)
        r = take(root, "Secret", &c.password, err);
    if (r < 0)
        return r;
    if (c.username && c.password && strcmp(c.username, HELPER_TOKEN_USER) == 0) {
        c.identity_token = steal_ptr(&c.password);
        free(steal_ptr(&c.username));
    }
    r = credentials_check(&c, err);
    if (r == 0 && (!c.username != !c.password))
        r = mvm_fail(err, MVM_E_FORMAT, 0, "answer: a user name and a secret are wanted");
    if (r < 0)
        return r;
    *ret = c;
    c = (struct credentials){ 0 };
    return 0;
}

static int watch(void *user)
{
    return image_tick(user, NULL) < 0;
}

/* What it printed may be a secret, or have one in it (image.md I-70): nothing of it is told, nor
 * what a parser says of it. */
static int take_answer(struct child_status status, const char *out, struct credentials *ret,
                       mvm_error **err)
{
    int r;

    if (status.exited && status.code == 0) {
        r = auth_helper_parse(out, strlen(out), ret, NULL);
        if (r == MVM_E_NOMEM)
            return mvm_fail_nomem(err);
        return r < 0 ? mvm_fail(err, r, 0, "ended with status 0, but its answer is no credentials")
                     : 0;
    }
    if (strstr(out, HELPER_NOT_FOUND))
        return 0;
    return mvm_fail(err, MVM_E_CHILD, 0, "ended with %s %d", status.exited ? "status" : "signal",
                    status.code);
}

static int run(const char *program, const char *key, struct image_tick *tick,
               struct credentials *ret, mvm_error **err)
{
    mvm_autofree char *path = path_find_program(program), *out = NULL;
    mvm_autoclose int in = -EBADF;
    struct child_status status;
    int r;

    if (!path)
        return mvm_fail(err, MVM_E_NOT_FOUND, 0, "no such program in PATH");
    r = io_memfd("key", key, strlen(key), true, &in, err);
    if (r < 0)
        return r;
    char *const argv[] = { (char *) program, (char *) "get", NULL };
    const struct child_fd fds[] = { { .from = in, .to = 0 } };
    const struct child_spec spec = { .path = path,
                                     .argv = argv,
                                     .fds = fds,
                                     .n_fds = 1,
                                     .death_signal = SIGTERM,
                                     .watch = watch,
                                     .watch_user = tick,
                                     .end_ms = HELPER_END_MS,
                                     .ret_status = &status };

    r = child_run(&spec, AUTH_HELPER_MS, AUTH_HELPER_MAX, &out, err);
    if (r < 0)
        return r;
    r = take_answer(status, out, ret, err);
    explicit_bzero(out, strlen(out));
    return r;
}

int auth_helper_get(const char *name, const char *key, struct image_tick *tick,
                    struct credentials *ret, mvm_error **err)
{
    mvm_autofree char *program = NULL;
    int r;

    if (!name_is_valid(name))
        return mvm_fail(err, MVM_E_FORMAT, 0, "'%.64s' is not the name of a credential helper",
                        name);
    if (asprintf(&program, HELPER_PREFIX "%s", name) < 0) {
        program = NULL;
        return mvm_fail_nomem(err);
    }
    r = run(program, key, tick, ret, err);
    return r < 0 ? mvm_context(err, r, "credential helper %s, asked for %s", program, key) : 0;
}
