/* SPDX-License-Identifier: Apache-2.0 */
/* A template of the cache, with its digest put right: what is taken becomes a disk of its size, and
 * the template of that disk makes the same one. */
#include "base/digest.h"
#include "base/le.h"
#include "base/mem.h"
#include "rootfs/disk-template.h"

#include <sys/mman.h>
#include <sys/stat.h>

#define HEADER_LEN 56
#define AT_SIZE 8
#define AT_DIGEST 24
#define DIGEST_LEN 32

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int write_disk(const char *data, size_t len, uint64_t size, int *ret_fd)
{
    *ret_fd = memfd_create("disk", MFD_CLOEXEC);
    return *ret_fd < 0 ? -1 : disk_template_write(data, len, size, *ret_fd, NULL);
}

static void check_again(int fd, uint64_t size)
{
    mvm_autovalue(strbuf) text = STRBUF_INIT(DISK_TEMPLATE_MAX);
    mvm_autovalue(strbuf) again = STRBUF_INIT(DISK_TEMPLATE_MAX);
    mvm_autoclose int other_fd = -EBADF;

    if (disk_template_encode(fd, &text, NULL) < 0)
        return; /* parts that share no page may be more bytes as whole pages */
    if (write_disk(text.data, text.len, size, &other_fd) < 0 ||
        disk_template_encode(other_fd, &again, NULL) < 0 || again.len != text.len ||
        memcmp(again.data, text.data, text.len) != 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    mvm_autofree char *copy = NULL;
    mvm_autoclose int fd = -EBADF;
    struct digest digest;
    struct stat st;
    uint64_t disk_size;

    if (size < HEADER_LEN)
        return 0;
    copy = malloc(size);
    if (!copy)
        return 0;
    memcpy(copy, data, size);
    if (digest_of(DIGEST_SHA256, copy + HEADER_LEN, size - HEADER_LEN, &digest, NULL) < 0)
        return 0;
    memcpy(copy + AT_DIGEST, digest.bytes, DIGEST_LEN);
    disk_size = le64_get(copy + AT_SIZE);
    if (write_disk(copy, size, disk_size, &fd) < 0)
        return 0;
    if (fstat(fd, &st) < 0 || (uint64_t) st.st_size != disk_size)
        abort();
    check_again(fd, disk_size);
    return 0;
}
