/* SPDX-License-Identifier: Apache-2.0 */
/* The one way by which a pull reports progress and learns that it is cancelled. One pull, one
 * thread. */
#ifndef IMAGE_TICK_H
#define IMAGE_TICK_H

#include "image/image.h"

/* How often the caller is asked at most, and how long any wait may last before it is. */
#define IMAGE_TICK_MS 50

struct image_tick {
    image_progress_fn *fn; /* NULL: nobody listens */
    void *user;
    struct image_progress now;
    uint64_t last_ms;
};

/* Cheap enough for every block and every entry. MVM_E_CANCELLED once the caller has said so. A NULL
 * @tick is fine. */
int image_tick(struct image_tick *tick, mvm_error **err);
/* Asks now, whenever it was asked last: a phase begins or ends. */
int image_tick_now(struct image_tick *tick, mvm_error **err);
/* Waits, ticking. */
int image_tick_sleep(struct image_tick *tick, uint64_t delay_ms, mvm_error **err);

#endif
