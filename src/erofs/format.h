/* SPDX-License-Identifier: Apache-2.0 */
/* What linux/fs/erofs/erofs_fs.h says of an image on disk, as far as images without compression
 * have it. All numbers are little-endian. */
#ifndef EROFS_FORMAT_H
#define EROFS_FORMAT_H

#define EROFS_SUPER_AT 1024u
#define EROFS_SUPER_LEN 128u
#define EROFS_MAGIC 0xe0f5e1e2u
#define EROFS_BLOCK_BITS 12
#define EROFS_COMPAT_CHECKSUM 1u
#define EROFS_COMPAT_MTIME 2u
/* Offsets in the super block. */
#define EROFS_SUPER_CHECKSUM 4
#define EROFS_SUPER_COMPAT 8
#define EROFS_SUPER_BLOCK_BITS 12
#define EROFS_SUPER_ROOT 14
#define EROFS_SUPER_INODES 16
#define EROFS_SUPER_TIME 24
#define EROFS_SUPER_TIME_NS 32
#define EROFS_SUPER_BLOCKS 36
#define EROFS_SUPER_META 40
#define EROFS_SUPER_XATTRS 44

/* An inode's number counts slots from the metadata's first block on. */
#define EROFS_SLOT 32u
#define EROFS_COMPACT_LEN 32u
#define EROFS_EXTENDED_LEN 64u
#define EROFS_EXTENDED 1u
/* The layout of the data, from bit 1 of i_format on. */
#define EROFS_LAYOUT_BIT 1
#define EROFS_LAYOUT_PLAIN 0u
#define EROFS_LAYOUT_INLINE 2u /* the last, partial block follows the inode */
/* Offsets in both forms of an inode. */
#define EROFS_INODE_XATTRS 2
#define EROFS_INODE_MODE 4
#define EROFS_INODE_SIZE 8
#define EROFS_INODE_ADDRESS 16 /* block, or device number */
#define EROFS_INODE_INO 20
/* In a compact one. */
#define EROFS_COMPACT_LINKS 6
#define EROFS_COMPACT_UID 24
#define EROFS_COMPACT_GID 26
/* In an extended one. */
#define EROFS_EXTENDED_UID 24
#define EROFS_EXTENDED_GID 28
#define EROFS_EXTENDED_TIME 32
#define EROFS_EXTENDED_TIME_NS 40
#define EROFS_EXTENDED_LINKS 44

/* A directory's block: entries, then their names, each of which ends where the next one begins; the
 * last at a NUL or at the end. */
#define EROFS_DIRENT_LEN 12u
#define EROFS_DIRENT_NAME 8
#define EROFS_DIRENT_TYPE 10
#define EROFS_NAME_MAX 255u

/* FT_* of linux/fs_types.h. */
enum erofs_type {
    EROFS_TYPE_FILE = 1,
    EROFS_TYPE_DIR,
    EROFS_TYPE_CHAR,
    EROFS_TYPE_BLOCK,
    EROFS_TYPE_FIFO,
    EROFS_TYPE_SYMLINK = 7
};

/* Extended attributes follow the inode: a header, the numbers of shared ones, then entries. A
 * number counts 4 bytes from the first block of the shared ones on. i_xattr_icount is 1 and all
 * that follows the header in units of 4 bytes. */
#define EROFS_XATTR_HEADER 12u
#define EROFS_XATTR_SHARED 4 /* offset in the header: how many numbers follow; one byte */
#define EROFS_XATTR_UNIT 4u
#define EROFS_XATTR_ENTRY 4u /* name length, index of the prefix, value length (2 bytes) */
#define EROFS_XATTR_USER 1u
#define EROFS_XATTR_ACL_ACCESS 2u
#define EROFS_XATTR_ACL_DEFAULT 3u
#define EROFS_XATTR_TRUSTED 4u
#define EROFS_XATTR_SECURITY 6u

#endif
