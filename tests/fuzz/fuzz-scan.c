/* SPDX-License-Identifier: Apache-2.0 */
/* Short texts from users, files and peers: numbers, sizes, time spans, UTF-8, digests, and what the
 * log makes of them. */
#include "base/digest.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/scan.h"

#include <inttypes.h>

/* What an output holds before a call that must not touch it. */
#define UNTOUCHED 0x5555555555555555ULL

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

/* A number that was taken is, written again, the text without its leading zeros. */
static void check_number(const char *text, size_t len)
{
    uint64_t value = UNTOUCHED;
    char again[32];

    if (!scan_u64(text, len, UINT64_MAX, &value)) {
        check(value == UNTOUCHED);
        return;
    }
    (void) snprintf(again, sizeof(again), "%" PRIu64, value);
    while (len > 1 && text[0] == '0') {
        text++;
        len--;
    }
    check(strlen(again) == len && memcmp(again, text, len) == 0);
}

static void check_units(const char *text, size_t len)
{
    uint64_t bytes = UNTOUCHED, mebibytes = UNTOUCHED, ms = UNTOUCHED;

    if (!scan_size(text, len, 1, &bytes))
        check(bytes == UNTOUCHED);
    if (scan_size(text, len, 1 << 20, &mebibytes))
        check(mebibytes == bytes || mebibytes >> 20 == bytes);
    else
        check(mebibytes == UNTOUCHED);
    if (!scan_duration_ms(text, len, &ms))
        check(ms == UNTOUCHED);
}

/* Whatever comes in, what goes out is UTF-8 without control characters, and stays as it is. */
static void check_escape(const char *text, size_t size)
{
    mvm_autofree char *once = malloc(size);
    mvm_autofree char *twice = malloc(size);
    size_t len;

    if (!once || !twice)
        return;
    log_escape(text, once, size);
    len = strlen(once);
    check(len < size && scan_is_utf8(once, len));
    for (size_t i = 0; i < len; i++)
        check((unsigned char) once[i] >= 0x20 && once[i] != 0x7f);
    log_escape(once, twice, size);
    check(strcmp(once, twice) == 0);
}

static void check_digest(const char *text)
{
    mvm_autoerror mvm_error *e = NULL;
    struct digest d;

    if (digest_parse(text, &d, &e) == 0) {
        struct digest_text again = digest_format(&d);

        check(strcmp(again.text, text) == 0);
    } else {
        check(mvm_error_message(e)[0] != '\0');
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    mvm_autofree char *exact = mem_array(size, 1); /* the sanitizer watches its end */
    mvm_autofree char *ended = mem_array(size + 1, 1);

    if (!exact || !ended)
        return 0;
    if (size > 0) {
        memcpy(exact, data, size);
        memcpy(ended, data, size);
    }
    check_number(exact, size);
    check_units(exact, size);
    if (scan_is_utf8(exact, size))
        check(strlen(ended) == size);
    check_escape(ended, 4 * size + 1);
    check_escape(ended, size / 2 + 1);
    check_digest(ended);
    return 0;
}
