/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ttrpc's frames and envelopes (containerd/ttrpc, PROTOCOL.md), without I/O and without a library
 * behind: for the host's client and the guest's server.
 *
 * A frame is a 10-byte header (32-bit length of the payload, 32-bit stream id, type, flags;
 * big-endian) and a payload. A client's streams have odd ids that only grow. A unary call is one
 * REQUEST and one RESPONSE. In a streaming call the client's messages follow its REQUEST as DATA
 * frames (flag REMOTE_OPEN on the request) and the server's come as DATA frames before the
 * RESPONSE, which ends the call; DATA with REMOTE_CLOSED ends one direction, with NO_DATA it
 * carries no message.
 */
#ifndef AGENT_TTRPC_H
#define AGENT_TTRPC_H

#include "base/error.h"
#include "base/strbuf.h"

#include <stdint.h>

#define TTRPC_HEADER_SIZE 10
/* Most payload bytes of a frame (PROTOCOL.md); one that would be longer is not encoded. */
#define TTRPC_FRAME_MAX (4u << 20)
/* Bytes of the name of a service or a method. Far above any, and short enough for a message. */
#define TTRPC_NAME_MAX 255

enum ttrpc_type {
    TTRPC_REQUEST = 1,
    TTRPC_RESPONSE = 2,
    TTRPC_DATA = 3
};
enum ttrpc_flag {
    TTRPC_REMOTE_CLOSED = 1,
    TTRPC_REMOTE_OPEN = 2,
    TTRPC_NO_DATA = 4
};

struct ttrpc_header {
    uint32_t len;
    uint32_t stream;
    uint8_t type;
    uint8_t flags;
};
void ttrpc_header_put(const struct ttrpc_header *h, uint8_t out[TTRPC_HEADER_SIZE]);
struct ttrpc_header ttrpc_header_get(const uint8_t in[TTRPC_HEADER_SIZE]);

/* Status codes of gRPC (grpc/grpc, doc/statuscodes.md). */
enum ttrpc_code {
    TTRPC_OK = 0,
    TTRPC_CANCELLED = 1,
    TTRPC_UNKNOWN = 2,
    TTRPC_INVALID_ARGUMENT = 3,
    TTRPC_DEADLINE_EXCEEDED = 4,
    TTRPC_NOT_FOUND = 5,
    TTRPC_ALREADY_EXISTS = 6,
    TTRPC_PERMISSION_DENIED = 7,
    TTRPC_RESOURCE_EXHAUSTED = 8,
    TTRPC_FAILED_PRECONDITION = 9,
    TTRPC_ABORTED = 10,
    TTRPC_OUT_OF_RANGE = 11,
    TTRPC_UNIMPLEMENTED = 12,
    TTRPC_INTERNAL = 13,
    TTRPC_UNAVAILABLE = 14
};

/* Bytes borrowed from the frame that they were decoded from. */
struct bytes_view {
    const uint8_t *data;
    size_t len;
};

/* Metadata entries of one request that are looked at; more are MVM_E_LIMIT. */
#define TTRPC_METADATA_MAX 64
struct ttrpc_metadata {
    struct bytes_view key, value;
};
struct ttrpc_request {
    struct bytes_view service, method; /* 1 to TTRPC_NAME_MAX bytes of UTF-8 */
    struct bytes_view payload;
    int64_t timeout_ns; /* 0: none; negative is MVM_E_FORMAT */
    struct ttrpc_metadata metadata[TTRPC_METADATA_MAX];
    size_t n_metadata;
};
struct ttrpc_response {
    int32_t code;              /* enum ttrpc_code; unknown ones pass as they are */
    struct bytes_view message; /* as it came: to be escaped */
    struct bytes_view payload;
};

/* Views borrow from @data. */
int ttrpc_request_decode(const uint8_t *data, size_t len, struct ttrpc_request *ret,
                         mvm_error **err);
int ttrpc_response_decode(const uint8_t *data, size_t len, struct ttrpc_response *ret,
                          mvm_error **err);
/* Append a whole frame, header included; or nothing, and a failure in @out. A view that is NULL is
 * left out. */
void ttrpc_request_frame(const struct ttrpc_request *m, uint32_t stream, uint8_t flags,
                         struct strbuf *out);
void ttrpc_response_frame(const struct ttrpc_response *m, uint32_t stream, struct strbuf *out);
void ttrpc_data_frame(struct bytes_view message, uint32_t stream, uint8_t flags,
                      struct strbuf *out);

/* The parser of a byte stream into frames. What was fed and not yet taken is held in @in, up to one
 * frame of @max payload bytes; a longer one is skipped as it comes and reported once. */
struct ttrpc_parser {
    struct strbuf in;
    uint32_t max;
    uint64_t skip; /* bytes of an over-long frame still to be thrown away */
    size_t taken;  /* bytes of @in that were handed out */
};
void ttrpc_parser_init(struct ttrpc_parser *p, uint32_t max);
void ttrpc_parser_deinit(struct ttrpc_parser *p);
/* Where to read to, and how many bytes at most: makes room, once ttrpc_parser_next() gives 0. NULL
 * when out of memory. */
uint8_t *ttrpc_parser_room(struct ttrpc_parser *p, size_t *ret_len);
void ttrpc_parser_filled(struct ttrpc_parser *p, size_t len);
/* 1: a frame, whose payload is valid until the next call on @p. 0: more bytes are needed.
 * MVM_E_LIMIT: the frame of *ret_header is too long and is skipped; the parser goes on.
 * MVM_E_FORMAT: no ttrpc (unknown type): the connection is to be closed. MVM_E_NOMEM. */
int ttrpc_parser_next(struct ttrpc_parser *p, struct ttrpc_header *ret_header,
                      struct bytes_view *ret_payload, mvm_error **err);

#endif
