/* SPDX-License-Identifier: Apache-2.0 */
#include "rootfs/override.h"

#include "base/mem.h"
#include "base/scan.h"

#include <assert.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

/* Device numbers that Linux has: 12 and 20 bits. */
#define DEVICE_MAJOR_MAX 0xfffu
#define DEVICE_MINOR_MAX 0xfffffu
#define OVERRIDE_FIELDS_MAX 4

static bool is_device(mode_t mode)
{
    return S_ISCHR(mode) || S_ISBLK(mode);
}

size_t override_stat_encode(const struct override_stat *o, char out[OVERRIDE_STAT_MAX])
{
    int n = snprintf(out, OVERRIDE_STAT_MAX, "%u:%u:0%o", o->uid, o->gid, o->mode);

    if (is_device(o->mode))
        n += snprintf(out + n, OVERRIDE_STAT_MAX - (size_t) n, ":%s-%u-%u",
                      S_ISCHR(o->mode) ? "char" : "block", major(o->device), minor(o->device));
    assert(n > 0 && n < OVERRIDE_STAT_MAX);
    return (size_t) n;
}

struct field {
    const char *text;
    size_t len;
};

/* Splits at @separator; gives how many there are, at most @max + 1. */
static size_t split(const char *text, size_t len, char separator, struct field *ret, size_t max)
{
    size_t n = 0;

    for (;;) {
        const char *end = memchr(text, separator, len);
        size_t used = end ? (size_t) (end - text) : len;

        if (n == max)
            return n + 1;
        ret[n++] = (struct field){ text, used };
        if (!end)
            return n;
        text += used + 1;
        len -= used + 1;
    }
}

/* An id that is none: 2^32 - 1 (image.md I-197). */
static bool parse_id(const struct field *f, uint32_t *ret)
{
    uint64_t id;

    if (!scan_u64(f->text, f->len, UINT32_MAX - 1, &id))
        return false;
    *ret = (uint32_t) id;
    return true;
}

static bool parse_mode(const struct field *f, mode_t *ret)
{
    mode_t mode = 0;

    /* "0" and at most the six digits of 0177777. */
    if (f->len < 1 || f->len > 7 || f->text[0] != '0')
        return false;
    for (size_t i = 1; i < f->len; i++) {
        if (f->text[i] < '0' || f->text[i] > '7')
            return false;
        mode = mode * 8 + (mode_t) (f->text[i] - '0');
    }
    switch (mode & S_IFMT) {
    case 0:
    case S_IFREG:
    case S_IFDIR:
    case S_IFLNK:
    case S_IFIFO:
    case S_IFSOCK:
    case S_IFCHR:
    case S_IFBLK:
        *ret = mode;
        return (mode & ~(mode_t) (S_IFMT | 07777)) == 0;
    default:
        return false;
    }
}

static bool parse_device(const struct field *f, mode_t mode, dev_t *ret)
{
    const char *want = S_ISCHR(mode) ? "char" : "block";
    struct field parts[3];
    uint64_t major_number, minor_number;

    if (split(f->text, f->len, '-', parts, 3) != 3 || parts[0].len != strlen(want) ||
        memcmp(parts[0].text, want, parts[0].len) != 0 ||
        !scan_u64(parts[1].text, parts[1].len, DEVICE_MAJOR_MAX, &major_number) ||
        !scan_u64(parts[2].text, parts[2].len, DEVICE_MINOR_MAX, &minor_number))
        return false;
    *ret = makedev((unsigned) major_number, (unsigned) minor_number);
    return true;
}

int override_stat_decode(const char *text, size_t len, struct override_stat *ret, mvm_error **err)
{
    struct field f[OVERRIDE_FIELDS_MAX];
    struct override_stat o = { 0 };
    size_t n = split(text, len, ':', f, OVERRIDE_FIELDS_MAX);

    if (n < 3 || n > OVERRIDE_FIELDS_MAX || !parse_id(&f[0], &o.uid) || !parse_id(&f[1], &o.gid) ||
        !parse_mode(&f[2], &o.mode) || (n == 4) != is_device(o.mode) ||
        (n == 4 && !parse_device(&f[3], o.mode, &o.device)))
        return mvm_fail(err, MVM_E_FORMAT, 0, "%s is not 'UID:GID:0MODE'", OVERRIDE_STAT);
    *ret = o;
    return 0;
}
