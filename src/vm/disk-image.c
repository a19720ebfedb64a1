/* SPDX-License-Identifier: Apache-2.0 */
#include "image/disk-image.h"

#include <assert.h>
#include <ctype.h>
#include <microvm/disk-image.h>
#include <stddef.h>

static_assert(sizeof(mvm_disk_image_options) == 16 + 5 * sizeof(void *),
              "mvm_disk_image_options has a hole");

static int progress_forward(void *user, const struct image_progress *p)
{
    const mvm_disk_image_options *o = user;
    const mvm_progress public = { .struct_size = sizeof(public),
                                  .phase = (uint32_t) p->phase,
                                  .done = p->done,
                                  .total = p->total,
                                  .name = p->name };

    return o->progress(o->progress_user, &public);
}

static void log_forward(void *user, enum log_level level, const char *module, const char *message)
{
    const mvm_disk_image_options *o = user;

    o->log(o->log_user, (int) level, module, message);
}

/* The kernel's rule for openat2(2): what a newer caller sets, and we do not know, is refused. */
static int options_copy(const mvm_disk_image_options *from, mvm_disk_image_options *ret,
                        mvm_error **err)
{
    const unsigned char *bytes = (const unsigned char *) from;
    mvm_disk_image_options made = { 0 };
    size_t n = from->struct_size < sizeof(made) ? from->struct_size : sizeof(made);

    if (n < offsetof(mvm_disk_image_options, sha256))
        return mvm_fail(err, MVM_E_ARG, 0, "mvm_disk_image_fetch: options without their size");
    memcpy(&made, from, n);
    for (size_t i = sizeof(made); i < from->struct_size; i++)
        made.reserved |= bytes[i];
    if (made.reserved != 0)
        return mvm_fail(err, MVM_E_UNSUPPORTED, 0,
                        "mvm_disk_image_fetch: an option that this release does not know");
    *ret = made;
    return 0;
}

static int digest_take(const char *hex, struct digest *ret, mvm_error **err)
{
    char text[DIGEST_TEXT_MAX + 1] = "sha256:";
    size_t len = strlen(hex), at = strlen(text);

    if (len != 64)
        return mvm_fail(err, MVM_E_ARG, 0, "sha256 '%.100s': 64 hex digits are wanted", hex);
    for (size_t i = 0; i < len; i++)
        text[at + i] = (char) tolower((unsigned char) hex[i]);
    return digest_parse(text, ret, NULL) < 0
               ? mvm_fail(err, MVM_E_ARG, 0, "sha256 '%s': 64 hex digits are wanted", hex)
               : 0;
}

int mvm_disk_image_fetch(const char *url, const char *dir, const mvm_disk_image_options *options,
                         char **ret_path, mvm_error **err)
{
    mvm_disk_image_options o = { 0 };
    struct digest sha256;
    struct log log = { .user = &o, .level = LOG_LEVEL_WARNING };
    struct disk_fetch fetch = { .url = url, .dir = dir, .log = &log };
    int r = 0;

    if (!url || !dir || dir[0] != '/' || !ret_path)
        return mvm_fail(err, MVM_E_ARG, 0,
                        "mvm_disk_image_fetch: a URL, an absolute folder and a result are wanted");
    if (options)
        r = options_copy(options, &o, err);
    if (r == 0 && o.sha256) {
        r = digest_take(o.sha256, &sha256, err);
        fetch.sha256 = &sha256;
    }
    if (r < 0)
        return r;
    log.sink = o.log ? log_forward : NULL;
    fetch.max_bytes = o.max_bytes ? o.max_bytes : DISK_MAX_DEFAULT;
    fetch.progress = o.progress ? progress_forward : NULL;
    fetch.progress_user = &o;
    return disk_image_fetch(&fetch, ret_path, err);
}
