/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/decompress.h"

#include "base/libarchive.h"
#include "base/strbuf.h"

/* One step of output. */
#define DECOMPRESS_CHUNK 65536

static inline void autoarchive_run(struct archive **a)
{
    if (*a)
        (void) libarchive()->read_free(*a);
}
#define autoarchive __attribute__((cleanup(autoarchive_run)))

static int archive_failed(struct archive *a, mvm_error **err)
{
    const char *text = libarchive()->error_string(a);

    return mvm_fail(err, MVM_E_FORMAT, 0, "decompress: %s", text ? text : "damaged data");
}

/* Each kind by name: support_filter_all() would also start helper programs such as lzop for what
 * libarchive was built without, with bytes from outside. Debian's has no LZO. */
static int open_stream(struct archive *a, const void *data, size_t len, mvm_error **err)
{
    struct archive_entry *entry;

    if (libarchive()->read_support_filter_gzip(a) != ARCHIVE_OK ||
        libarchive()->read_support_filter_bzip2(a) != ARCHIVE_OK ||
        libarchive()->read_support_filter_lz4(a) != ARCHIVE_OK ||
        libarchive()->read_support_filter_lzma(a) != ARCHIVE_OK ||
        libarchive()->read_support_filter_xz(a) != ARCHIVE_OK ||
        libarchive()->read_support_filter_zstd(a) != ARCHIVE_OK ||
        libarchive()->read_support_format_raw(a) != ARCHIVE_OK)
        return mvm_fail(err, MVM_E_UNSUPPORTED, 0, "libarchive lacks a kind of compression");
    if (libarchive()->read_open_memory(a, data, len) != ARCHIVE_OK ||
        libarchive()->read_next_header(a, &entry) != ARCHIVE_OK)
        return archive_failed(a, err);
    /* The raw format takes anything: data of no known compression would come back as it is. */
    if (libarchive()->filter_code(a, 0) == ARCHIVE_FILTER_NONE)
        return mvm_fail(err, MVM_E_UNSUPPORTED, 0, "decompress: unknown kind of compression");
    return 0;
}

static int read_stream(struct archive *a, struct strbuf *out, mvm_error **err)
{
    mvm_autofree char *chunk = malloc(DECOMPRESS_CHUNK);
    la_ssize_t n = 1;

    if (!chunk)
        return mvm_fail_nomem(err);
    while (n > 0 && out->failed == 0) {
        n = libarchive()->read_data(a, chunk, DECOMPRESS_CHUNK);
        if (n < 0)
            return archive_failed(a, err);
        strbuf_add(out, chunk, (size_t) n);
    }
    return strbuf_check(out, "decompressed data", err);
}

int decompress_memory(const void *data, size_t len, size_t max, char **ret_data, size_t *ret_len,
                      mvm_error **err)
{
    autoarchive struct archive *a = NULL;
    mvm_autovalue(strbuf) out = STRBUF_INIT(max);
    int r = libarchive_load(err);

    if (r < 0)
        return r;
    a = libarchive()->read_new();
    if (!a)
        return mvm_fail_nomem(err);
    r = open_stream(a, data, len, err);
    if (r == 0)
        r = read_stream(a, &out, err);
    if (r < 0)
        return r;
    if (out.len == 0)
        return mvm_fail(err, MVM_E_FORMAT, 0, "decompress: no data");
    *ret_len = out.len;
    *ret_data = strbuf_take(&out);
    return 0;
}
