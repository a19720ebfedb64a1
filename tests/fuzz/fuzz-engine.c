/* SPDX-License-Identifier: Apache-2.0 */
/* What a container engine answers about an image, and the files of its client: config.json, a
 * context, the address in either. The first byte chooses. */
#include "image/engine.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_host(const char *host, bool tls)
{
    mvm_autovalue(engine_endpoint) e = { 0 };

    if (engine_host_parse(host, tls, &e, NULL) < 0)
        return;
    assert(e.url && (strncmp(e.url, "http://", 7) == 0 || strncmp(e.url, "https://", 8) == 0));
    assert(!e.socket || (e.socket[0] == '/' && strlen(e.socket) <= 107));
}

static void check_context(const char *text, size_t len)
{
    mvm_autovalue(engine_context) context = { 0 };

    if (engine_context_parse(text, len, &context, NULL) == 0)
        check_host(context.host, !context.unverified);
}

static void check_inspect(const char *text, size_t len)
{
    struct engine_image image;

    if (engine_inspect_parse(text, len, &image, NULL) == 0)
        assert(strlen(digest_format(&image.id).text) > 64 &&
               memchr(image.platform.os, 0, sizeof(image.platform.os)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    mvm_autofree char *text = size > 0 ? malloc(size) : NULL;
    mvm_autofree char *name = NULL;

    if (!text)
        return 0;
    memcpy(text, data + 1, size - 1);
    text[size - 1] = '\0';
    switch (data[0]) {
    case 'c':
        (void) engine_config_parse(text, size - 1, &name, NULL);
        assert(!name || (*name && strcmp(name, "default") != 0));
        break;
    case 'm':
        check_context(text, size - 1);
        break;
    case 'h':
        check_host(text, false);
        break;
    default:
        check_inspect(text, size - 1);
    }
    return 0;
}
