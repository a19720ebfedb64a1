/* SPDX-License-Identifier: Apache-2.0 */
#include "image/auth-config.h"

#include "base/base64.h"
#include "base/json.h"
#include "base/scan.h"

#include <strings.h>

struct auth_config {
    json_t *root; /* owned; the others are parts of it, NULL where unset */
    json_t *auths;
    json_t *helpers;
    const char *store;
};

static void wipe(char **secret)
{
    if (*secret)
        explicit_bzero(*secret, strlen(*secret));
    free(steal_ptr(secret));
}

bool credentials_are_set(const struct credentials *c)
{
    return c->username || c->identity_token || c->registry_token;
}

void credentials_deinit(struct credentials *c)
{
    wipe(&c->username);
    wipe(&c->password);
    wipe(&c->identity_token);
    wipe(&c->registry_token);
}

void auth_config_free(struct auth_config *c)
{
    if (!c)
        return;
    json_decref(c->root);
    free(c);
}

/* Values that are no names are found here, not when they are used. */
static int check_helpers(json_t *helpers, mvm_error **err)
{
    const char *key;
    json_t *value;

    json_object_foreach(helpers, key, value)
    {
        if (!json_is_string(value))
            return mvm_fail(err, MVM_E_FORMAT, 0, "credHelpers: '%.256s' has no name of a helper",
                            key);
    }
    return 0;
}

int auth_config_parse(const char *text, size_t len, struct auth_config **ret, mvm_error **err)
{
    mvm_auto(auth_config) c = calloc(1, sizeof(*c));
    int r;

    if (!c)
        return mvm_fail_nomem(err);
    r = json_parse(text, len, "credentials", &c->root, err);
    if (r == 0 && !json_is_object(c->root))
        r = mvm_fail(err, MVM_E_FORMAT, 0, "credentials: not an object");
    if (r == 0)
        r = json_get_object(c->root, "auths", &c->auths, err);
    if (r == 0)
        r = json_get_object(c->root, "credHelpers", &c->helpers, err);
    if (r == 0)
        r = json_get_str(c->root, "credsStore", &c->store, err);
    if (r == 0)
        r = check_helpers(c->helpers, err);
    if (r < 0)
        return r;
    *ret = steal_ptr(&c);
    return 0;
}

/* Of an old docker's key: "https://host/v1/" is the host. A key without a scheme may be podman's
 * for one namespace ("host/org"), which says nothing about others. */
static bool key_is_host(const char *stored, const char *host)
{
    const char *at = stored;
    size_t n;

    if (strncasecmp(at, "https://", 8) == 0)
        at += 8;
    else if (strncasecmp(at, "http://", 7) == 0)
        at += 7;
    n = strcspn(at, "/");
    if (n != strlen(host) || strncasecmp(at, host, n) != 0)
        return false;
    return at != stored || !at[n] || strcmp(at + n, "/") == 0 || strcmp(at + n, "/v1/") == 0 ||
           strcmp(at + n, "/v2/") == 0;
}

static const json_t *find_entry(const json_t *auths, const char *key, const char **ret_key)
{
    json_t *entry = json_object_get(auths, key);
    const char *stored;
    json_t *other;

    *ret_key = key;
    if (entry)
        return entry;
    json_object_foreach((json_t *) auths, stored, other)
    {
        *ret_key = stored;
        if (key_is_host(stored, key))
            return other;
    }
    return NULL;
}

/* User name and password go into a header as base64, tokens as they are. */
static bool value_is_safe(const char *text, bool token)
{
    size_t n = strlen(text);

    for (size_t i = 0; i < n; i++)
        if ((unsigned char) text[i] < ' ' || text[i] == 0x7f || (token && text[i] == ' '))
            return false;
    return n <= AUTH_VALUE_MAX;
}

