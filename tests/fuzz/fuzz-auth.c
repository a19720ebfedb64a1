/* SPDX-License-Identifier: Apache-2.0 */
/* A file with credentials: what is taken from it can stand in a header, and keys that are there are
 * found. */
#include "base/base64.h"
#include "image/auth-config.h"

#include <assert.h>
#include <jansson.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_entry(const struct auth_config *config, const char *key)
{
    mvm_autovalue(credentials) c = { 0 };
    const char *helper = auth_config_helper(config, key);

    assert(!helper || *helper);
    if (auth_config_get(config, key, &c, NULL) < 0) {
        assert(!credentials_are_set(&c) && !c.password);
        return;
    }
    assert(!c.username == !c.password);
    assert(credentials_check(&c, NULL) == 0);
    assert(!c.username || !strpbrk(c.username, ":\r\n"));
    assert(!c.registry_token || !strpbrk(c.registry_token, " \t\r\n"));
}

/* Every key of the document, and some that others lead to. */
static void check_keys(const struct auth_config *config, const char *text, size_t len)
{
    json_t *root = json_loadb(text, len, 0, NULL), *value;
    const char *key;

    json_object_foreach(json_object_get(root, "auths"), key, value) check_entry(config, key);
    json_object_foreach(json_object_get(root, "credHelpers"), key, value)
    {
        check_entry(config, key);
    }
    json_decref(root);
    check_entry(config, "https://index.docker.io/v1/");
    check_entry(config, "docker.io");
    check_entry(config, "host:5000");
    check_entry(config, "");
}

static void check_base64(const char *data, size_t size)
{
    mvm_autofree char *encoded = base64_encode(data, size), *decoded = NULL;
    size_t len = 0;

    assert(encoded && base64_decode(encoded, strlen(encoded), &decoded, &len));
    assert(len == size && memcmp(decoded, data, size) == 0);
    free(steal_ptr(&decoded));
    (void) base64_decode(data, size, &decoded, &len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    mvm_auto(auth_config) config = NULL;
    const char *store;

    check_base64((const char *) data, size);
    if (auth_config_parse((const char *) data, size, &config, NULL) < 0)
        return 0;
    store = auth_config_store(config);
    assert(!store || *store);
    check_keys(config, (const char *) data, size);
    return 0;
}
