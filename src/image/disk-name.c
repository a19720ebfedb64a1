/* SPDX-License-Identifier: Apache-2.0 */
#include "image/disk-image.h"

#include "base/strbuf.h"

/* Enough of the hash that no two URLs of one user meet. */
#define HASH_DIGITS 16

/* The last component of the path, of which *ret_len bytes are usable. */
static const char *base_name(const char *url, size_t *ret_len)
{
    static const char *const suffixes[] = { ".gz", ".bz2", ".xz", ".zst" };
    const char *host = strstr(url, "://");
    const char *path = host ? host + 3 + strcspn(host + 3, "/?#") : "";
    const char *base = path;
    size_t end = strcspn(path, "?#"), len;

    for (size_t i = 0; i < end; i++)
        if (path[i] == '/')
            base = path + i + 1;
    len = (size_t) (path + end - base);
    for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++) {
        size_t n = strlen(suffixes[i]);

        if (len > n && strncmp(base + len - n, suffixes[i], n) == 0) {
            len -= n;
            break;
        }
    }
    *ret_len = len;
    return base;
}

int disk_image_name(const char *url, char **ret, mvm_error **err)
{
    mvm_autovalue(strbuf) name = STRBUF_INIT(HASH_DIGITS + 1 + DISK_BASE_MAX);
    struct digest digest;
    struct digest_text text;
    size_t len = 0;
    const char *base = base_name(url, &len);
    int r = digest_of(DIGEST_SHA256, url, strcspn(url, "#"), &digest, err);

    if (r < 0)
        return r;
    if (len == 0 || strspn(base, ".") >= len)
        return mvm_fail(err, MVM_E_ARG, 0, "no file name can be derived from the URL");
    if (len > DISK_BASE_MAX) { /* its end tells what it is */
        base += len - DISK_BASE_MAX;
        len = DISK_BASE_MAX;
    }
    text = digest_format(&digest);
    strbuf_addf(&name, "%.*s-", HASH_DIGITS, digest_hex(&text));
    for (size_t i = 0; i < len; i++) {
        static const char good[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                   "0123456789._-";

        strbuf_addc(&name, strchr(good, base[i]) ? base[i] : '_');
    }
    *ret = strbuf_take(&name);
    return *ret ? 0 : mvm_fail_nomem(err);
}
