/* SPDX-License-Identifier: Apache-2.0 */
/* Anonymous bearer tokens (the Docker token protocol): the registry names a realm, which gives a
 * token for a while. */
#include "base/clock.h"
#include "base/json.h"
#include "image/registry-internal.h"

#include <curl/curl.h>

/* Of the token server's answer; of a lifetime that it does not tell (image.md I-85). */
#define TOKEN_BODY_MAX (64u << 10)
#define TOKEN_LIFE_DEFAULT_S 60
#define TOKEN_LIFE_MAX_S (365u * 86400)
/* A token that ends within this time is renewed before it is used. */
#define TOKEN_MARGIN_MS 5000

int registry_read_challenge(struct registry *g, struct http_response *response, mvm_error **err)
{
    for (size_t i = 0;; i++) {
        const char *header = http_header(response, "WWW-Authenticate", i);
        mvm_autovalue(challenge) c = { 0 };
        int r;

        if (!header)
            return mvm_fail(err, MVM_E_AUTH, 0,
                            "the registry wants an authentication that is not known here");
        r = challenge_parse(header, &c, err);
        if (r < 0)
            return r;
        if (c.scheme == CHALLENGE_NONE)
            continue;
        if (c.scheme == CHALLENGE_BASIC)
            return mvm_fail(err, MVM_E_AUTH, 0, "the registry wants a user name and a password");
        if (!c.realm || !*c.realm)
            return mvm_fail(err, MVM_E_FORMAT, 0, "the registry wants a token, but names no realm");
        challenge_deinit(&g->challenge);
        g->challenge = c;
        c = (struct challenge){ 0 };
        free(steal_ptr(&g->token));
        return 0;
    }
}

static bool add_query(CURLU *u, const char *name, const char *value)
{
    char *text = NULL;
    bool good;

    if (asprintf(&text, "%s=%s", name, value) < 0)
        return false;
    good = curl_url_set(u, CURLUPART_QUERY, text, CURLU_APPENDQUERY | CURLU_URLENCODE) == CURLUE_OK;
    free(text);
    return good;
}

/* The scope that the registry asked for, and our own: pulling from this repository. */
static char *token_scope(const struct registry *g)
{
    const char *asked = g->challenge.scope;
    mvm_autofree char *own = NULL;
    char *both = NULL;

    if (asprintf(&own, "repository:%s:pull", g->ref->repository) < 0) {
        own = NULL;
        return NULL;
    }
    if (!asked || !*asked || strcmp(asked, own) == 0)
        return steal_ptr(&own);
    return asprintf(&both, "%s %s", asked, own) < 0 ? NULL : both;
}

static int token_url(const struct registry *g, char **ret, mvm_error **err)
{
    mvm_autofree char *scope = token_scope(g);
    CURLU *u = curl_url();
    char *text = NULL;
    bool good = u && scope && curl_url_set(u, CURLUPART_URL, g->challenge.realm, 0) == CURLUE_OK &&
                (!g->challenge.service || add_query(u, "service", g->challenge.service)) &&
                add_query(u, "scope", scope) &&
                curl_url_get(u, CURLUPART_URL, &text, 0) == CURLUE_OK;
    char *copy = good ? strdup(text) : NULL;

    curl_free(text);
    curl_url_cleanup(u);
    if (!copy)
        return mvm_fail(err, MVM_E_FORMAT, 0, "the realm '%.256s' is not a URL",
                        g->challenge.realm);
    *ret = copy;
    return 0;
}

/* A token goes into a header: nothing else than visible ASCII may be in it. */
static bool token_is_safe(const char *token)
{
    for (const char *c = token; *c; c++)
        if (*c <= ' ' || *c > '~')
            return false;
    return *token != '\0';
}

static int token_read(struct registry *g, const char *body, size_t len, mvm_error **err)
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
    if (r < 0)
        return r;
    token = access ? access : token;
    if (!token)
        return mvm_fail(err, MVM_E_FORMAT, 0, "no token in the response");
    if (!token_is_safe(token))
        return mvm_fail(err, MVM_E_FORMAT, 0, "the token in the response is malformed");
    free(g->token);
    g->token = strdup(token);
    g->token_until_ms = clock_now_ms() + 1000 * (life > 0 ? life : TOKEN_LIFE_DEFAULT_S);
    return g->token ? 0 : mvm_fail_nomem(err);
}

static int token_fetch(struct registry *g, mvm_error **err)
{
    const struct registry_request rq = { .accept = "application/json", .tries = 3 };
    mvm_auto(http_response) response = NULL;
    mvm_autofree char *url = NULL, *body = NULL;
    size_t len = 0;
    int r = registry_check_target(g, g->challenge.realm, "realm", err);

    if (r == 0)
        r = token_url(g, &url, err);
    if (r == 0)
        r = registry_send(g, url, &rq, &response, err);
    if (r < 0)
        return r;
    if (http_status(response) != 200)
        return registry_fail(response, url, err);
    r = http_read_all(response, TOKEN_BODY_MAX, &body, &len, err);
    return r < 0 ? r : token_read(g, body, len, err);
}

int registry_ensure_token(struct registry *g, mvm_error **err)
{
    int r;

    if (g->challenge.scheme != CHALLENGE_BEARER ||
        (g->token && clock_now_ms() + TOKEN_MARGIN_MS < g->token_until_ms))
        return 0;
    r = token_fetch(g, err);
    return r < 0 ? mvm_context(err, r, "ask for a token") : 0;
}
