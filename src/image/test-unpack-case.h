/* SPDX-License-Identifier: Apache-2.0 */
/* For tests of the unpacker: layers as tables of entries, and what must be there afterwards. */
#ifndef IMAGE_TEST_UNPACK_CASE_H
#define IMAGE_TEST_UNPACK_CASE_H

#include "image/test-layer.h"

#define LAYERS_MAX 4
#define SPECS_MAX 12

/* A case: layers of entries, ended by a name of NULL; what must fail says with which words. */
struct unpack_case {
    const char *what;
    struct tar_spec layers[LAYERS_MAX][SPECS_MAX];
    const char *error; /* NULL: it succeeds */
    const char
        *there[8]; /* "path" or "path=content" or "path->target" or "path/" for a directory */
    const char *absent[8];
};

static inline struct rootfs_unpack *unpack_open(const struct sandbox *sb)
{
    const struct unpack_limits limits = UNPACK_LIMITS_DEFAULT;
    struct rootfs_unpack *u = NULL;

    assert_int_equal(rootfs_unpack_new(sb->root_fd, &limits, NULL, &u, NULL), 0);
    return u;
}

static inline int apply_specs(struct rootfs_unpack *u, const struct tar_spec *specs,
                              mvm_error **err)
{
    mvm_autovalue(strbuf) tar = STRBUF_INIT(TAR_MAX);

    for (; specs->name; specs++)
        tar_add(&tar, specs);
    tar_end(&tar);
    return layer_apply(u, &tar, err);
}

static inline void expect_there(int root_fd, const char *what, const char *want)
{
    size_t n = strcspn(want, "=>");
    mvm_autofree char *path = strndup(want, want[n] == '>' ? n - 1 : n);
    mvm_autofree char *data = calloc(1, 4096);
    struct stat st;

    if (fstatat(root_fd, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
        fail_msg("%s: '%s' is missing", what, path);
    if (want[n] == '=') {
        mvm_autoclose int fd = openat(root_fd, path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

        if (fd < 0 || read(fd, data, 4095) < 0 || strcmp(data, want + n + 1) != 0)
            fail_msg("%s: '%s' holds '%s'", what, path, data);
    } else if (want[n] == '>') {
        if (readlinkat(root_fd, path, data, 4095) < 0 || strcmp(data, want + n + 1) != 0)
            fail_msg("%s: '%s' leads to '%s'", what, path, data);
    } else if (path[n - 1] == '/' && !S_ISDIR(st.st_mode)) {
        fail_msg("%s: '%s' is no directory", what, path);
    }
}

static inline void run_case(const struct unpack_case *c)
{
    struct sandbox *sb = NULL;
    mvm_auto(rootfs_unpack) u = NULL;
    mvm_autoerror mvm_error *e = NULL;
    int r = 0;

    assert_int_equal(sandbox_setup((void **) &sb), 0);
    u = unpack_open(sb);
    for (size_t i = 0; i < LAYERS_MAX && c->layers[i][0].name && r == 0; i++)
        r = apply_specs(u, c->layers[i], &e);
    if (!c->error && r == 0)
        r = rootfs_unpack_finish(u, NULL, &e);
    if (c->error && (r >= 0 || !strstr(mvm_error_message(e), c->error)))
        fail_msg("%s: '%s', not '%s'", c->what, mvm_error_message(e), c->error);
    if (!c->error && r < 0)
        fail_msg("%s: %s", c->what, mvm_error_message(e));
    for (size_t i = 0; i < ARRAY_SIZE(c->there) && c->there[i]; i++)
        expect_there(sb->root_fd, c->what, c->there[i]);
    for (size_t i = 0; i < ARRAY_SIZE(c->absent) && c->absent[i]; i++)
        if (sandbox_has(sb->root_fd, c->absent[i]))
            fail_msg("%s: '%s' is there", c->what, c->absent[i]);
    rootfs_unpack_free(steal_ptr(&u));
    assert_int_equal(sandbox_teardown((void **) &sb), 0);
}

static inline void run_cases(const struct unpack_case *cases, size_t n)
{
    for (size_t i = 0; i < n; i++)
        run_case(&cases[i]);
}

#define DIR(path)                                 \
    {                                             \
        .name = (path), .type = '5', .mode = 0755 \
    }
#define FILE_OF(path, text)            \
    {                                  \
        .name = (path), .data = (text) \
    }
#define SYMLINK(path, to)                         \
    {                                             \
        .name = (path), .type = '2', .link = (to) \
    }
#define HARDLINK(path, to)                        \
    {                                             \
        .name = (path), .type = '1', .link = (to) \
    }

#endif
