/* SPDX-License-Identifier: Apache-2.0 */
#include "image/erofs.h"

#include "base/mem.h"

#include <stdbool.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#define BLOCK 4096u
#define BLOCK_BITS 12
#define SUPER_OFFSET 1024
#define SUPER_LEN 128
#define SUPER_MAGIC 0xe0f5e1e2u
#define INODE_SLOT 32 /* an inode's number counts these */
#define INODE_LEN 64
#define INODE_MODE 4
#define INODE_DATA 16
#define INODE_OWNER 24
#define DIRENT_LEN 12
#define DIRENT_TYPE 10

enum layout {
    LAYOUT_PLAIN = 0,
    LAYOUT_INLINE = 2 /* the data's last, partial block follows the inode */
};
enum file_type {
    TYPE_CHAR = 3,
    TYPE_BLOCK = 4
};

static uint16_t le16_get(const unsigned char *p)
{
    return (uint16_t) (p[0] | p[1] << 8);
}

static uint32_t le32_get(const unsigned char *p)
{
    return (uint32_t) le16_get(p) | (uint32_t) le16_get(p + 2) << 16;
}

static uint64_t le64_get(const unsigned char *p)
{
    return (uint64_t) le32_get(p) | (uint64_t) le32_get(p + 4) << 32;
}

static void le32_put(unsigned char *p, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        p[i] = (unsigned char) (value >> (8 * i));
}

static int read_at(const struct erofs *fs, uint64_t at, void *data, size_t len, mvm_error **err)
{
    ssize_t n;

    if (at > fs->size || len > fs->size - at)
        return mvm_fail(err, MVM_E_FORMAT, 0, "the EROFS image points beyond its end");
    n = pread(fs->fd, data, len, (off_t) at);
    if (n < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "read the EROFS image");
    return (size_t) n == len ? 0 : mvm_fail(err, MVM_E_FORMAT, 0, "the EROFS image is cut off");
}

static int write_at(const struct erofs *fs, uint64_t at, const void *data, size_t len,
                    mvm_error **err)
{
    ssize_t n = pwrite(fs->fd, data, len, (off_t) at);

    if (n == (ssize_t) len)
        return 0;
    return mvm_fail(err, MVM_E_SYS, n < 0 ? errno : EIO, "write the EROFS image");
}

int erofs_open(int fd, struct erofs *ret, mvm_error **err)
{
    unsigned char super[SUPER_LEN];
    struct erofs fs = { .fd = fd };
    struct stat st;
    int r;

    if (fstat(fd, &st) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "look at the EROFS image");
    fs.size = (uint64_t) st.st_size;
    r = read_at(&fs, SUPER_OFFSET, super, sizeof(super), err);
    if (r < 0)
        return r;
    if (le32_get(super) != SUPER_MAGIC || super[12] != BLOCK_BITS)
        return mvm_fail(err, MVM_E_FORMAT, 0, "no EROFS image of 4 KiB blocks");
    fs.root_nid = le16_get(super + 14);
    fs.meta = (uint64_t) le32_get(super + 40) * BLOCK;
    *ret = fs;
    return 0;
}

int erofs_read_inode(const struct erofs *fs, uint64_t nid, struct erofs_inode *ret, mvm_error **err)
{
    unsigned char p[INODE_LEN];
    uint64_t at, xattrs;
    unsigned format;
    int r;

    if (nid > fs->size / INODE_SLOT)
        return mvm_fail(err, MVM_E_FORMAT, 0, "EROFS inode %llu is beyond the image's end",
                        (unsigned long long) nid);
    at = fs->meta + nid * INODE_SLOT;
    r = read_at(fs, at, p, sizeof(p), err);
    if (r < 0)
        return r;
    format = le16_get(p);
    if (!(format & 1))
        return mvm_fail(err, MVM_E_FORMAT, 0, "EROFS inode %llu is not an extended one",
                        (unsigned long long) nid);
    /* A header of 12 bytes, the first 4 of the entries counted with it. */
    xattrs = le16_get(p + 2) ? 12 + (le16_get(p + 2) - 1u) * 4 : 0;
    *ret = (struct erofs_inode){ .at = at,
                                 .size = le64_get(p + 8),
                                 .inline_at = at + INODE_LEN + xattrs,
                                 .block = le32_get(p + INODE_DATA),
                                 .layout = format >> 1 & 7,
                                 .mode = le16_get(p + INODE_MODE) };
    return 0;
}

struct listing {
    const struct erofs *fs;
    erofs_entry_fn *fn;
    void *user;
    struct erofs_entry entry; /* the last one: names must rise */
};

