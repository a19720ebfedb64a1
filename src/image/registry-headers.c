/* SPDX-License-Identifier: Apache-2.0 */
#include "image/registry-headers.h"

#include "base/mem.h"
#include "base/scan.h"
#include "image/curl.h"

#include <strings.h>
#include <time.h>

/* Of a warning (distribution-spec, Warnings), of an entity tag that is worth sending back. */
#define WARNING_MAX 4096
#define ETAG_MAX 256

#define RANGE_UNIT "bytes "

bool content_range_parse(const char *value, struct content_range *ret)
{
    struct content_range c = { .total = UINT64_MAX };
    const char *at = value + strlen(RANGE_UNIT);
    size_t dash, slash;

    if (strncasecmp(value, RANGE_UNIT, strlen(RANGE_UNIT)) != 0)
        return false;
    dash = strcspn(at, "-");
    slash = strcspn(at, "/");
    if (at[dash] != '-' || at[slash] != '/' || dash > slash ||
        !scan_u64(at, dash, INT64_MAX, &c.first) ||
        !scan_u64(at + dash + 1, slash - dash - 1, INT64_MAX, &c.last))
        return false;
    at += slash + 1;
    if (strcmp(at, "*") != 0 && !scan_u64(at, strlen(at), INT64_MAX, &c.total))
        return false;
    if (c.first > c.last || c.last >= c.total)
        return false;
    *ret = c;
    return true;
}

char *warning_text(const char *value)
{
    const char *at = scan_has_prefix(value, "299 ") ? strchr(value + 4, '"') : NULL;
    mvm_autofree char *text = at ? mem_array(WARNING_MAX + 1, 1) : NULL;
    size_t n = 0;

    if (!text)
        return NULL;
    for (at++; *at && *at != '"' && n < WARNING_MAX; at++) {
        if (*at == '\\' && at[1])
            at++;
        text[n++] = *at;
    }
    return n > 0 ? steal_ptr(&text) : NULL;
}

uint64_t retry_after_ms(const char *value, uint64_t max_ms, uint64_t otherwise_ms)
{
    const struct curl_api *curl = NULL;
    uint64_t ms = max_ms, seconds;
    time_t when, now = time(NULL);

    if (scan_u64(value, strlen(value), UINT32_MAX, &seconds)) {
        ms = 1000 * seconds;
    } else {
        when = curl_load(&curl, NULL) == 0 ? curl->getdate(value, NULL) : -1;
        if (when < 0)
            return otherwise_ms;
        if (when <= now)
            return 0;
        if ((uint64_t) (when - now) < max_ms / 1000)
            ms = 1000 * (uint64_t) (when - now);
    }
    return ms < max_ms ? ms : max_ms;
}

bool etag_is_strong(const char *value)
{
    size_t n = strlen(value);

    if (n < 2 || n > ETAG_MAX || value[0] != '"' || value[n - 1] != '"')
        return false;
    for (size_t i = 1; i + 1 < n; i++)
        if ((unsigned char) value[i] <= ' ' || value[i] == '"' || (unsigned char) value[i] >= 0x7f)
            return false;
    return true;
}
