/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/kernel-needs.h"

#include "base/strbuf.h"
#include "machine/decompress.h"

#include <sys/stat.h>

/* Around the gzip stream (Linux, kernel/configs.c). */
#define CONFIG_BEGIN "IKCFG_ST"
#define CONFIG_END "IKCFG_ED"
#define MARK_LEN 8
/* Largest image that is looked through: Debian's vmlinux has 60 MiB. */
#define IMAGE_MAX (128u << 20)
#define MESSAGE_MAX 2048

static const struct {
    const char *name;
    const char *use;
} needs[] = {
    { "CONFIG_BLK_DEV_INITRD", "the initramfs with init" },
    { "CONFIG_BINFMT_ELF", "programs" },
    { "CONFIG_VIRTIO_MMIO", "every device" },
    { "CONFIG_VIRTIO_BLK", "the root disk" },
    { "CONFIG_VIRTIO_VSOCKETS", "the program's streams, sockets to the host" },
    { "CONFIG_EROFS_FS", "the image's file system" },
    { "CONFIG_OVERLAY_FS", "the writable layer on it" },
    { "CONFIG_DEVTMPFS", "/dev" },
    { "CONFIG_PROC_FS", "/proc" },
    { "CONFIG_SYSFS", "/sys" },
    { "CONFIG_TMPFS", "the writable layer, /dev/shm" },
    { "CONFIG_UNIX98_PTYS", "terminals" },
    { "CONFIG_INET", "the loopback interface" },
};

int kernel_needs_check(const struct kconfig *c, mvm_error **err)
{
    mvm_autovalue(strbuf) missing = STRBUF_INIT(MESSAGE_MAX);

    for (size_t i = 0; i < ARRAY_SIZE(needs); i++)
        if (strcmp(kconfig_get(c, needs[i].name), "n") == 0)
            strbuf_addf(&missing, "%s%s (%s)", missing.len ? ", " : "", needs[i].name,
                        needs[i].use);
    if (missing.len == 0)
        return 0;
    return mvm_fail(err, MVM_E_UNSUPPORTED, 0, "guests need what it lacks: %s",
                    strbuf_str(&missing));
}

int kernel_needs_check_bytes(const void *data, size_t len, mvm_error **err)
{
    mvm_autovalue(kconfig) config = { .items = NULL };
    mvm_autofree char *text = NULL;
    const char *begin = memmem(data, len, CONFIG_BEGIN, MARK_LEN), *end;
    size_t text_len, left;

    if (!begin)
        return 0;
    begin += MARK_LEN;
    left = len - (size_t) (begin - (const char *) data);
    end = memmem(begin, left, CONFIG_END, MARK_LEN);
    /* What cannot be read tells nothing, and the kernel may be good all the same. */
    if (!end ||
        decompress_memory(begin, (size_t) (end - begin), KCONFIG_TEXT_MAX, &text, &text_len, NULL) <
            0 ||
        kconfig_parse(text, text_len, &config, NULL) < 0)
        return 0;
    return kernel_needs_check(&config, err);
}

int kernel_needs_check_image(int fd, const char *path, mvm_error **err)
{
    mvm_autofree char *data = NULL;
    struct stat st;
    ssize_t n;
    int r;

    if (fstat(fd, &st) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "stat the kernel '%s'", path);
    if (st.st_size <= 0 || st.st_size > IMAGE_MAX)
        return 0;
    data = malloc((size_t) st.st_size);
    if (!data)
        return mvm_fail_nomem(err);
    n = pread(fd, data, (size_t) st.st_size, 0); /* less when it is being written */
    if (n < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "read the kernel '%s'", path);
    r = kernel_needs_check_bytes(data, (size_t) n, err);
    return r < 0 ? mvm_context(err, r, "kernel '%s'", path) : 0;
}
