/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A header is a list of words, each either a scheme ("Bearer") or a parameter (name=value,
 * name="quoted \" value") of the scheme before it; blanks and commas stand between them.
 */
#include "image/registry-challenge.h"

#include "base/strbuf.h"

#include <stdbool.h>
#include <strings.h>

/* Of one value; a realm is a URL, a scope a list of repositories. */
#define VALUE_MAX 8192

void challenge_deinit(struct challenge *c)
{
    free(c->realm);
    free(c->service);
    free(c->scope);
    *c = (struct challenge){ 0 };
}

/* Reads a value at *@at, quoted or not, and moves behind it. */
static int take_value(const char **at, char **ret, mvm_error **err)
{
    mvm_autovalue(strbuf) value = STRBUF_INIT(VALUE_MAX);
    const char *c = *at;
    bool quoted = *c == '"';
    int r;

    if (quoted)
        c++;
    while (*c && (quoted ? *c != '"' : !strchr(", \t", *c))) {
        if (quoted && *c == '\\' && c[1])
            c++;
        strbuf_addc(&value, *c++);
    }
    if (quoted && *c++ != '"')
        return mvm_fail(err, MVM_E_FORMAT, 0, "WWW-Authenticate: a quoted value has no end");
    r = strbuf_check(&value, "WWW-Authenticate", err);
    if (r < 0)
        return r;
    *ret = value.len > 0 ? strbuf_take(&value) : strdup("");
    *at = c;
    return *ret ? 0 : mvm_fail_nomem(err);
}

/* The first of a name counts. */
static void keep(char **slot, char **value)
{
    if (!*slot)
        *slot = steal_ptr(value);
}

static int take_parameter(const char *name, size_t n, const char **at, struct challenge *c,
                          mvm_error **err)
{
    mvm_autofree char *value = NULL;
    int r = take_value(at, &value, err);

    if (r < 0)
        return r;
    if (n == 5 && strncasecmp(name, "realm", n) == 0)
        keep(&c->realm, &value);
    else if (n == 7 && strncasecmp(name, "service", n) == 0)
        keep(&c->service, &value);
    else if (n == 5 && strncasecmp(name, "scope", n) == 0)
        keep(&c->scope, &value);
    return 0;
}

static enum challenge_scheme scheme_of(const char *word, size_t n)
{
    if (n == 5 && strncasecmp(word, "basic", n) == 0)
        return CHALLENGE_BASIC;
    return n == 6 && strncasecmp(word, "bearer", n) == 0 ? CHALLENGE_BEARER : CHALLENGE_NONE;
}

static int parse_words(const char *at, struct challenge *c, mvm_error **err)
{
    struct challenge other = { 0 };
    int r = 0;

    while (r == 0 && *(at += strspn(at, " \t,"))) {
        const char *word = at;
        size_t n = strcspn(at, "= \t,\"");

        at += n;
        if (n > 0 && *at == '=' && c->scheme != CHALLENGE_NONE) {
            at++;
            r = take_parameter(word, n, &at, c, err);
        } else if (n > 0 && *at == '=') {
            /* A parameter of a scheme that is not ours. */
            at++;
            r = take_parameter(word, n, &at, &other, err);
        } else if (n > 0 && c->scheme == CHALLENGE_NONE) {
            c->scheme = scheme_of(word, n);
        } else if (n > 0) {
            break; /* the next challenge */
        } else {
            r = mvm_fail(err, MVM_E_FORMAT, 0, "WWW-Authenticate: malformed");
        }
    }
    challenge_deinit(&other);
    return r;
}

int challenge_parse(const char *header, struct challenge *c, mvm_error **err)
{
    mvm_autovalue(challenge) made = { 0 };
    int r = parse_words(header, &made, err);

    if (r < 0)
        return r;
    *c = made;
    made = (struct challenge){ 0 };
    return 0;
}
