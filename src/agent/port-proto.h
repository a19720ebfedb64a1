/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The virtio-serial ports between the runner (host) and microvm-init (guest).
 *
 * Four ports: the program's three streams, whose bytes are raw, and a control port with framed
 * messages. A stream's end is never told by closing a port, since a close may overtake bytes that
 * are still under way; it is a message on the control port that says how many bytes the stream has
 * in all.
 *
 * A frame is a 32-bit type, a 32-bit payload length (at most PORT_PAYLOAD_MAX), both little-endian,
 * then the payload; numbers in payloads are little-endian too. Both sides treat the other as
 * hostile: an unknown type, a wrong length or an impossible number is MVM_E_FORMAT and ends the
 * conversation.
 */
#ifndef AGENT_PORT_PROTO_H
#define AGENT_PORT_PROTO_H

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

#define PORT_NAME_CONTROL "microvm.control"
#define PORT_NAME_STDIN "microvm.stdin"
#define PORT_NAME_STDOUT "microvm.stdout"
#define PORT_NAME_STDERR "microvm.stderr"

#define PORT_HEADER_SIZE 8
#define PORT_PAYLOAD_MAX 4096

enum port_message_type {
    /* host to guest */
    PORT_STDIN_END = 1, /* total: bytes that stdin has in all */
    PORT_SIGNAL = 2,    /* number: signal for the program */
    PORT_RESIZE = 3,    /* rows, cols */
    PORT_OUTPUT_CLOSED =
        4, /* number: 1 or 2: nobody reads that stream any more; the program gets SIGPIPE */
    PORT_FINISHED = 5, /* the host has all: the guest may power off */
    /* guest to host */
    PORT_STARTED = 16, /* the program runs */
    PORT_EXITED = 17, /* number: status 0 to 255 (128 + n for signal n); stdout_total, stderr_total:
                         bytes written */
    PORT_FAILED = 18  /* number: 125, 126 or 127; text: why the program could not be started */
};

struct port_message {
    enum port_message_type type;
    uint32_t number;
    uint64_t total;        /* PORT_STDIN_END */
    uint64_t stdout_total; /* PORT_EXITED */
    uint64_t stderr_total;
    uint16_t rows, cols;
    char text[1024]; /* PORT_FAILED: NUL-ended, escaped by whoever shows it */
};

/* Bytes of one encoded message at most. */
#define PORT_FRAME_MAX (PORT_HEADER_SIZE + PORT_PAYLOAD_MAX)

/* Gives the number of bytes put into @out (PORT_FRAME_MAX of room). Cannot fail for a well-made
 * message. */
size_t port_encode(const struct port_message *m, uint8_t *out);
/* Looks at the start of a byte stream. 0: more bytes are needed. Positive: bytes used, *ret is
 * filled. */
int port_decode(const uint8_t *data, size_t len, struct port_message *ret, mvm_error **err);

#endif