/* "user:password", base64. */
static int take_pair(const char *text, struct credentials *ret, mvm_error **err)
{
    mvm_autofree char *pair = NULL;
    size_t len = 0;
    const char *colon;
    int r = 0;

    if (strlen(text) > 2 * (size_t) AUTH_VALUE_MAX ||
        !base64_decode(text, strlen(text), &pair, &len))
        return mvm_fail(err, MVM_E_FORMAT, 0, "'auth' is not base64");
    while (len > 0 && pair[len - 1] == '\0')
        len--;
    colon = memchr(pair, ':', len);
    if (!colon || memchr(pair, '\0', len))
        r = mvm_fail(err, MVM_E_FORMAT, 0, "'auth' is not USER:PASSWORD in base64");
    if (r == 0) {
        ret->username = strndup(pair, (size_t) (colon - pair));
        ret->password = strndup(colon + 1, len - (size_t) (colon + 1 - pair));
        r = ret->username && ret->password ? 0 : mvm_fail_nomem(err);
    }
    explicit_bzero(pair, len);
    return r;
}

static int take_text(const json_t *entry, const char *key, char **ret, mvm_error **err)
{
    const char *text = NULL;
    int r = json_get_str(entry, key, &text, err);

    if (r < 0 || !text || !*text)
        return r;
    *ret = strdup(text);
    return *ret ? 0 : mvm_fail_nomem(err);
}

int credentials_check(const struct credentials *c, mvm_error **err)
{
    const struct {
        const char *name, *value;
        bool token;
    } values[] = { { "the user name", c->username, false },
                   { "the password", c->password, false },
                   { "identitytoken", c->identity_token, true },
                   { "registrytoken", c->registry_token, true } };

    for (size_t i = 0; i < ARRAY_SIZE(values); i++)
        if (values[i].value && !value_is_safe(values[i].value, values[i].token))
            return mvm_fail(err, MVM_E_FORMAT, 0,
                            "%s has characters that cannot be in it, or more than %u",
                            values[i].name, AUTH_VALUE_MAX);
    if (c->username && strchr(c->username, ':'))
        return mvm_fail(err, MVM_E_FORMAT, 0, "a user name has no colon");
    return 0;
}

static int read_entry(const json_t *entry, struct credentials *ret, mvm_error **err)
{
    mvm_autovalue(credentials) c = { 0 };
    const char *pair = NULL;
    int r = json_get_str(entry, "auth", &pair, err);

    if (r == 0 && pair && *pair)
        r = take_pair(pair, &c, err);
    else if (r == 0)
        r = take_text(entry, "username", &c.username, err);
    if (r == 0 && !c.password)
        r = take_text(entry, "password", &c.password, err);
    if (r == 0)
        r = take_text(entry, "identitytoken", &c.identity_token, err);
    if (r == 0)
        r = take_text(entry, "registrytoken", &c.registry_token, err);
    if (r == 0)
        r = credentials_check(&c, err);
    if (r < 0)
        return r;
    if (!c.username || !c.password) { /* one without the other is no use */
        wipe(&c.username);
        wipe(&c.password);
    }
    *ret = c;
    c = (struct credentials){ 0 };
    return 0;
}

int auth_config_get(const struct auth_config *c, const char *key, struct credentials *ret,
                    mvm_error **err)
{
    const char *stored = key;
    const json_t *entry = find_entry(c->auths, key, &stored);
    int r;

    if (!entry || json_is_null(entry))
        return 0;
    if (!json_is_object(entry))
        return mvm_fail(err, MVM_E_FORMAT, 0, "auths: '%.256s': not an object", stored);
    r = read_entry(entry, ret, err);
    return r < 0 ? mvm_context(err, r, "auths: '%.256s'", stored) : 0;
}

const char *auth_config_helper(const struct auth_config *c, const char *key)
{
    const char *name = json_string_value(json_object_get(c->helpers, key));

    return name && *name ? name : NULL;
}

const char *auth_config_store(const struct auth_config *c)
{
    return c->store && *c->store ? c->store : NULL;
}
