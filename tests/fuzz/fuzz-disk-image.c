/* SPDX-License-Identifier: Apache-2.0 */
/* Disk images: names of URLs, the Content-Range header, and compressed content, whose inflated
 * bytes must be the same in one piece and byte by byte. The first byte chooses. */
#include "base/path.h"
#include "image/disk-download.h"
#include "image/disk-image.h"
#include "image/disk-inflate.h"

#include <assert.h>
#include <sys/mman.h>
#include <sys/stat.h>

/* Low, so that no input takes long. */
#define OUTPUT_MAX (1u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct pieces {
    const uint8_t *data;
    size_t len, at, piece;
};

static ssize_t pieces_read(void *user, void *out, size_t len, mvm_error **err)
{
    struct pieces *p = user;
    size_t n = p->len - p->at;

    (void) err;
    n = n < len ? n : len;
    n = n < p->piece ? n : p->piece;
    memcpy(out, p->data + p->at, n);
    p->at += n;
    return (ssize_t) n;
}

static int inflate_into(const uint8_t *data, size_t len, size_t piece, int *ret_fd)
{
    struct pieces p = { .data = data, .len = len, .piece = piece };
    const struct disk_input input = { .read = pieces_read, .user = &p };
    struct disk_output out = { .fd = memfd_create("disk", MFD_CLOEXEC), .max = OUTPUT_MAX };
    int r = disk_inflate(disk_detect(data, len), &input, &out, NULL);
    struct stat st;

    assert(out.fd >= 0 && fstat(out.fd, &st) == 0 && out.size <= OUTPUT_MAX);
    if (r == 0)
        assert((uint64_t) st.st_size == out.size);
    *ret_fd = out.fd;
    return r;
}

static void check_inflate(const uint8_t *data, size_t len)
{
    mvm_autoclose int whole = -EBADF, bytes = -EBADF;
    mvm_autofree char *a = malloc(OUTPUT_MAX), *b = malloc(OUTPUT_MAX);
    int r, s;

    assert(a && b);
    if (disk_detect(data, len) == DISK_PLAIN)
        return;
    r = inflate_into(data, len, SIZE_MAX, &whole);
    s = inflate_into(data, len, 1, &bytes);
    assert((r == 0) == (s == 0));
    if (r < 0)
        return;
    ssize_t n = pread(whole, a, OUTPUT_MAX, 0);

    assert(n >= 0 && pread(bytes, b, OUTPUT_MAX, 0) == n && memcmp(a, b, (size_t) n) == 0);
}

static void check_name(const char *url)
{
    mvm_autofree char *name = NULL;

    if (disk_image_name(url, &name, NULL) == 0)
        assert(path_is_component(name) && name[16] == '-' && strlen(name) <= 17 + DISK_BASE_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    mvm_autofree char *text = size > 0 ? malloc(size) : NULL;
    uint64_t from = 0, total = 0;
    bool has_total = false;

    if (!text)
        return 0;
    memcpy(text, data + 1, size - 1);
    text[size - 1] = '\0';
    if (data[0] == 'u')
        check_name(text);
    else if (data[0] == 'r')
        (void) (disk_parse_range(text, &from, &has_total, &total) &&
                (assert(from <= INT64_MAX), 1));
    else
        check_inflate(data + 1, size - 1);
    return 0;
}
