/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nanopb bound to our buffers: what agent/ttrpc.c and agent/messages-*.c are made of.
 *
 * A message is decoded from one slice of memory. A field of bytes becomes a view into that slice,
 * which nanopb's own buffer stream has no public way for: its position is ours here.
 */
#ifndef AGENT_WIRE_H
#define AGENT_WIRE_H

#include "agent/ttrpc.h"

#include <stdbool.h>

#include <pb.h>

/* What decoding leaves in a view that was absent, and what encoding leaves out. */
static inline bool bytes_view_is_absent(struct bytes_view v)
{
    return v.data == NULL;
}
/* A view that is there, be it empty. */
struct bytes_view bytes_view_of(const void *data, size_t len);
/* Absent for NULL. */
struct bytes_view bytes_view_of_text(const char *text);

/* Fields of @message whose callbacks were made by the wire_get_*() below are decoded into what
 * those point at; other callback fields are skipped. @what names the message in an error. */
int wire_decode(struct bytes_view data, const pb_msgdesc_t *fields, void *message, const char *what,
                mvm_error **err);
/* Appends; a failure is left in @out. */
void wire_encode(const pb_msgdesc_t *fields, const void *message, struct strbuf *out);

pb_callback_t wire_get_bytes(struct bytes_view *view);
pb_callback_t wire_put_bytes(const struct bytes_view *view);
/* A repeated string: UTF-8 without NUL, at most AGENT_WORDS_MAX of them. */
pb_callback_t wire_get_words(struct strv *words);
pb_callback_t wire_put_words(const struct strv *words);

/* A text out of @view: owned, NULL for what is absent or empty. MVM_E_LIMIT above @max bytes;
 * MVM_E_FORMAT for a NUL, and with @utf8 for what is no UTF-8. */
int wire_take_text(struct bytes_view view, size_t max, bool utf8, const char *what, char **ret,
                   mvm_error **err);

/* Which one of a oneof's members is there: the index of the only true one; 0 for none and for more
 * than one. Index 0 is nobody's. */
size_t wire_only_member(const bool *there, size_t n);

/* For callbacks of a kind of their own: a decoding one runs only on this module's streams. */
bool wire_is_slice(const pb_istream_t *stream);
/* The rest of the field that @stream is at; moves past it. */
struct bytes_view wire_take_rest(pb_istream_t *stream);
/* Ends the decoding with @code; gives false. */
bool wire_refuse(pb_istream_t *stream, int code, const char *why);

#endif
