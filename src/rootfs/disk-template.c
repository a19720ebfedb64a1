/* SPDX-License-Identifier: Apache-2.0 */
#include "rootfs/disk-template.h"

#include "base/digest.h"
#include "base/le.h"

#include <fcntl.h>
#include <sys/stat.h>

#define MAGIC "MVMDISK1"
#define MAGIC_LEN 8
#define AT_SIZE 8
#define AT_PARTS 16
#define AT_DIGEST 24
#define DIGEST_LEN 32
#define HEADER_LEN (AT_DIGEST + DIGEST_LEN)
#define PART_LEN 16

struct part {
    uint64_t offset, len;
};

static int digest_of_rest(const char *data, size_t len, uint8_t ret[DIGEST_LEN], mvm_error **err)
{
    struct digest digest;
    int r = digest_of(DIGEST_SHA256, data + HEADER_LEN, len - HEADER_LEN, &digest, err);

    if (r == 0)
        memcpy(ret, digest.bytes, DIGEST_LEN);
    return r;
}

/* 1: *ret is the next part from @from on; 0: there is none. */
static int next_part(int fd, uint64_t from, struct part *ret, mvm_error **err)
{
    off_t data = lseek(fd, (off_t) from, SEEK_DATA), hole;

    if (data < 0 && errno == ENXIO) /* lseek(2): no more data */
        return 0;
    hole = data < 0 ? -1 : lseek(fd, data, SEEK_HOLE);
    if (hole < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "look for the holes of a disk");
    *ret = (struct part){ .offset = (uint64_t) data, .len = (uint64_t) (hole - data) };
    return 1;
}

static int find_parts(int fd, struct part *parts, size_t *ret_n, mvm_error **err)
{
    uint64_t at = 0, total = 0;
    size_t n = 0;
    struct part part;
    int r;

    while ((r = next_part(fd, at, &part, err)) > 0) {
        if (n == DISK_TEMPLATE_PARTS_MAX || part.len > DISK_TEMPLATE_MAX - total)
            return mvm_fail(err, MVM_E_LIMIT, 0, "an empty disk of more than %d parts or %u bytes",
                            DISK_TEMPLATE_PARTS_MAX, DISK_TEMPLATE_MAX);
        parts[n++] = part;
        total += part.len;
        at = part.offset + part.len;
    }
    *ret_n = n;
    return r;
}

static void add_header(struct strbuf *out, uint64_t size, const struct part *parts, size_t n)
{
    char header[HEADER_LEN] = MAGIC, entry[PART_LEN];

    le64_put(header + AT_SIZE, size);
    le32_put(header + AT_PARTS, (uint32_t) n);
    strbuf_add(out, header, sizeof(header));
    for (size_t i = 0; i < n; i++) {
        le64_put(entry, parts[i].offset);
        le64_put(entry + 8, parts[i].len);
        strbuf_add(out, entry, sizeof(entry));
    }
}

static int add_part(struct strbuf *out, int fd, const struct part *part, mvm_error **err)
{
    mvm_autofree char *data = malloc(part->len);
    uint64_t done = 0;

    if (!data)
        return mvm_fail_nomem(err);
    while (done < part->len) {
        ssize_t n = pread(fd, data + done, part->len - done, (off_t) (part->offset + done));

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return mvm_fail(err, MVM_E_SYS, n < 0 ? errno : EIO, "read a disk");
        done += (uint64_t) n;
    }
    strbuf_add(out, data, part->len);
    return 0;
}

int disk_template_encode(int fd, struct strbuf *ret, mvm_error **err)
{
    mvm_autofree struct part *parts = mem_array(DISK_TEMPLATE_PARTS_MAX, sizeof(*parts));
    uint8_t digest[DIGEST_LEN];
    struct stat st;
    size_t n = 0;
    int r;

    if (!parts)
        return mvm_fail_nomem(err);
    if (fstat(fd, &st) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "look at a disk");
    r = find_parts(fd, parts, &n, err);
    if (r < 0)
        return r;
    add_header(ret, (uint64_t) st.st_size, parts, n);
    for (size_t i = 0; i < n && r == 0; i++)
        r = add_part(ret, fd, &parts[i], err);
    if (r == 0)
        r = strbuf_check(ret, "disk template", err);
    if (r == 0)
        r = digest_of_rest(ret->data, ret->len, digest, err);
    if (r == 0)
        memcpy(ret->data + AT_DIGEST, digest, DIGEST_LEN);
    return r;
}

/* Sorted, apart from one another, within the disk, and together as long as what follows. */
static bool parts_are_sound(const char *data, size_t len, size_t n, uint64_t size)
{
    uint64_t left = len - HEADER_LEN - n * PART_LEN, end = 0;

    for (size_t i = 0; i < n; i++) {
        uint64_t offset = le64_get(data + HEADER_LEN + i * PART_LEN);
        uint64_t part_len = le64_get(data + HEADER_LEN + i * PART_LEN + 8);

        if (offset < end || offset > size || part_len > size - offset || part_len > left)
            return false;
        end = offset + part_len;
        left -= part_len;
    }
    return left == 0;
}

static int check(const char *data, size_t len, uint64_t size, mvm_error **err)
{
    uint8_t digest[DIGEST_LEN];
    size_t n;
    int r;

    if (len < HEADER_LEN || len > DISK_TEMPLATE_MAX || memcmp(data, MAGIC, MAGIC_LEN) != 0)
        return mvm_fail(err, MVM_E_FORMAT, 0, "not a disk template");
    if (le64_get(data + AT_SIZE) != size || size > INT64_MAX)
        return mvm_fail(err, MVM_E_FORMAT, 0, "a disk template of another size");
    r = digest_of_rest(data, len, digest, err);
    if (r < 0)
        return r;
    if (memcmp(digest, data + AT_DIGEST, DIGEST_LEN) != 0)
        return mvm_fail(err, MVM_E_DIGEST, 0, "a damaged disk template");
    n = le32_get(data + AT_PARTS);
    if (n > DISK_TEMPLATE_PARTS_MAX || n > (len - HEADER_LEN) / PART_LEN ||
        !parts_are_sound(data, len, n, size))
        return mvm_fail(err, MVM_E_FORMAT, 0, "a disk template with parts that cannot be");
    return 0;
}

static int write_part(int fd, const char *data, const struct part *part, mvm_error **err)
{
    for (uint64_t done = 0; done < part->len;) {
        ssize_t n = pwrite(fd, data + done, part->len - done, (off_t) (part->offset + done));

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return mvm_fail(err, MVM_E_SYS, n < 0 ? errno : EIO, "write it");
        done += (uint64_t) n;
    }
    return 0;
}

int disk_template_write(const char *data, size_t len, uint64_t size, int fd, mvm_error **err)
{
    const char *content;
    size_t n;
    int r = check(data, len, size, err);

    if (r < 0)
        return r;
    if (ftruncate(fd, (off_t) size) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "give it its size");
    n = le32_get(data + AT_PARTS);
    content = data + HEADER_LEN + n * PART_LEN;
    for (size_t i = 0; i < n && r == 0; i++) {
        const struct part part = { .offset = le64_get(data + HEADER_LEN + i * PART_LEN),
                                   .len = le64_get(data + HEADER_LEN + i * PART_LEN + 8) };

        r = write_part(fd, content, &part, err);
        content += part.len;
    }
    return r;
}
