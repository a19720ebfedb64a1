/* SPDX-License-Identifier: Apache-2.0 */
#include "base/scan.h"

#include <string.h>

/* Largest whole number of any time unit: even as hours with a fraction it fits 64 bits of
 * milliseconds. */
#define SCAN_TIME_MAX (UINT64_MAX / 3600000 - 1)
/* Nanoseconds are the finest that anybody writes, and keep the product below 64 bits. */
#define SCAN_FRACTION_DIGITS 9

/* Digits at the start of the text; gives how many, 0 for none or an overflow above @max. */
static size_t scan_digits(const char *text, size_t len, uint64_t max, uint64_t *ret)
{
    uint64_t value = 0;
    size_t n = 0;

    for (; n < len && text[n] >= '0' && text[n] <= '9'; n++) {
        uint64_t digit = (uint64_t) (text[n] - '0');

        if (value > (UINT64_MAX - digit) / 10)
            return 0;
        value = value * 10 + digit;
    }
    if (value > max)
        return 0;
    *ret = value;
    return n;
}

bool scan_u64(const char *text, size_t len, uint64_t max, uint64_t *ret)
{
    uint64_t value = 0;

    if (len == 0 || scan_digits(text, len, max, &value) != len)
        return false;
    *ret = value;
    return true;
}

static bool scan_size_suffix(const char *text, size_t len, uint64_t *ret)
{
    static const char letters[] = "bkmgt";
    const char *at = strchr(letters, text[0] | 0x20);

    if (!at || *at == '\0')
        return false;
    *ret = 1ULL << (10 * (at - letters));
    if (len == 1)
        return true;
    if (at == letters)
        return false;
    if ((text[1] | 0x20) == 'b')
        return len == 2;
    return (text[1] | 0x20) == 'i' && (len == 2 || (len == 3 && (text[2] | 0x20) == 'b'));
}

bool scan_size(const char *text, size_t len, uint64_t unit, uint64_t *ret)
{
    uint64_t value = 0, scale = unit;
    size_t n = scan_digits(text, len, UINT64_MAX, &value);

    if (n == 0 || (n < len && !scan_size_suffix(text + n, len - n, &scale)))
        return false;
    if (__builtin_mul_overflow(value, scale, &value))
        return false;
    *ret = value;
    return true;
}

/* The unit at the start of the text in milliseconds; gives its length. */
static size_t scan_time_unit(const char *text, size_t len, uint64_t *ret)
{
    static const struct {
        const char *name;
        uint64_t ms;
    } units[] = { { "ms", 1 }, { "s", 1000 }, { "m", 60000 }, { "h", 3600000 } };

    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        size_t n = strlen(units[i].name);

        if (len >= n && memcmp(text, units[i].name, n) == 0) {
            *ret = units[i].ms;
            return n;
        }
    }
    return 0;
}

/* One "1.5s" at the start of the text; gives its length, 0 when there is none. Only a number that
 * stands alone may go without its unit: "1h30" could mean two things. */
static size_t scan_time_part(const char *text, size_t len, bool alone, uint64_t *ret)
{
    uint64_t whole = 0, fraction = 0, unit = 1000, scale = 1;
    size_t at = scan_digits(text, len, SCAN_TIME_MAX, &whole);

    if (at == 0)
        return 0;
    if (at < len && text[at] == '.') {
        size_t digits = scan_digits(text + at + 1, len - at - 1, UINT32_MAX, &fraction);

        if (digits == 0 || digits > SCAN_FRACTION_DIGITS)
            return 0;
        for (size_t i = 0; i < digits; i++)
            scale *= 10;
        at += 1 + digits;
    }
    if (at == len && !alone)
        return 0;
    if (at < len) {
        size_t n = scan_time_unit(text + at, len - at, &unit);

        if (n == 0)
            return 0;
        at += n;
    }
    *ret = whole * unit + fraction * unit / scale;
    return at;
}

bool scan_duration_ms(const char *text, size_t len, uint64_t *ret)
{
    uint64_t sum = 0;

    if (len == 0)
        return false;
    for (size_t at = 0; at < len;) {
        uint64_t part = 0;
        size_t n = scan_time_part(text + at, len - at, at == 0, &part);

        if (n == 0 || __builtin_add_overflow(sum, part, &sum))
            return false;
        at += n;
    }
    *ret = sum;
    return true;
}

bool scan_has_prefix(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* Length of the sequence that starts with @lead, 0 for a byte that starts none. */
static size_t utf8_length(unsigned char lead)
{
    if (lead < 0x80)
        return lead != 0;
    if (lead >= 0xc2 && lead <= 0xdf)
        return 2;
    if ((lead & 0xf0) == 0xe0)
        return 3;
    return lead >= 0xf0 && lead <= 0xf4 ? 4 : 0;
}

size_t scan_utf8_char(const char *text, size_t len)
{
    const unsigned char *s = (const unsigned char *) text;
    unsigned char low = 0x80, high = 0xbf;
    size_t n = len ? utf8_length(s[0]) : 0;

    if (n < 2)
        return n;
    /* The second byte rules out overlong forms, surrogates and what lies above U+10FFFF. */
    if (s[0] == 0xe0)
        low = 0xa0;
    else if (s[0] == 0xed)
        high = 0x9f;
    else if (s[0] == 0xf0)
        low = 0x90;
    else if (s[0] == 0xf4)
        high = 0x8f;
    if (len < n || s[1] < low || s[1] > high)
        return 0;
    for (size_t i = 2; i < n; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    return n;
}

bool scan_is_utf8(const char *text, size_t len)
{
    for (size_t at = 0; at < len;) {
        size_t n = scan_utf8_char(text + at, len - at);

        if (n == 0)
            return false;
        at += n;
    }
    return true;
}
