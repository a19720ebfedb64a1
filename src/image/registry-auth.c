/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a registry asks for, and what we have. Credentials are looked up when a registry wants some
 * and not before, since a helper program may have to be run for them; where there are none a bearer
 * token may still be had by anybody.
 */
#include "base/base64.h"
#include "base/clock.h"
#include "base/scan.h"
#include "image/registry-internal.h"

#include <time.h>

/* A token that ends within this time is renewed before it is used. */
#define TOKEN_MARGIN_MS 5000

static struct timespec turn_deadline(void)
{
    struct timespec t;

    (void) clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_nsec += IMAGE_TICK_MS * 1000000L;
    t.tv_sec += t.tv_nsec / 1000000000L;
    t.tv_nsec %= 1000000000L;
    return t;
}

static int turn_take(struct endpoint *e, struct http_client *c, mvm_error **err)
{
    for (;;) {
        const struct timespec until = turn_deadline();
        bool taken;
        int r;

        (void) pthread_mutex_lock(&e->lock);
        if (e->turn_taken)
            (void) pthread_cond_timedwait(&e->turn_given, &e->lock, &until);
        taken = e->turn_taken;
        e->turn_taken = true;
        (void) pthread_mutex_unlock(&e->lock);
        if (!taken)
            return 0;
        r = image_tick(http_client_tick(c), err);
        if (r < 0)
            return r;
    }
}

static void turn_give(struct endpoint *e)
{
    (void) pthread_mutex_lock(&e->lock);
    e->turn_taken = false;
    (void) pthread_cond_signal(&e->turn_given);
    (void) pthread_mutex_unlock(&e->lock);
}

static int basic_value(const struct credentials *c, char **ret, mvm_error **err)
{
    mvm_autofree char *pair = NULL, *encoded = NULL;
    int n = asprintf(&pair, "%s:%s", c->username, c->password);

    if (n < 0) {
        pair = NULL;
        return mvm_fail_nomem(err);
    }
    encoded = base64_encode(pair, (size_t) n);
    explicit_bzero(pair, (size_t) n);
    if (!encoded || asprintf(ret, "Basic %s", encoded) < 0) {
        *ret = NULL;
        return mvm_fail_nomem(err);
    }
    return 0;
}

static int bearer_value(const char *token, char **ret, mvm_error **err)
{
    if (asprintf(ret, "Bearer %s", token) < 0) {
        *ret = NULL;
        return mvm_fail_nomem(err);
    }
    return 0;
}

int credentials_basic(const struct credentials *c, char **ret, mvm_error **err)
{
    *ret = NULL;
    return c->username ? basic_value(c, ret, err) : 0;
}

static int bearer(struct endpoint *e, struct http_client *c, char **ret, mvm_error **err)
{
    int r = 0;

    if (e->credentials.registry_token)
        return bearer_value(e->credentials.registry_token, ret, err);
    if (!e->token || clock_now_ms() + TOKEN_MARGIN_MS >= e->token_until_ms)
        r = token_fetch(e, c, err);
    if (r < 0)
        return mvm_context(err, r, "ask for a token");
    return bearer_value(e->token, ret, err);
}

int endpoint_authorize(struct endpoint *e, struct http_client *c, char **ret, mvm_error **err)
{
    int r = turn_take(e, c, err);

    *ret = NULL;
    if (r < 0)
        return r;
    if (e->challenge.scheme == CHALLENGE_BASIC)
        r = credentials_basic(&e->credentials, ret, err);
    else if (e->challenge.scheme == CHALLENGE_BEARER)
        r = bearer(e, c, ret, err);
    turn_give(e);
    return r;
}

static int read_challenge(struct http_response *response, struct challenge *ret, mvm_error **err)
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
        if (c.scheme == CHALLENGE_BEARER && (!c.realm || !*c.realm))
            return mvm_fail(err, MVM_E_FORMAT, 0, "the registry wants a token, but names no realm");
        *ret = c;
        c = (struct challenge){ 0 };
        return 0;
    }
}

/* A helper that fails is told only if the registry wants nobody without credentials. */
static int look_up(struct endpoint *e, struct http_client *c, mvm_error **err)
{
    mvm_autoerror mvm_error *why = NULL;
    int r;

    if (e->credentials_known)
        return 0;
    r = auth_store_find(e->auth, e->name, e->repository, http_client_tick(c), &e->credentials,
                        &why);
    if (r == MVM_E_NOT_FOUND || r == MVM_E_CHILD || r == MVM_E_TIMEOUT || r == MVM_E_LIMIT ||
        r == MVM_E_SYS || r == MVM_E_FORMAT) {
        e->no_credentials = strdup(mvm_error_message(why));
        r = e->no_credentials ? 0 : mvm_fail_nomem(err);
    } else if (r < 0) {
        error_move(err, steal_ptr(&why));
    }
    e->credentials_known = r == 0;
    return r;
}

static int take_challenge(struct endpoint *e, struct http_client *c, struct http_response *response,
                          mvm_error **err)
{
    struct challenge asked = { 0 };
    int r = read_challenge(response, &asked, err);

    if (r < 0)
        return r;
    challenge_deinit(&e->challenge);
    e->challenge = asked;
    free(steal_ptr(&e->token));
    r = look_up(e, c, err);
    if (r == 0 && asked.scheme == CHALLENGE_BASIC && !e->credentials.username)
        r = mvm_fail(err, MVM_E_AUTH, 0,
                     "%s wants a user name and a password, and none are known for it", e->host);
    return r;
}

/* Another thread has renewed the token meanwhile. */
static bool is_outdated(const struct endpoint *e, const char *used)
{
    return used && e->token && scan_has_prefix(used, "Bearer ") &&
           strcmp(used + strlen("Bearer "), e->token) != 0;
}

int endpoint_challenged(struct endpoint *e, struct http_client *c, struct http_response *response,
                        const char *used, mvm_error **err)
{
    int r = turn_take(e, c, err);

    if (r < 0)
        return r;
    if (!is_outdated(e, used))
        r = take_challenge(e, c, response, err);
    turn_give(e);
    return r;
}

int endpoint_explain(struct endpoint *e, struct http_client *c, int r, mvm_error **err)
{
    if (r != MVM_E_AUTH || turn_take(e, c, NULL) < 0)
        return r;
    if (e->no_credentials)
        r = mvm_context(err, r, "%s; and without credentials", e->no_credentials);
    turn_give(e);
    return r;
}
