/* SPDX-License-Identifier: Apache-2.0 */
/* A tar stream as the source of a copy: what reaches the sink has names that may be written, each
 * in a folder that came before, and exactly the bytes that were announced. */
#include "agent/copy-internal.h"
#include "base/io.h"

#include <stdlib.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

struct seen {
    bool root;
    uint64_t left;
};

static int on_info(void *user, const struct agent_file *f, mvm_error **err)
{
    struct seen *s = user;

    (void) err;
    require(s->left == 0 && (s->root ? f->name && copy_name_is_valid(f->name) : !f->name));
    require(copy_type_is_copied(f->mode) && (!S_ISLNK(f->mode) || f->link));
    s->root = true;
    s->left = S_ISREG(f->mode) ? f->size : 0;
    return 0;
}

static int on_data(void *user, struct bytes_view data, mvm_error **err)
{
    struct seen *s = user;

    (void) err;
    require(data.len > 0 && data.len <= AGENT_DATA_MAX && data.len <= s->left);
    s->left -= data.len;
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct copy_options options = { .max_bytes = 16u << 20 };
    const struct agent_file root = { .mode = S_IFDIR | 0755 };
    struct copy_result result = { .files = 0 };
    mvm_autovalue(copy_check) check = COPY_CHECK_INIT(&options, &result);
    struct seen seen = { .root = false };
    const struct copy_sink sink = { .info = on_info, .data = on_data, .user = &seen };
    int fd = -EBADF;

    require(io_memfd("tar", data, size, false, &fd, NULL) == 0);
    if (tar_source_run(fd, &root, &check, &sink, NULL) == 0)
        require(seen.root && seen.left == 0);
    return 0;
}
