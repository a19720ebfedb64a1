/* SPDX-License-Identifier: Apache-2.0 */
#include "image/tick.h"

#include "base/clock.h"

#include <poll.h>

int image_tick_now(struct image_tick *tick, mvm_error **err)
{
    if (!tick || !tick->fn)
        return 0;
    tick->last_ms = clock_now_ms();
    if (tick->fn(tick->user, &tick->now) != 0)
        return mvm_fail(err, MVM_E_CANCELLED, 0, "cancelled");
    return 0;
}

int image_tick(struct image_tick *tick, mvm_error **err)
{
    if (!tick || !tick->fn || clock_now_ms() - tick->last_ms < IMAGE_TICK_MS)
        return 0;
    return image_tick_now(tick, err);
}

int image_tick_sleep(struct image_tick *tick, uint64_t delay_ms, mvm_error **err)
{
    uint64_t end = clock_now_ms() + delay_ms;
    int r = 0;

    for (uint64_t now = clock_now_ms(); now < end && r == 0; now = clock_now_ms()) {
        uint64_t left = end - now;

        (void) poll(NULL, 0, left < IMAGE_TICK_MS ? (int) left : IMAGE_TICK_MS);
        r = image_tick(tick, err);
    }
    return r;
}
