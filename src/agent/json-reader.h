/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A strict JSON reader (RFC 8259) that needs no library, for the small documents that host and
 * guest exchange. It builds no tree: the caller walks the text and asks for what it expects.
 * Strings are checked to be UTF-8, escapes included, and hold no NUL. After an error the reader is
 * done with.
 */
#ifndef AGENT_JSON_READER_H
#define AGENT_JSON_READER_H

#include "base/error.h"
#include "base/mem.h"

#include <stdbool.h>

/* Nesting that a document may have: ours need 3; a runtime spec that K-13 accepts has about 10. */
#define JSON_READER_DEPTH_MAX 32

enum json_kind {
    JSON_KIND_OBJECT,
    JSON_KIND_ARRAY,
    JSON_KIND_STRING,
    JSON_KIND_NUMBER,
    JSON_KIND_BOOL,
    JSON_KIND_NULL
};

struct json_reader {
    const char *text; /* borrowed, need not end with NUL */
    size_t len;
    size_t pos;
    unsigned depth;
    bool first; /* inside a container of which no member was read yet */
};
#define JSON_READER_INIT(data, size)  \
    {                                 \
        .text = (data), .len = (size) \
    }

/* The kind of the value that comes next; reads blanks only. */
int json_reader_peek(struct json_reader *r, enum json_kind *ret, mvm_error **err);
/* Decodes a string; owned by the caller. */
int json_reader_string(struct json_reader *r, char **ret, mvm_error **err);
/* Enters an object or an array. */
int json_reader_enter(struct json_reader *r, enum json_kind container, mvm_error **err);
/* Inside an object: 1 and the key (owned) when there is a member, whose value comes next; 0 at its
 * end, which is left behind. */
int json_reader_next_member(struct json_reader *r, char **ret_key, mvm_error **err);
/* Inside an array: 1 when an element comes next; 0 at its end, which is left behind. */
int json_reader_next_element(struct json_reader *r, mvm_error **err);
/* Reads the next value, whatever it is, and checks it. */
int json_reader_skip(struct json_reader *r, mvm_error **err);
/* Nothing but blanks may follow. */
int json_reader_end(struct json_reader *r, mvm_error **err);

#endif
