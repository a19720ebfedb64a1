/* SPDX-License-Identifier: Apache-2.0 */
/* The source of a kernel's build: a folder that is given and only read, or Debian's package. */
#include "base/file.h"
#include "base/path.h"
#include "machine/kernel-apt.h"
#include "machine/kernel-build-internal.h"

#include <fcntl.h>

/* What the fragments are written for. */
#define SOURCE_PACKAGE "linux-source-6.1"
/* Linux's top Makefile has 65 KiB. */
#define MAKEFILE_MAX (1u << 20)
/* 1.4 GB from 138 MB of xz: half a minute here. */
#define UNPACK_MS (60 * 60 * 1000)

static struct apt build_apt(struct build *b)
{
    return (struct apt){ .dir = b->store.temp_path,
                         .dir_fd = b->store.temp_fd,
                         .held_fd = b->store.lock_fd,
                         .log = b->store.log,
                         .watch = build_watch,
                         .watch_user = b };
}

/* The value of the first "@key = value" in a Makefile. */
static bool find_variable(const char *text, const char *key, const char **ret, int *ret_len)
{
    size_t n = strlen(key);

    for (const char *line = text; *line; line += strcspn(line, "\n"), line += *line == '\n') {
        const char *at = line + n;

        if (strncmp(line, key, n) != 0)
            continue;
        at += strspn(at, " ");
        if (*at != '=')
            continue;
        at += 1 + strspn(at + 1, " ");
        *ret = at;
        *ret_len = (int) strspn(at, "0123456789");
        return *ret_len > 0;
    }
    return false;
}

/* "linux 6.1.192" from the top Makefile. */
static int name_folder(struct build *b, mvm_error **err)
{
    static const char *const keys[] = { "VERSION", "PATCHLEVEL", "SUBLEVEL" };
    const char *dir = b->options->source_dir, *parts[ARRAY_SIZE(keys)];
    mvm_autoclose int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    mvm_autoclose int kconfig_fd = -EBADF;
    mvm_autofree char *text = NULL;
    int lens[ARRAY_SIZE(keys)], r;
    size_t len;

    if (fd < 0)
        return mvm_fail(err, errno == ENOENT ? MVM_E_NOT_FOUND : MVM_E_SYS, errno,
                        "kernel source '%s'", dir);
    r = file_read(fd, "Makefile", MAKEFILE_MAX, &text, &len, NULL);
    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(keys); i++)
        if (!find_variable(text, keys[i], &parts[i], &lens[i]))
            r = MVM_E_FORMAT;
    if (r == 0)
        r = path_open_in_root(fd, "Kconfig", O_RDONLY | O_NONBLOCK | O_NOCTTY, &kconfig_fd, NULL);
    if (r < 0)
        return mvm_fail(err, MVM_E_FORMAT, 0, "'%s' is no source of a Linux kernel", dir);
    if (asprintf(&b->source_name, "linux %.*s.%.*s.%.*s", lens[0], parts[0], lens[1], parts[1],
                 lens[2], parts[2]) < 0) {
        b->source_name = NULL;
        return mvm_fail_nomem(err);
    }
    r = path_of_fd(fd, &b->source_path, err); /* the programs work elsewhere */
    return r;
}

int build_find_source(struct build *b, mvm_error **err)
{
    struct apt apt = build_apt(b);
    mvm_autovalue(apt_package) package = { .name = NULL };
    int r;

    if (b->options->source_dir)
        return name_folder(b, err);
    build_step(b, "asking apt for Debian's " SOURCE_PACKAGE);
    r = apt_find_named(&apt, SOURCE_PACKAGE, &package, err);
    if (r == 0 && asprintf(&b->source_name, "%s %s", package.name, package.version) < 0) {
        b->source_name = NULL;
        r = mvm_fail_nomem(err);
    }
    return r;
}

static int unpack(struct build *b, mvm_error **err)
{
    mvm_autofree char *archive = path_join(b->store.temp_path,
                                           "tree/usr/src/" SOURCE_PACKAGE ".tar.xz");
    mvm_autoclose int fd = -EBADF;
    int r = path_make_dir_at(b->store.temp_fd, "source", 0755, &fd, err);

    if (r < 0)
        return r;
    b->source_path = path_join(b->store.temp_path, "source");
    if (!archive || !b->source_path)
        return mvm_fail_nomem(err);
    char *const argv[] = { (char *) "tar",
                           (char *) "--extract",
                           (char *) "--xz",
                           (char *) "--no-same-owner",
                           (char *) "--strip-components=1",
                           (char *) "--directory",
                           b->source_path,
                           (char *) "--file",
                           archive,
                           NULL };

    build_step(b, "unpacking the source");
    r = build_run(b, argv, NULL, UNPACK_MS, err);
    return r < 0 ? r : path_remove_tree(b->store.temp_fd, "tree", err);
}

int build_get_source(struct build *b, mvm_error **err)
{
    struct apt apt = build_apt(b);
    mvm_autovalue(apt_package) package = { .name = NULL };
    mvm_autoclose int tree_fd = -EBADF;
    const char *version = strchr(b->source_name, ' ');
    int r;

    if (b->source_path)
        return 0;
    package.name = strdup(SOURCE_PACKAGE);
    package.version = version ? strdup(version + 1) : NULL;
    if (!package.name || !package.version)
        return mvm_fail_nomem(err);
    build_step(b, "downloading the source (about 140 MB)");
    r = apt_get_tree(&apt, &package, &tree_fd, err);
    return r < 0 ? r : unpack(b, err);
}
