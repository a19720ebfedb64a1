/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/ttrpc.h"

#include "agent/proto/ttrpc.pb.h"
#include "agent/wire.h"
#include "base/scan.h"

#include <pb_decode.h>
#include <pb_encode.h>

/* Least room that a parser offers: small frames come several in one read. */
#define PARSER_ROOM_MIN 16384u

static void be32_put(uint8_t *out, uint32_t value)
{
    for (size_t i = 0; i < 4; i++)
        out[i] = (uint8_t) (value >> (24 - 8 * i));
}

static uint32_t be32_get(const uint8_t *in)
{
    return (uint32_t) in[0] << 24 | (uint32_t) in[1] << 16 | (uint32_t) in[2] << 8 | in[3];
}

void ttrpc_header_put(const struct ttrpc_header *h, uint8_t out[TTRPC_HEADER_SIZE])
{
    be32_put(out, h->len);
    be32_put(out + 4, h->stream);
    out[8] = h->type;
    out[9] = h->flags;
}

struct ttrpc_header ttrpc_header_get(const uint8_t in[TTRPC_HEADER_SIZE])
{
    return (struct ttrpc_header){
        .len = be32_get(in), .stream = be32_get(in + 4), .type = in[8], .flags = in[9]
    };
}

static bool get_metadata(pb_istream_t *stream, const pb_field_t *field, void **arg)
{
    struct ttrpc_request *m = *arg;
    struct ttrpc_metadata entry = { .key = { .len = 0 } };
    wire_KeyValue kv = { .key = wire_get_bytes(&entry.key), .value = wire_get_bytes(&entry.value) };

    (void) field;
    if (!wire_is_slice(stream))
        PB_RETURN_ERROR(stream, "wrong wire type");
    if (m->n_metadata == TTRPC_METADATA_MAX)
        return wire_refuse(stream, MVM_E_LIMIT, "too many metadata entries");
    if (!pb_decode(stream, wire_KeyValue_fields, &kv))
        return false;
    if (!scan_is_utf8((const char *) entry.key.data, entry.key.len) ||
        !scan_is_utf8((const char *) entry.value.data, entry.value.len))
        return wire_refuse(stream, MVM_E_FORMAT, "metadata is no UTF-8 or holds a NUL");
    m->metadata[m->n_metadata++] = entry;
    return true;
}

static bool name_is_valid(struct bytes_view name)
{
    return name.len > 0 && name.len <= TTRPC_NAME_MAX &&
           scan_is_utf8((const char *) name.data, name.len);
}

int ttrpc_request_decode(const uint8_t *data, size_t len, struct ttrpc_request *ret,
                         mvm_error **err)
{
    struct ttrpc_request m = { .n_metadata = 0 };
    wire_Request w = { .service = wire_get_bytes(&m.service),
                       .method = wire_get_bytes(&m.method),
                       .payload = wire_get_bytes(&m.payload),
                       .metadata = { .funcs.decode = get_metadata, .arg = &m } };
    int r = wire_decode((struct bytes_view){ data, len }, wire_Request_fields, &w, "ttrpc request",
                        err);

    if (r < 0)
        return r;
    if (!name_is_valid(m.service) || !name_is_valid(m.method))
        return mvm_fail(err, MVM_E_FORMAT, 0, "ttrpc request: no valid name of service and method");
    if (w.timeout_nano < 0)
        return mvm_fail(err, MVM_E_FORMAT, 0, "ttrpc request: negative timeout");
    m.timeout_ns = w.timeout_nano;
    *ret = m;
    return 0;
}

int ttrpc_response_decode(const uint8_t *data, size_t len, struct ttrpc_response *ret,
                          mvm_error **err)
{
    struct ttrpc_response m = { .code = TTRPC_OK };
    wire_Response w = { .status.message = wire_get_bytes(&m.message),
                        .payload = wire_get_bytes(&m.payload) };
    int r = wire_decode((struct bytes_view){ data, len }, wire_Response_fields, &w,
                        "ttrpc response", err);

    if (r < 0)
        return r;
    m.code = w.status.code;
    *ret = m;
    return 0;
}

/* Starts a frame whose length is not known yet; gives where it starts. */
static size_t frame_begin(struct strbuf *out)
{
    static const uint8_t blank[TTRPC_HEADER_SIZE];
    size_t start = out->len;

    strbuf_add(out, blank, sizeof(blank));
    return start;
}

/* What could not be encoded leaves nothing but the failure. */
static void frame_end(struct strbuf *out, size_t start, struct ttrpc_header h)
{
    size_t len = out->len - start;

    if (out->failed == 0 && len - TTRPC_HEADER_SIZE > TTRPC_FRAME_MAX)
        out->failed = MVM_E_LIMIT;
    if (out->failed != 0) {
        out->len = start;
        if (out->data)
            out->data[start] = '\0';
        return;
    }
    h.len = (uint32_t) (len - TTRPC_HEADER_SIZE);
    ttrpc_header_put(&h, (uint8_t *) out->data + start);
}

