/* SPDX-License-Identifier: Apache-2.0 */
/* Headers of a registry: challenges, ranges, warnings, times, tags. */
#include "base/mem.h"
#include "image/registry-challenge.h"
#include "image/registry-headers.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What was read can be written down and read again. */
static void check_challenge(const char *text)
{
    mvm_autovalue(challenge) c = { 0 }, again = { 0 };
    mvm_autofree char *written = NULL;

    if (challenge_parse(text, &c, NULL) < 0) {
        assert(c.scheme == CHALLENGE_NONE && !c.realm && !c.service && !c.scope);
        return;
    }
    if (c.scheme == CHALLENGE_NONE || !c.realm || strpbrk(c.realm, "\"\\"))
        return;
    assert(asprintf(&written, "Bearer realm=\"%s\"", c.realm) > 0);
    assert(challenge_parse(written, &again, NULL) == 0);
    assert(again.scheme == CHALLENGE_BEARER && strcmp(again.realm, c.realm) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    mvm_autofree char *text = strndup((const char *) data, size);
    mvm_autofree char *warning = text ? warning_text(text) : NULL;
    struct content_range range;

    if (!text)
        return 0;
    check_challenge(text);
    assert(!warning || (*warning && strlen(warning) <= 4096));
    if (content_range_parse(text, &range))
        assert(range.first <= range.last && range.last < range.total);
    assert(retry_after_ms(text, 60000, 1000) <= 60000);
    if (etag_is_strong(text))
        assert(!strpbrk(text, "\r\n ") && text[0] == '"');
    return 0;
}
