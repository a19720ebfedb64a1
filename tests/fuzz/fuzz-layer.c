/* SPDX-License-Identifier: Apache-2.0 */
/* Layers: decompression, tar and unpacking. The tree is a fresh folder whose neighbour, a canary,
 * must survive whatever the layer says. Limits are low, so that no input takes long. */
#include "base/path.h"
#include "image/layer-unpack.h"

#include <assert.h>
#include <fcntl.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct fuzz_reader {
    struct blob_reader base;
    const uint8_t *data;
    size_t len, at;
};

static ssize_t fuzz_read(struct blob_reader *base, void *out, size_t len, mvm_error **err)
{
    struct fuzz_reader *r = (struct fuzz_reader *) base;
    size_t n = r->len - r->at < len ? r->len - r->at : len;

    (void) err;
    if (n > 0)
        memcpy(out, r->data + r->at, n);
    r->at += n;
    return (ssize_t) n;
}

static void fuzz_free(struct blob_reader *base)
{
    (void) base;
}

/* The digests are not what is tested: the blob's is right, so that the end is reached. */
static void unpack(int root, const uint8_t *data, size_t size)
{
    const struct unpack_limits limits = {
        .entries = 200, .file_bytes = 1u << 20, .depth = 16, .xattr_bytes = 4096
    };
    struct fuzz_reader reader = { .base = { .read = fuzz_read, .free = fuzz_free },
                                  .data = data,
                                  .len = size };
    struct oci_descriptor blob = { .size = size };
    struct image_budget budget = { .limits = { .plain_bytes = 4u << 20 } };
    const struct digest diff_id = { 0 };
    const struct layer_expect expect = { .blob = &blob, .diff_id = &diff_id, .budget = &budget };
    mvm_auto(rootfs_unpack) u = NULL;
    mvm_auto(layer_stream) s = NULL;
    int r = digest_of(DIGEST_SHA256, data, size, &blob.digest, NULL);

    if (r == 0)
        r = layer_stream_new(&reader.base, &expect, &s, NULL);
    if (r == 0)
        r = rootfs_unpack_new(root, &limits, NULL, &u, NULL);
    if (r < 0)
        return;
    (void) rootfs_unpack_layer(u, s, NULL, NULL);
    (void) rootfs_unpack_finish(u, NULL, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[] = "/tmp/fuzz-layer-XXXXXX";
    mvm_autoclose int tmp = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    mvm_autoclose int base = -EBADF, root = -EBADF;
    struct stat st;

    assert(mkdtemp(path));
    base = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert(base >= 0 && mkdirat(base, "canary", 0700) == 0 && mkdirat(base, "root", 0700) == 0);
    root = openat(base, "root", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert(root >= 0);
    unpack(root, data, size);
    assert(fstatat(base, "canary", &st, 0) == 0 && (st.st_mode & 07777) == 0700 &&
           st.st_nlink == 2);
    assert(path_remove_tree(base, "root", NULL) == 0);
    assert(unlinkat(base, "canary", AT_REMOVEDIR) == 0);
    assert(unlinkat(tmp, path + 5, AT_REMOVEDIR) == 0);
    return 0;
}