static bool put_metadata(pb_ostream_t *stream, const pb_field_t *field, void *const *arg)
{
    const struct ttrpc_request *m = *arg;

    for (size_t i = 0; i < m->n_metadata; i++) {
        wire_KeyValue kv = { .key = wire_put_bytes(&m->metadata[i].key),
                             .value = wire_put_bytes(&m->metadata[i].value) };

        if (!pb_encode_tag_for_field(stream, field) ||
            !pb_encode_submessage(stream, wire_KeyValue_fields, &kv))
            return false;
    }
    return true;
}

void ttrpc_request_frame(const struct ttrpc_request *m, uint32_t stream, uint8_t flags,
                         struct strbuf *out)
{
    wire_Request w = { .service = wire_put_bytes(&m->service),
                       .method = wire_put_bytes(&m->method),
                       .payload = wire_put_bytes(&m->payload),
                       .timeout_nano = m->timeout_ns,
                       .metadata = { .funcs.encode = put_metadata, .arg = (void *) m } };
    size_t start = frame_begin(out);

    wire_encode(wire_Request_fields, &w, out);
    frame_end(out, start,
              (struct ttrpc_header){ .stream = stream, .type = TTRPC_REQUEST, .flags = flags });
}

void ttrpc_response_frame(const struct ttrpc_response *m, uint32_t stream, struct strbuf *out)
{
    wire_Response w = { .has_status = m->code != TTRPC_OK || m->message.len > 0,
                        .status = { .code = m->code, .message = wire_put_bytes(&m->message) },
                        .payload = wire_put_bytes(&m->payload) };
    size_t start = frame_begin(out);

    wire_encode(wire_Response_fields, &w, out);
    frame_end(out, start, (struct ttrpc_header){ .stream = stream, .type = TTRPC_RESPONSE });
}

void ttrpc_data_frame(struct bytes_view message, uint32_t stream, uint8_t flags, struct strbuf *out)
{
    size_t start = frame_begin(out);

    strbuf_add(out, message.data, message.len);
    frame_end(out, start,
              (struct ttrpc_header){ .stream = stream, .type = TTRPC_DATA, .flags = flags });
}

void ttrpc_parser_init(struct ttrpc_parser *p, uint32_t max)
{
    *p = (struct ttrpc_parser){ .in = STRBUF_INIT((size_t) max + TTRPC_HEADER_SIZE), .max = max };
}

void ttrpc_parser_deinit(struct ttrpc_parser *p)
{
    strbuf_deinit(&p->in);
    p->skip = 0;
    p->taken = 0;
}

/* Moves what was not taken yet to the front. */
static void parser_compact(struct ttrpc_parser *p)
{
    if (p->taken == 0)
        return;
    p->in.len -= p->taken;
    memmove(p->in.data, p->in.data + p->taken, p->in.len);
    p->taken = 0;
}

uint8_t *ttrpc_parser_room(struct ttrpc_parser *p, size_t *ret_len)
{
    size_t want = PARSER_ROOM_MIN;
    size_t frame;
    char *grown;

    parser_compact(p);
    if (p->skip == 0 && p->in.len >= TTRPC_HEADER_SIZE) {
        frame = ttrpc_header_get((const uint8_t *) p->in.data).len;
        if (frame <= p->max && frame + TTRPC_HEADER_SIZE > p->in.len + want)
            want = frame + TTRPC_HEADER_SIZE - p->in.len;
    }
    if (p->in.cap - p->in.len < want) {
        grown = realloc(p->in.data, p->in.len + want);
        if (!grown)
            return NULL;
        p->in.data = grown;
        p->in.cap = p->in.len + want;
    }
    *ret_len = p->in.cap - p->in.len;
    return (uint8_t *) p->in.data + p->in.len;
}

void ttrpc_parser_filled(struct ttrpc_parser *p, size_t len)
{
    p->in.len += len;
}

/* Throws away what is there of a frame that is too long. */
static void parser_skip(struct ttrpc_parser *p)
{
    size_t here = p->in.len - p->taken;

    if (here > p->skip)
        here = (size_t) p->skip;
    p->taken += here;
    p->skip -= here;
}

int ttrpc_parser_next(struct ttrpc_parser *p, struct ttrpc_header *ret_header,
                      struct bytes_view *ret_payload, mvm_error **err)
{
    const uint8_t *at;
    struct ttrpc_header h;
    size_t here;

    parser_skip(p);
    here = p->in.len - p->taken;
    if (here < TTRPC_HEADER_SIZE)
        return 0;
    at = (const uint8_t *) p->in.data + p->taken;
    h = ttrpc_header_get(at);
    if (h.type < TTRPC_REQUEST || h.type > TTRPC_DATA)
        return mvm_fail(err, MVM_E_FORMAT, 0, "no ttrpc: frame of type %u", h.type);
    if (h.len > p->max) {
        p->taken += TTRPC_HEADER_SIZE;
        p->skip = h.len;
        *ret_header = h;
        return mvm_fail(err, MVM_E_LIMIT, 0, "ttrpc frame of %u bytes, at most %u", h.len, p->max);
    }
    if (here - TTRPC_HEADER_SIZE < h.len)
        return 0;
    p->taken += TTRPC_HEADER_SIZE + (size_t) h.len;
    *ret_header = h;
    *ret_payload = (struct bytes_view){ at + TTRPC_HEADER_SIZE, h.len };
    return 1;
}
