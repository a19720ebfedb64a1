/* SPDX-License-Identifier: Apache-2.0 */
/* The first byte says in how large pieces the rest is fed to a parser. Each envelope that is
 * accepted is encoded again and decodes to the same. */
#include "agent/ttrpc.h"

#include <stdbool.h>
#include <stdlib.h>

/* Small, so that a fuzzer finds what is above it. */
#define FRAME_MAX 4096u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool true_of_all)
{
    if (!true_of_all)
        abort();
}

static bool view_equals(struct bytes_view a, struct bytes_view b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

static void check_request(struct bytes_view payload)
{
    mvm_autovalue(strbuf) out = STRBUF_INIT(2 * FRAME_MAX);
    struct ttrpc_request m, back;

    if (ttrpc_request_decode(payload.data, payload.len, &m, NULL) < 0)
        return;
    ttrpc_request_frame(&m, 1, 0, &out);
    require(out.failed == 0 && ttrpc_request_decode((uint8_t *) out.data + TTRPC_HEADER_SIZE,
                                                    out.len - TTRPC_HEADER_SIZE, &back, NULL) == 0);
    require(view_equals(m.service, back.service) && view_equals(m.method, back.method) &&
            view_equals(m.payload, back.payload) && m.timeout_ns == back.timeout_ns &&
            m.n_metadata == back.n_metadata);
    for (size_t i = 0; i < m.n_metadata; i++)
        require(view_equals(m.metadata[i].key, back.metadata[i].key) &&
                view_equals(m.metadata[i].value, back.metadata[i].value));
}

static void check_response(struct bytes_view payload)
{
    mvm_autovalue(strbuf) out = STRBUF_INIT(2 * FRAME_MAX);
    struct ttrpc_response m, back;

    if (ttrpc_response_decode(payload.data, payload.len, &m, NULL) < 0)
        return;
    ttrpc_response_frame(&m, 1, &out);
    require(out.failed == 0 &&
            ttrpc_response_decode((uint8_t *) out.data + TTRPC_HEADER_SIZE,
                                  out.len - TTRPC_HEADER_SIZE, &back, NULL) == 0);
    require(m.code == back.code && view_equals(m.message, back.message) &&
            view_equals(m.payload, back.payload));
}

/* All frames that are there; false when this is no ttrpc. */
static bool drain(struct ttrpc_parser *p)
{
    struct ttrpc_header h;
    struct bytes_view payload;
    int r;

    while ((r = ttrpc_parser_next(p, &h, &payload, NULL)) != 0) {
        if (r == MVM_E_LIMIT) {
            require(h.len > FRAME_MAX);
            continue;
        }
        if (r < 0)
            return false;
        require(payload.len == h.len);
        if (h.type == TTRPC_REQUEST)
            check_request(payload);
        else if (h.type == TTRPC_RESPONSE)
            check_response(payload);
    }
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t piece = size > 0 && data[0] > 0 ? data[0] : 4096;
    struct ttrpc_parser p;

    ttrpc_parser_init(&p, FRAME_MAX);
    for (size_t at = 1; at < size;) {
        size_t room = 0, n = size - at < piece ? size - at : piece;
        uint8_t *to = ttrpc_parser_room(&p, &room);

        require(to != NULL && room >= n);
        memcpy(to, data + at, n);
        ttrpc_parser_filled(&p, n);
        at += n;
        if (!drain(&p))
            break;
    }
    ttrpc_parser_deinit(&p);
    return 0;
}
