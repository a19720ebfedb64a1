/* SPDX-License-Identifier: Apache-2.0 */
#include "base/base64.h"

#include "base/mem.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* Without the padding, which only a whole number of groups may have. */
static size_t unpadded(const char *text, size_t len)
{
    unsigned pad = 0;

    while (len > 0 && len % 4 == 0 && pad < 2 && text[len - 1 - pad] == '=')
        pad++;
    return len - pad;
}

bool base64_decode(const char *text, size_t len, char **ret, size_t *ret_len)
{
    mvm_autofree char *out = NULL;
    size_t n = 0, end = unpadded(text, len);
    unsigned bits = 0, held = 0;

    out = end % 4 == 1 ? NULL : mem_array(end / 4 * 3 + 3, 1);
    if (!out)
        return false;
    for (size_t i = 0; i < end; i++) {
        const char *at = text[i] ? strchr(alphabet, text[i]) : NULL;

        if (!at)
            return false;
        bits = bits << 6 | (unsigned) (at - alphabet);
        held += 6;
        if (held >= 8) {
            held -= 8;
            out[n++] = (char) (bits >> held);
        }
    }
    *ret = steal_ptr(&out);
    *ret_len = n;
    return true;
}

char *base64_encode(const char *data, size_t len)
{
    char *out = mem_array(len / 3 + 2, 4);
    size_t n = 0;

    for (size_t i = 0; out && i < len; i += 3) {
        unsigned left = len - i < 3 ? (unsigned) (len - i) : 3;
        unsigned bits = 0;

        for (unsigned k = 0; k < 3; k++)
            bits = bits << 8 | (k < left ? (unsigned char) data[i + k] : 0);
        for (unsigned k = 0; k < 4; k++)
            out[n++] = k <= left ? alphabet[bits >> (18 - 6 * k) & 63] : '=';
    }
    return out;
}
