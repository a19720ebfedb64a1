/* SPDX-License-Identifier: Apache-2.0 */
/* A recursive-descent reader whose only state is a position; the caller's calls are the recursion.
 */
#include "agent/json-reader.h"

#include "base/scan.h"
#include "base/strbuf.h"

#include <stdint.h>

static int reader_fail(const struct json_reader *r, mvm_error **err, const char *what)
{
    return mvm_fail(err, MVM_E_FORMAT, 0, "byte %zu: %s", r->pos, what);
}

static bool reader_at(const struct json_reader *r, char c)
{
    return r->pos < r->len && r->text[r->pos] == c;
}

static void reader_skip_blanks(struct json_reader *r)
{
    while (reader_at(r, ' ') || reader_at(r, '\t') || reader_at(r, '\n') || reader_at(r, '\r'))
        r->pos++;
}

static bool reader_take(struct json_reader *r, char c)
{
    if (!reader_at(r, c))
        return false;
    r->pos++;
    return true;
}

static bool reader_take_word(struct json_reader *r, const char *word)
{
    size_t n = strlen(word);

    if (n > r->len - r->pos || memcmp(r->text + r->pos, word, n) != 0)
        return false;
    r->pos += n;
    return true;
}

static bool reader_at_digit(const struct json_reader *r)
{
    return r->pos < r->len && r->text[r->pos] >= '0' && r->text[r->pos] <= '9';
}

static bool reader_skip_digits(struct json_reader *r)
{
    bool any = false;

    for (; reader_at_digit(r); r->pos++)
        any = true;
    return any;
}

int json_reader_peek(struct json_reader *r, enum json_kind *ret, mvm_error **err)
{
    reader_skip_blanks(r);
    if (r->pos >= r->len)
        return reader_fail(r, err, "the text ends where a value must be");
    switch (r->text[r->pos]) {
    case '{':
        *ret = JSON_KIND_OBJECT;
        return 0;
    case '[':
        *ret = JSON_KIND_ARRAY;
        return 0;
    case '"':
        *ret = JSON_KIND_STRING;
        return 0;
    case 't':
    case 'f':
        *ret = JSON_KIND_BOOL;
        return 0;
    case 'n':
        *ret = JSON_KIND_NULL;
        return 0;
    default:
        if (!reader_at(r, '-') && !reader_at_digit(r))
            return reader_fail(r, err, "no value starts like this");
        *ret = JSON_KIND_NUMBER;
        return 0;
    }
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

static int read_hex4(struct json_reader *r, uint32_t *ret, mvm_error **err)
{
    uint32_t value = 0;

    for (int i = 0; i < 4; i++, r->pos++) {
        int digit = r->pos < r->len ? hex_value(r->text[r->pos]) : -1;

        if (digit < 0)
            return reader_fail(r, err, "\\u needs four hexadecimal digits");
        value = value << 4 | (uint32_t) digit;
    }
    *ret = value;
    return 0;
}

static void add_utf8(struct strbuf *out, uint32_t c)
{
    if (c < 0x80) {
        strbuf_addc(out, (char) c);
        return;
    }
    if (c < 0x800) {
        strbuf_addc(out, (char) (0xc0 | c >> 6));
    } else {
        if (c < 0x10000) {
            strbuf_addc(out, (char) (0xe0 | c >> 12));
        } else {
            strbuf_addc(out, (char) (0xf0 | c >> 18));
            strbuf_addc(out, (char) (0x80 | (c >> 12 & 0x3f)));
        }
        strbuf_addc(out, (char) (0x80 | (c >> 6 & 0x3f)));
    }
    strbuf_addc(out, (char) (0x80 | (c & 0x3f)));
}

/* Behind "\u". Code points above U+FFFF are written as two surrogates (RFC 8259, section 7). */
static int read_unicode_escape(struct json_reader *r, struct strbuf *out, mvm_error **err)
{
    uint32_t c, low;
    int rc;

    rc = read_hex4(r, &c, err);
    if (rc < 0)
        return rc;
    if (c == 0)
        return reader_fail(r, err, "a string must not hold a NUL");
    if (c >= 0xdc00 && c <= 0xdfff)
        return reader_fail(r, err, "low surrogate without a high one");
    if (c >= 0xd800 && c <= 0xdbff) {
        if (!reader_take_word(r, "\\u"))
            return reader_fail(r, err, "high surrogate without a low one");
        rc = read_hex4(r, &low, err);
        if (rc < 0)
            return rc;
        if (low < 0xdc00 || low > 0xdfff)
            return reader_fail(r, err, "high surrogate without a low one");
        c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
    }
    add_utf8(out, c);
    return 0;
}

static int read_escape(struct json_reader *r, struct strbuf *out, mvm_error **err)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    const char *at = r->pos < r->len ? memchr(from, r->text[r->pos], sizeof(from) - 1) : NULL;

    if (reader_take(r, 'u'))
        return read_unicode_escape(r, out, err);
    if (!at)
        return reader_fail(r, err, "unknown escape");
    strbuf_addc(out, to[at - from]);
    r->pos++;
    return 0;
}

