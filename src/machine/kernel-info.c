/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/kernel-info.h"

#include "base/digest.h"
#include "base/file.h"
#include "machine/kernel-internal.h"

#include <fcntl.h>
#include <sys/stat.h>

#define CHUNK 65536

int kernel_info_new(json_t **ret, const char *release, const char *source, mvm_error **err)
{
    mvm_autojson json_t *info = json_object();
    int r;

    if (!info || json_object_set_new(info, KERNEL_INFO_FORMAT, json_integer(KERNEL_FORMAT)) < 0)
        return mvm_fail_nomem(err);
    r = kernel_info_set(info, "release", release, err);
    if (r == 0)
        r = kernel_info_set(info, "source", source, err);
    if (r == 0)
        *ret = steal_ptr(&info);
    return r;
}

int kernel_info_set(json_t *info, const char *key, const char *value, mvm_error **err)
{
    return json_object_set_new(info, key, json_string(value)) < 0 ? mvm_fail_nomem(err) : 0;
}

int kernel_info_add_file(json_t *info, int out_fd, const char *name, const char *key,
                         const void *data, size_t len, mvm_error **err)
{
    mvm_autofree char *size_key = NULL;
    mvm_autofree char *digest_key = NULL;
    struct digest_text text;
    struct digest digest;
    int r = digest_of(DIGEST_SHA256, data, len, &digest, err);

    if (r == 0)
        r = file_write(out_fd, name, data, len, 0644, err);
    if (r < 0)
        return r;
    text = digest_format(&digest);
    if (asprintf(&size_key, "%s_size", key) < 0 || asprintf(&digest_key, "%s_digest", key) < 0 ||
        json_object_set_new(info, size_key, json_integer((json_int_t) len)) < 0 ||
        json_object_set_new(info, digest_key, json_string(text.text)) < 0)
        return mvm_fail_nomem(err);
    return 0;
}

int kernel_info_write(const json_t *info, int out_fd, mvm_error **err)
{
    mvm_autofree char *text = json_dumps(info, JSON_INDENT(2));

    if (!text)
        return mvm_fail_nomem(err);
    return file_write(out_fd, KERNEL_INFO, text, strlen(text), 0644, err);
}

int kernel_info_read(int dir_fd, json_t **ret, mvm_error **err)
{
    mvm_autofree char *text = NULL;
    size_t len;
    int r = file_read(dir_fd, KERNEL_INFO, KERNEL_INFO_MAX, &text, &len, err);

    return r < 0 ? r : json_parse(text, len, KERNEL_INFO, ret, err);
}

bool kernel_info_has_file(const json_t *info, int dir_fd, const char *name, const char *key)
{
    mvm_autofree char *size_key = NULL;
    uint64_t size = 0;
    struct stat st;

    return asprintf(&size_key, "%s_size", key) >= 0 &&
           json_get_u64(info, size_key, INT64_MAX, &size, NULL) == 0 && size > 0 &&
           fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
           (uint64_t) st.st_size == size;
}

static int file_digest(const char *path, struct digest *ret, mvm_error **err)
{
    mvm_auto(digest_stream) stream = NULL;
    mvm_autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
    mvm_autofree char *chunk = malloc(CHUNK);
    ssize_t n = 1;
    int r;

    if (!chunk)
        return mvm_fail_nomem(err);
    if (fd < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "open '%s'", path);
    r = digest_stream_new(DIGEST_SHA256, &stream, err);
    while (r == 0 && n > 0) {
        n = read(fd, chunk, CHUNK);
        if (n < 0 && errno == EINTR)
            n = 1;
        else if (n < 0)
            r = mvm_fail(err, MVM_E_SYS, errno, "read '%s'", path);
        else
            digest_stream_update(stream, chunk, (size_t) n);
    }
    return r < 0 ? r : digest_stream_finish(stream, ret, err);
}

int kernel_info_check_digest(const json_t *info, const char *key, const char *path, mvm_error **err)
{
    mvm_autofree char *digest_key = NULL;
    const char *text = NULL;
    struct digest wanted, found;
    int r;

    if (asprintf(&digest_key, "%s_digest", key) < 0)
        return mvm_fail_nomem(err);
    r = json_need_str(info, digest_key, &text, err);
    if (r == 0)
        r = digest_parse(text, &wanted, err);
    if (r == 0)
        r = file_digest(path, &found, err);
    if (r == 0 && !digest_equal(&wanted, &found))
        r = mvm_fail(err, MVM_E_DIGEST, 0, "'%s' differs from its digest", path);
    return r;
}