static int bad_directory(mvm_error **err)
{
    return mvm_fail(err, MVM_E_FORMAT, 0, "a malformed directory in the EROFS image");
}

static int list_entry(struct listing *l, const char *name, size_t len, mvm_error **err)
{
    char last[EROFS_NAME_MAX + 1];

    len = strnlen(name, len);
    if (len == 0 || len > EROFS_NAME_MAX || memchr(name, '/', len))
        return bad_directory(err);
    memcpy(last, l->entry.name, sizeof(last));
    memcpy(l->entry.name, name, len);
    l->entry.name[len] = '\0';
    if (strcmp(l->entry.name, last) <= 0)
        return bad_directory(err);
    if (strcmp(l->entry.name, ".") == 0 || strcmp(l->entry.name, "..") == 0)
        return 0;
    return l->fn(l->user, &l->entry, err);
}

/* A block of a directory: entries of 12 bytes, then their names, of which each ends where the next
 * one begins and the last at the block's end or at a NUL. */
static int list_block(struct listing *l, uint64_t at, size_t len, mvm_error **err)
{
    mvm_autofree unsigned char *block = malloc(BLOCK);
    size_t names;
    int r;

    if (!block)
        return mvm_fail_nomem(err);
    r = read_at(l->fs, at, block, len, err);
    if (r < 0)
        return r;
    names = len >= DIRENT_LEN ? le16_get(block + 8) : 0;
    if (names < DIRENT_LEN || names % DIRENT_LEN != 0 || names >= len)
        return bad_directory(err);
    for (size_t i = 0; i < names && r == 0; i += DIRENT_LEN) {
        size_t from = le16_get(block + i + 8);
        size_t to = i + DIRENT_LEN < names ? le16_get(block + i + DIRENT_LEN + 8) : len;

        if (from < names || to > len || from >= to)
            return bad_directory(err);
        l->entry.nid = le64_get(block + i);
        l->entry.type_at = at + i + DIRENT_TYPE;
        r = list_entry(l, (const char *) block + from, to - from, err);
    }
    return r;
}

int erofs_list(const struct erofs *fs, const struct erofs_inode *dir, erofs_entry_fn *fn,
               void *user, mvm_error **err)
{
    struct listing l = { .fs = fs, .fn = fn, .user = user };
    bool has_inline = dir->layout == LAYOUT_INLINE;
    uint64_t tail = dir->size % BLOCK;
    int r = 0;

    if (dir->layout != LAYOUT_PLAIN && !has_inline)
        return mvm_fail(err, MVM_E_FORMAT, 0, "a directory of layout %u in the EROFS image",
                        dir->layout);
    /* The kernel wants an inline tail within its inode's block. */
    if (dir->size > fs->size || (has_inline && tail > BLOCK - dir->inline_at % BLOCK))
        return bad_directory(err);
    for (uint64_t done = 0; done < dir->size && r == 0; done += BLOCK) {
        uint64_t left = dir->size - done, at = (uint64_t) dir->block * BLOCK + done;

        if (has_inline && left < BLOCK)
            at = dir->inline_at;
        r = list_block(&l, at, left < BLOCK ? (size_t) left : BLOCK, err);
    }
    return r;
}

int erofs_set_owner(const struct erofs *fs, const struct erofs_inode *inode, uid_t uid, gid_t gid,
                    mvm_error **err)
{
    unsigned char owner[8];

    le32_put(owner, uid);
    le32_put(owner + 4, gid);
    return write_at(fs, inode->at + INODE_OWNER, owner, sizeof(owner), err);
}

/* new_encode_dev() of linux/kdev_t.h. */
static uint32_t device_encode(dev_t device)
{
    uint32_t minor = minor(device);

    return (minor & 0xff) | major(device) << 8 | (minor & ~0xffu) << 12;
}

int erofs_set_device(const struct erofs *fs, const struct erofs_inode *inode,
                     const struct erofs_entry *entry, mode_t type, dev_t device, mvm_error **err)
{
    const mode_t mode = type | (inode->mode & 07777);
    const unsigned char entry_type = type == S_IFCHR ? TYPE_CHAR : TYPE_BLOCK;
    const unsigned char mode_bytes[2] = { (unsigned char) mode, (unsigned char) (mode >> 8) };
    unsigned char device_bytes[4];
    int r = write_at(fs, inode->at + INODE_MODE, mode_bytes, sizeof(mode_bytes), err);

    le32_put(device_bytes, device_encode(device));
    if (r == 0)
        r = write_at(fs, inode->at + INODE_DATA, device_bytes, sizeof(device_bytes), err);
    return r < 0 ? r : write_at(fs, entry->type_at, &entry_type, 1, err);
}
