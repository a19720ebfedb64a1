/* SPDX-License-Identifier: Apache-2.0 */
/* One direction of bytes between two endpoints, through a buffer of fixed size: when the reader
 * stalls, so does the writer, and no other stream. */
#ifndef INIT_STREAM_H
#define INIT_STREAM_H

#include "endpoint.h"

/* As much as a pipe holds: one read empties it. */
#define STREAM_BUFFER_SIZE 65536

struct stream {
    struct endpoint *from; /* borrowed */
    struct endpoint *to;   /* borrowed */
    uint64_t received;
    uint64_t delivered;
    uint64_t limit; /* bytes that the source has in all; what lies above is not read */
    bool ended;     /* nothing more comes */
    bool dropping;  /* the other side takes nothing more: what comes is thrown away */
    uint8_t last;   /* the last byte received */
    size_t start, end;
    uint8_t data[STREAM_BUFFER_SIZE];
};

void stream_init(struct stream *s, struct endpoint *from, struct endpoint *to);
/* Moves what can be moved. True: stopped only to give the others their turn. */
bool stream_pump(struct stream *s);
/* Nothing more comes and all is delivered. */
bool stream_is_done(const struct stream *s);
/* Adds a byte behind what has come, after the end; false when the buffer is full. */
bool stream_append(struct stream *s, uint8_t byte);

#endif
