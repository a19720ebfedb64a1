/* SPDX-License-Identifier: Apache-2.0 */
#include "stream.h"

/* Reads and writes of one stream before the others get their turn. */
#define STREAM_ROUNDS 8

void stream_init(struct stream *s, struct endpoint *from, struct endpoint *to)
{
    s->from = from;
    s->to = to;
    s->received = s->delivered = 0;
    s->limit = UINT64_MAX;
    s->ended = from->fd < 0;
    s->dropping = to->fd < 0;
    s->start = s->end = 0;
}

static bool stream_fill(struct stream *s)
{
    uint64_t room = sizeof(s->data) - s->end;
    ssize_t n;

    if (room > s->limit - s->received)
        room = s->limit - s->received;
    if (!s->ended && s->received == s->limit)
        s->ended = true;
    if (s->ended || room == 0)
        return false;
    n = endpoint_read(s->from, s->data + s->end, (size_t) room);
    if (n == ENDPOINT_END)
        s->ended = true;
    if (n <= 0)
        return false;
    s->end += (size_t) n;
    s->received += (uint64_t) n;
    s->last = s->data[s->end - 1];
    return true;
}

static bool stream_drain(struct stream *s)
{
    ssize_t n = 0;

    if (s->start < s->end && !s->dropping)
        n = endpoint_write(s->to, s->data + s->start, s->end - s->start);
    if (n == ENDPOINT_END)
        s->dropping = true;
    if (n > 0) {
        s->start += (size_t) n;
        s->delivered += (uint64_t) n;
    }
    if (s->dropping || s->start == s->end)
        s->start = s->end = 0;
    return n > 0;
}

bool stream_pump(struct stream *s)
{
    for (int i = 0; i < STREAM_ROUNDS; i++) {
        bool filled = stream_fill(s);

        if (!stream_drain(s) && !filled)
            return false;
    }
    return true;
}

bool stream_is_done(const struct stream *s)
{
    return s->ended && s->start == s->end;
}

bool stream_append(struct stream *s, uint8_t byte)
{
    if (s->end == sizeof(s->data))
        return false;
    s->data[s->end++] = byte;
    return true;
}
