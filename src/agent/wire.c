/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/wire.h"

#include "agent/messages.h"
#include "base/scan.h"

#include <pb_decode.h>
#include <pb_encode.h>

/* The state of each stream and substream of one decoding. */
struct reader {
    const uint8_t *at;
    int code; /* of a callback's refusal */
};

static bool read_slice(pb_istream_t *stream, pb_byte_t *buf, size_t count)
{
    struct reader *r = stream->state;

    memcpy(buf, r->at, count); /* nanopb has compared @count with what is left */
    r->at += count;
    return true;
}

/* nanopb hands a callback also what came with another wire type, on a stream of its own. */
bool wire_is_slice(const pb_istream_t *stream)
{
    return stream->callback == read_slice;
}

struct bytes_view wire_take_rest(pb_istream_t *stream)
{
    struct reader *r = stream->state;
    struct bytes_view view = { .data = r->at, .len = stream->bytes_left };

    r->at += view.len;
    stream->bytes_left = 0;
    return view;
}

bool wire_refuse(pb_istream_t *stream, int code, const char *why)
{
    if (wire_is_slice(stream))
        ((struct reader *) stream->state)->code = code;
    PB_RETURN_ERROR(stream, why);
}

struct bytes_view bytes_view_of(const void *data, size_t len)
{
    static const uint8_t nothing[1];

    return (struct bytes_view){ .data = data ? data : nothing, .len = len };
}

struct bytes_view bytes_view_of_text(const char *text)
{
    return (struct bytes_view){ .data = (const uint8_t *) text, .len = text ? strlen(text) : 0 };
}

int wire_decode(struct bytes_view data, const pb_msgdesc_t *fields, void *message, const char *what,
                mvm_error **err)
{
    struct reader reader = { .at = bytes_view_of(data.data, 0).data, .code = MVM_E_FORMAT };
    pb_istream_t stream = { .callback = read_slice, .state = &reader, .bytes_left = data.len };

    if (pb_decode(&stream, fields, message))
        return 0;
    if (reader.code == MVM_E_NOMEM)
        return mvm_fail_nomem(err);
    return mvm_fail(err, reader.code, 0, "%s: %s", what, PB_GET_ERROR(&stream));
}

static bool write_strbuf(pb_ostream_t *stream, const pb_byte_t *buf, size_t count)
{
    struct strbuf *out = stream->state;

    strbuf_add(out, buf, count);
    return out->failed == 0;
}

void wire_encode(const pb_msgdesc_t *fields, const void *message, struct strbuf *out)
{
    pb_ostream_t stream = { .callback = write_strbuf, .state = out, .max_size = SIZE_MAX };

    if (!pb_encode(&stream, fields, message) && out->failed == 0)
        out->failed = MVM_E_LIMIT; /* a sum of lengths beyond what nanopb counts */
}

static bool get_bytes(pb_istream_t *stream, const pb_field_t *field, void **arg)
{
    struct bytes_view *view = *arg;

    (void) field;
    if (!wire_is_slice(stream))
        PB_RETURN_ERROR(stream, "wrong wire type");
    *view = wire_take_rest(stream);
    return true;
}

pb_callback_t wire_get_bytes(struct bytes_view *view)
{
    return (pb_callback_t){ .funcs.decode = get_bytes, .arg = view };
}

static bool put_bytes(pb_ostream_t *stream, const pb_field_t *field, void *const *arg)
{
    const struct bytes_view *view = *arg;

    return bytes_view_is_absent(*view) || (pb_encode_tag_for_field(stream, field) &&
                                           pb_encode_string(stream, view->data, view->len));
}

pb_callback_t wire_put_bytes(const struct bytes_view *view)
{
    return (pb_callback_t){ .funcs.encode = put_bytes, .arg = (void *) view };
}

static bool get_word(pb_istream_t *stream, const pb_field_t *field, void **arg)
{
    struct strv *words = *arg;
    struct bytes_view view;

    (void) field;
    if (!wire_is_slice(stream))
        PB_RETURN_ERROR(stream, "wrong wire type");
    view = wire_take_rest(stream);
    if (words->n == AGENT_WORDS_MAX)
        return wire_refuse(stream, MVM_E_LIMIT, "too many words");
    if (!scan_is_utf8((const char *) view.data, view.len))
        return wire_refuse(stream, MVM_E_FORMAT, "a string is no UTF-8 or holds a NUL");
    if (strv_addn(words, (const char *) view.data, view.len) < 0)
        return wire_refuse(stream, MVM_E_NOMEM, "out of memory");
    return true;
}

pb_callback_t wire_get_words(struct strv *words)
{
    return (pb_callback_t){ .funcs.decode = get_word, .arg = words };
}

static bool put_words(pb_ostream_t *stream, const pb_field_t *field, void *const *arg)
{
    const struct strv *words = *arg;

    for (size_t i = 0; i < words->n; i++) {
        const pb_byte_t *text = (const pb_byte_t *) words->items[i];

        if (!pb_encode_tag_for_field(stream, field) ||
            !pb_encode_string(stream, text, strlen(words->items[i])))
            return false;
    }
    return true;
}

pb_callback_t wire_put_words(const struct strv *words)
{
    return (pb_callback_t){ .funcs.encode = put_words, .arg = (void *) words };
}

int wire_take_text(struct bytes_view view, size_t max, bool utf8, const char *what, char **ret,
                   mvm_error **err)
{
    char *text = NULL;

    if (view.len > max)
        return mvm_fail(err, MVM_E_LIMIT, 0, "%s: %zu bytes, at most %zu", what, view.len, max);
    if (view.len > 0 && (memchr(view.data, '\0', view.len) ||
                         (utf8 && !scan_is_utf8((const char *) view.data, view.len))))
        return mvm_fail(err, MVM_E_FORMAT, 0, "%s: not UTF-8, or holds a NUL", what);
    if (view.len > 0) {
        text = strndup((const char *) view.data, view.len);
        if (!text)
            return mvm_fail_nomem(err);
    }
    *ret = text;
    return 0;
}

size_t wire_only_member(const bool *there, size_t n)
{
    size_t found = 0;

    for (size_t i = 1; i < n; i++) {
        if (there[i] && found != 0)
            return 0;
        if (there[i])
            found = i;
    }
    return found;
}
