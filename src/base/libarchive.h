/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libarchive, loaded when a layer, an archive or a kernel is first read: it brings libxml2, ICU and
 * the C++ library with it, which a program that finds everything in the store need not wait for.
 */
#ifndef BASE_LIBARCHIVE_H
#define BASE_LIBARCHIVE_H

#include "base/error.h"

#include <archive.h>
#include <archive_entry.h>

/* All that is called, without its prefix "archive_". */
#define LIBARCHIVE(X)                \
    X(entry_acl_next)                \
    X(entry_acl_reset)               \
    X(entry_acl_types)               \
    X(entry_copy_pathname)           \
    X(entry_copy_symlink)            \
    X(entry_filetype)                \
    X(entry_free)                    \
    X(entry_gid)                     \
    X(entry_hardlink)                \
    X(entry_mode)                    \
    X(entry_mtime)                   \
    X(entry_mtime_nsec)              \
    X(entry_new)                     \
    X(entry_pathname)                \
    X(entry_rdev)                    \
    X(entry_set_gid)                 \
    X(entry_set_mode)                \
    X(entry_set_mtime)               \
    X(entry_set_size)                \
    X(entry_set_uid)                 \
    X(entry_size)                    \
    X(entry_sparse_count)            \
    X(entry_symlink)                 \
    X(entry_uid)                     \
    X(entry_xattr_next)              \
    X(entry_xattr_reset)             \
    X(error_string)                  \
    X(filter_bytes)                  \
    X(filter_code)                   \
    X(read_data)                     \
    X(read_data_block)               \
    X(read_data_skip)                \
    X(read_free)                     \
    X(read_new)                      \
    X(read_next_header)              \
    X(read_open)                     \
    X(read_open1)                    \
    X(read_open_memory)              \
    X(read_set_callback_data)        \
    X(read_set_read_callback)        \
    X(read_set_skip_callback)        \
    X(read_support_filter_bzip2)     \
    X(read_support_filter_gzip)      \
    X(read_support_filter_lz4)       \
    X(read_support_filter_lzma)      \
    X(read_support_filter_xz)        \
    X(read_support_filter_zstd)      \
    X(read_support_format_empty)     \
    X(read_support_format_raw)       \
    X(read_support_format_tar)       \
    X(set_error)                     \
    X(write_close)                   \
    X(write_data)                    \
    X(write_free)                    \
    X(write_header)                  \
    X(write_new)                     \
    X(write_open)                    \
    X(write_set_bytes_in_last_block) \
    X(write_set_format_pax_restricted)

#define LIBARCHIVE_FIELD(name) __typeof__(archive_##name) *name;
struct libarchive {
    LIBARCHIVE(LIBARCHIVE_FIELD)
};

/* Any thread, any time; loaded once and never unloaded. MVM_E_UNSUPPORTED when it is not there. */
int libarchive_load(mvm_error **err);
/* For whoever has called libarchive_load(), or holds an object that was made after it. */
const struct libarchive *libarchive(void);

#endif
