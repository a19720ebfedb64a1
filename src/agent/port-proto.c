/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/port-proto.h"

#include <stdbool.h>
#include <string.h>

/* Numbers that a well-behaved side never exceeds. */
#define SIGNAL_NUMBER_MAX 64
#define EXIT_STATUS_MAX 255

static void le_put(uint8_t *out, uint64_t value, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        out[i] = (uint8_t) (value >> (8 * i));
}

static uint64_t le_get(const uint8_t *in, size_t bytes)
{
    uint64_t value = 0;

    for (size_t i = 0; i < bytes; i++)
        value |= (uint64_t) in[i] << (8 * i);
    return value;
}

static size_t encode_payload(const struct port_message *m, uint8_t *out)
{
    size_t text;

    switch (m->type) {
    case PORT_STDIN_END:
        le_put(out, m->total, 8);
        return 8;
    case PORT_SIGNAL:
    case PORT_OUTPUT_CLOSED:
        le_put(out, m->number, 4);
        return 4;
    case PORT_RESIZE:
        le_put(out, m->rows, 2);
        le_put(out + 2, m->cols, 2);
        return 4;
    case PORT_EXITED:
        le_put(out, m->number, 4);
        le_put(out + 4, m->stdout_total, 8);
        le_put(out + 12, m->stderr_total, 8);
        return 20;
    case PORT_FAILED:
        le_put(out, m->number, 4);
        text = strnlen(m->text, sizeof(m->text) - 1);
        memcpy(out + 4, m->text, text);
        return 4 + text;
    case PORT_FINISHED:
    case PORT_STARTED:
        break;
    }
    return 0;
}

size_t port_encode(const struct port_message *m, uint8_t *out)
{
    size_t len = encode_payload(m, out + PORT_HEADER_SIZE);

    le_put(out, m->type, 4);
    le_put(out + 4, len, 4);
    return PORT_HEADER_SIZE + len;
}

/* Fills the message; false when the payload does not fit the type. */
static bool decode_payload(struct port_message *m, const uint8_t *in, size_t len)
{
    switch (m->type) {
    case PORT_STDIN_END:
        m->total = len == 8 ? le_get(in, 8) : 0;
        return len == 8;
    case PORT_SIGNAL:
    case PORT_OUTPUT_CLOSED:
        m->number = len == 4 ? (uint32_t) le_get(in, 4) : 0;
        return m->number >= 1 && m->number <= (m->type == PORT_SIGNAL ? SIGNAL_NUMBER_MAX : 2);
    case PORT_RESIZE:
        if (len != 4)
            return false;
        m->rows = (uint16_t) le_get(in, 2);
        m->cols = (uint16_t) le_get(in + 2, 2);
        return true;
    case PORT_EXITED:
        if (len != 20)
            return false;
        m->number = (uint32_t) le_get(in, 4);
        m->stdout_total = le_get(in + 4, 8);
        m->stderr_total = le_get(in + 12, 8);
        return m->number <= EXIT_STATUS_MAX;
    case PORT_FAILED:
        if (len < 4 || len - 4 >= sizeof(m->text) || memchr(in + 4, '\0', len - 4))
            return false;
        m->number = (uint32_t) le_get(in, 4);
        memcpy(m->text, in + 4, len - 4);
        return m->number >= 125 && m->number <= 127;
    case PORT_FINISHED:
    case PORT_STARTED:
        return len == 0;
    }
    return false; /* an unknown type */
}

int port_decode(const uint8_t *data, size_t len, struct port_message *ret, mvm_error **err)
{
    struct port_message m = { .number = 0 };
    uint32_t type, payload;

    if (len < PORT_HEADER_SIZE)
        return 0;
    type = (uint32_t) le_get(data, 4);
    payload = (uint32_t) le_get(data + 4, 4);
    if (payload > PORT_PAYLOAD_MAX)
        return mvm_fail(err, MVM_E_FORMAT, 0, "control message %u: %u bytes of payload", type,
                        payload);
    if (len - PORT_HEADER_SIZE < payload)
        return 0;
    m.type = type;
    if (!decode_payload(&m, data + PORT_HEADER_SIZE, payload))
        return mvm_fail(err, MVM_E_FORMAT, 0, "control message %u: not understood (%u bytes)", type,
                        payload);
    *ret = m;
    return PORT_HEADER_SIZE + (int) payload;
}
