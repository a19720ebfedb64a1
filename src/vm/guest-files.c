/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/guest-files.h"

#include "agent/boot-config.h"
#include "agent/guest-config.h"
#include "base/io.h"
#include "machine/initramfs.h"

#include <sys/stat.h>

/* Most bytes of the archive. */
#define GUEST_FILES_MAX (64u << 20)

int guest_files_build(const mvm_options *options, int *ret_fd, mvm_error **err)
{
    const struct guest_config config = { .disable_ssh = options->no_ssh };
    mvm_autovalue(strbuf) text = STRBUF_INIT(GUEST_CONFIG_MAX);
    mvm_autovalue(strbuf) archive = STRBUF_INIT(GUEST_FILES_MAX);
    int r;

    guest_config_encode(&config, &text);
    r = strbuf_check(&text, "guest config", err);
    if (r < 0)
        return r;
    *ret_fd = -EBADF;
    if (text.len == 0)
        return 0;
    const struct initramfs_file files[] = {
        { .path = GUEST_FILES_DIR, .mode = S_IFDIR | 0755 },
        { .path = GUEST_FILES_DIR "/etc", .mode = S_IFDIR | 0755 },
        { .path = GUEST_FILES_DIR GUEST_CONFIG_PATH,
          .mode = S_IFREG | 0644,
          .data = text.data,
          .len = text.len },
    };
    r = cpio_append(&archive, files, ARRAY_SIZE(files), err);
    return r < 0 ? r
                 : io_memfd("microvm-guest-files", archive.data, archive.len, true, ret_fd, err);
}
