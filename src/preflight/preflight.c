/* SPDX-License-Identifier: Apache-2.0 */
#include "preflight/preflight.h"

#include "base/strbuf.h"

#include <stdarg.h>

static void set_detail(struct preflight_result *r, const char *fmt, va_list ap)
{
    if (vsnprintf(r->detail, sizeof(r->detail), fmt, ap) < 0)
        r->detail[0] = '\0';
}

void preflight_pass(struct preflight_result *r, const char *fmt, ...)
{
    va_list ap;

    r->ok = true;
    r->remedy[0] = '\0';
    va_start(ap, fmt);
    set_detail(r, fmt, ap);
    va_end(ap);
}

void preflight_miss(struct preflight_result *r, const char *remedy, const char *fmt, ...)
{
    va_list ap;

    r->ok = false;
    (void) snprintf(r->remedy, sizeof(r->remedy), "%s", remedy); /* our own short texts */
    va_start(ap, fmt);
    set_detail(r, fmt, ap);
    va_end(ap);
}

int preflight_run(const struct preflight_check *checks, size_t n, const struct preflight_host *host,
                  struct preflight_result *results, mvm_error **err)
{
    mvm_autovalue(strbuf) missing = STRBUF_INIT(ERROR_MESSAGE_MAX);

    for (size_t i = 0; i < n; i++) {
        results[i] = (struct preflight_result){ .ok = false };
        checks[i].run(host, &results[i]);
        if (!results[i].ok && checks[i].required)
            strbuf_addf(&missing, "%s%s: %s", missing.len ? "; " : "", checks[i].name,
                        results[i].detail);
    }
    if (missing.len > 0)
        return mvm_fail(err, MVM_E_UNSUPPORTED, 0, "%s", strbuf_str(&missing));
    return 0;
}
