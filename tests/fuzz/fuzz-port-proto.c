/* SPDX-License-Identifier: Apache-2.0 */
/* A stream of frames is read to its end or its first error; each message that is accepted encodes
 * to the bytes that it came from. */
#include "agent/port-proto.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t frame[PORT_FRAME_MAX];

    while (size > 0) {
        struct port_message m;
        int used = port_decode(data, size, &m, NULL);

        if (used <= 0)
            break;
        if ((size_t) used > size || port_encode(&m, frame) != (size_t) used ||
            memcmp(frame, data, (size_t) used) != 0)
            abort();
        data += used;
        size -= (size_t) used;
    }
    return 0;
}