/* The run of plain bytes up to the next quote, escape or control character. */
static int read_plain(struct json_reader *r, struct strbuf *out, mvm_error **err)
{
    size_t start = r->pos;

    while (r->pos < r->len && (unsigned char) r->text[r->pos] >= 0x20 && r->text[r->pos] != '"' &&
           r->text[r->pos] != '\\')
        r->pos++;
    if (!scan_is_utf8(r->text + start, r->pos - start))
        return reader_fail(r, err, "the string is not UTF-8");
    strbuf_add(out, r->text + start, r->pos - start);
    return 0;
}

int json_reader_string(struct json_reader *r, char **ret, mvm_error **err)
{
    mvm_autovalue(strbuf) out = STRBUF_INIT(r->len); /* no escape is shorter than what it means */
    char *text;
    int rc;

    reader_skip_blanks(r);
    if (!reader_take(r, '"'))
        return reader_fail(r, err, "a string is wanted");
    while (!reader_at(r, '"')) {
        if (r->pos >= r->len)
            return reader_fail(r, err, "the text ends inside a string");
        if ((unsigned char) r->text[r->pos] < 0x20)
            return reader_fail(r, err, "control character inside a string");
        rc = reader_take(r, '\\') ? read_escape(r, &out, err) : read_plain(r, &out, err);
        if (rc < 0)
            return rc;
    }
    r->pos++;
    text = strbuf_take(&out);
    if (!text)
        return mvm_fail_nomem(err);
    *ret = text;
    return 0;
}

int json_reader_enter(struct json_reader *r, enum json_kind container, mvm_error **err)
{
    bool object = container == JSON_KIND_OBJECT;

    reader_skip_blanks(r);
    if (!reader_take(r, object ? '{' : '['))
        return reader_fail(r, err, object ? "an object is wanted" : "an array is wanted");
    if (r->depth == JSON_READER_DEPTH_MAX)
        return mvm_fail(err, MVM_E_LIMIT, 0, "byte %zu: nested deeper than %d", r->pos,
                        JSON_READER_DEPTH_MAX);
    r->depth++;
    r->first = true;
    return 0;
}

/* Before a member or an element: 0 when the container ended, 1 when something comes. */
static int reader_next(struct json_reader *r, char close, mvm_error **err)
{
    bool first = r->first;

    reader_skip_blanks(r);
    r->first = false; /* also for the container around this one, which has had this one as member */
    if (reader_take(r, close)) {
        r->depth--;
        return 0;
    }
    if (!first && !reader_take(r, ','))
        return reader_fail(r, err, "a comma or the container's end is wanted");
    return 1;
}

int json_reader_next_member(struct json_reader *r, char **ret_key, mvm_error **err)
{
    mvm_autofree char *key = NULL;
    int rc;

    rc = reader_next(r, '}', err);
    if (rc <= 0)
        return rc;
    rc = json_reader_string(r, &key, err);
    if (rc < 0)
        return rc;
    reader_skip_blanks(r);
    if (!reader_take(r, ':'))
        return reader_fail(r, err, "a colon is wanted");
    *ret_key = steal_ptr(&key);
    return 1;
}

int json_reader_next_element(struct json_reader *r, mvm_error **err)
{
    return reader_next(r, ']', err);
}

static int skip_number(struct json_reader *r, mvm_error **err)
{
    (void) reader_take(r, '-'); /* optional */
    if (!reader_take(r, '0') && !reader_skip_digits(r))
        return reader_fail(r, err, "a digit is wanted");
    if (reader_take(r, '.') && !reader_skip_digits(r))
        return reader_fail(r, err, "a digit is wanted");
    if (reader_take(r, 'e') || reader_take(r, 'E')) {
        if (!reader_take(r, '+'))
            (void) reader_take(r, '-'); /* either sign is optional */
        if (!reader_skip_digits(r))
            return reader_fail(r, err, "a digit is wanted");
    }
    return 0;
}

static int skip_container(struct json_reader *r, enum json_kind kind, mvm_error **err)
{
    int rc;

    rc = json_reader_enter(r, kind, err);
    while (rc >= 0) {
        mvm_autofree char *key = NULL;

        rc = kind == JSON_KIND_OBJECT ? json_reader_next_member(r, &key, err)
                                      : json_reader_next_element(r, err);
        if (rc == 0)
            return 0;
        if (rc > 0)
            rc = json_reader_skip(r, err); /* recursion is bounded by JSON_READER_DEPTH_MAX */
    }
    return rc;
}

int json_reader_skip(struct json_reader *r, mvm_error **err)
{
    mvm_autofree char *text = NULL;
    enum json_kind kind;
    int rc;

    rc = json_reader_peek(r, &kind, err);
    if (rc < 0)
        return rc;
    switch (kind) {
    case JSON_KIND_OBJECT:
    case JSON_KIND_ARRAY:
        return skip_container(r, kind, err);
    case JSON_KIND_STRING:
        return json_reader_string(r, &text, err);
    case JSON_KIND_NUMBER:
        return skip_number(r, err);
    case JSON_KIND_BOOL:
    case JSON_KIND_NULL:
        break;
    }
    if (reader_take_word(r, "true") || reader_take_word(r, "false") || reader_take_word(r, "null"))
        return 0;
    return reader_fail(r, err, "no value starts like this");
}

int json_reader_end(struct json_reader *r, mvm_error **err)
{
    reader_skip_blanks(r);
    if (r->pos < r->len)
        return reader_fail(r, err, "something follows the document");
    return 0;
}
