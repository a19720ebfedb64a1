/* SPDX-License-Identifier: Apache-2.0 */
/* Bearer tokens (the Docker token protocol): the registry names a realm, which gives a token for a
 * while, to anybody, for a user name and a password, or for an identity token (OAuth 2). */
#include "base/clock.h"
#include "base/json.h"
#include "image/registry-internal.h"

/* Of the token server's answer; of a lifetime that it does not tell (image.md I-85). */
#define TOKEN_BODY_MAX (64u << 10)
#define TOKEN_LIFE_DEFAULT_S 60
#define TOKEN_LIFE_MAX_S (365u * 86400)

#define TOKEN_CLIENT_ID "microvm"

/* The scope that the registry asked for, and our own: pulling from this repository. */
static char *token_scope(const struct endpoint *e)
{
    const char *asked = e->challenge.scope;
    mvm_autofree char *own = NULL;
    char *both = NULL;

    if (asprintf(&own, "repository:%s:pull", e->repository) < 0) {
        own = NULL;
        return NULL;
    }
    if (!asked || !*asked || strcmp(asked, own) == 0)
        return steal_ptr(&own);
    return asprintf(&both, "%s %s", asked, own) < 0 ? NULL : both;
}

/* A token goes into a header: nothing else than visible ASCII may be in it. */
static bool token_is_safe(const char *token)
{
    for (const char *c = token; *c; c++)
        if (*c <= ' ' || *c > '~')
            return false;
    return *token != '\0';
}

/* One that is returned takes the place of ours, which may be good for one use only. */
static int keep_identity(struct endpoint *e, const json_t *root, mvm_error **err)
{
    const char *fresh = NULL;
    int r = json_get_str(root, "refresh_token", &fresh, err);

    if (r < 0 || !fresh || !e->credentials.identity_token || !token_is_safe(fresh))
        return r;
    return text_replace(&e->credentials.identity_token, fresh) < 0 ? mvm_fail_nomem(err) : 0;
}

static int token_read(struct endpoint *e, const char *body, size_t len, mvm_error **err)
{
    mvm_autojson json_t *root = NULL;
    const char *token = NULL, *access = NULL;
    uint64_t life = 0;
    int r = json_parse(body, len, "token", &root, err);

    if (r == 0)
        r = json_get_str(root, "token", &token, err);
    if (r == 0)
        r = json_get_str(root, "access_token", &access, err);
    if (r == 0)
        r = json_get_u64(root, "expires_in", TOKEN_LIFE_MAX_S, &life, err);
    if (r == 0)
        r = keep_identity(e, root, err);
    if (r < 0)
        return r;
    token = access ? access : token;
    if (!token)
        return mvm_fail(err, MVM_E_FORMAT, 0, "no token in the response");
    if (!token_is_safe(token))
        return mvm_fail(err, MVM_E_FORMAT, 0, "the token in the response is malformed");
    if (text_replace(&e->token, token) < 0)
        return mvm_fail_nomem(err);
    e->token_until_ms = clock_now_ms() + 1000 * (life > 0 ? life : TOKEN_LIFE_DEFAULT_S);
    return 0;
}

/* What a form is made of: a URL that has it for its query. */
static int token_form(struct endpoint *e, const char *scope, char **ret, mvm_error **err)
{
    const char *const pairs[][2] = { { "grant_type", "refresh_token" },
                                     { "refresh_token", e->credentials.identity_token },
                                     { "service", e->challenge.service },
                                     { "scope", scope },
                                     { "client_id", TOKEN_CLIENT_ID } };
    mvm_autofree char *url = NULL;
    int r = url_add_query("http://form/", pairs, ARRAY_SIZE(pairs), &url, err);

    if (r < 0)
        return r;
    *ret = strdup(strchr(url, '?') + 1);
    explicit_bzero(url, strlen(url));
    return *ret ? 0 : mvm_fail_nomem(err);
}

/* With what we have: an identity token in a form, a password in a header, or nothing. */
static int token_ask(struct endpoint *e, struct http_client *c, bool by_form,
                     struct http_response **ret, char **ret_url, mvm_error **err)
{
    mvm_autofree char *scope = token_scope(e), *url = NULL, *form = NULL, *basic = NULL;
    const char *const pairs[][2] = { { "service", e->challenge.service }, { "scope", scope } };
    mvm_autovalue(url) realm = { 0 };
    struct registry_request rq = { .accept = "application/json",
                                   .scheme = endpoint_scheme(e),
                                   .tries = e->tries };
    int r = scope ? url_parse(e->challenge.realm, &realm, err) : mvm_fail_nomem(err);

    if (r == 0 && by_form)
        r = token_form(e, scope, &form, err);
    else if (r == 0)
        r = credentials_basic(&e->credentials, &basic, err);
    if (r == 0)
        r = url_add_query(e->challenge.realm, pairs, by_form ? 0 : ARRAY_SIZE(pairs), &url, err);
    if (r < 0)
        return r;
    rq.form = form;
    rq.authorization = basic;
    rq.authorized = &realm;
    r = registry_send(e, c, url, &rq, ret, err);
    *ret_url = steal_ptr(&url);
    return r;
}

int token_fetch(struct endpoint *e, struct http_client *c, mvm_error **err)
{
    const char *password = e->credentials.password;
    bool by_form = e->credentials.identity_token && (!password || !*password);
    mvm_auto(http_response) response = NULL;
    mvm_autofree char *url = NULL, *body = NULL;
    size_t len = 0;
    int r = registry_check_target(&e->urls[endpoint_scheme(e)], e->insecure, e->challenge.realm,
                                  "realm", err);

    if (r == 0)
        r = token_ask(e, c, by_form, &response, &url, err);
    if (r == 0 && by_form && http_status(response) == 404) {
        http_response_free(steal_ptr(&response));
        free(steal_ptr(&url));
        by_form = false;
        r = token_ask(e, c, by_form, &response, &url, err);
    }
    if (r < 0)
        return r;
    if (http_status(response) != 200)
        return registry_fail(response, by_form ? "POST" : "GET", url, err);
    r = http_read_all(response, TOKEN_BODY_MAX, &body, &len, err);
    return r < 0 ? r : token_read(e, body, len, err);
}
