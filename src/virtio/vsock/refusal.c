/* SPDX-License-Identifier: Apache-2.0 */
#include "virtio/vsock/device-internal.h"

#include "base/clock.h"

#include <stdarg.h>

/* Lines a second: enough to see what goes wrong, too few to fill a disk. */
#define REFUSALS_A_SECOND 10
#define REFUSAL_DETAIL_MAX 256

void refuse(struct vsock_device *v, const char *reason, uint32_t guest_port, uint32_t host_port,
            const char *fmt, ...)
{
    struct refusals *rf = &v->refusals;
    uint64_t now = clock_now_ms();
    char detail[REFUSAL_DETAIL_MAX];
    va_list ap;

    if (now - rf->since_ms >= 1000) {
        if (rf->untold > 0)
            log_warning(v->log, "vsock", "refused reason=more count=%u", rf->untold);
        *rf = (struct refusals){ .since_ms = now };
    }
    if (rf->told >= REFUSALS_A_SECOND) {
        rf->untold++;
        return;
    }
    rf->told++;
    va_start(ap, fmt);
    (void) vsnprintf(detail, sizeof(detail), fmt, ap); /* cut is fine */
    va_end(ap);
    log_warning(v->log, "vsock", "refused reason=%s guest=%u host=%u: %s", reason, guest_port,
                host_port, detail);
}
