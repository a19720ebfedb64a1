/* SPDX-License-Identifier: Apache-2.0 */
/* For tests of this folder: a fresh directory with a "root" and, beside it, an "outside" whose
 * canary must survive whatever happens in the root. */
#ifndef BASE_TEST_SANDBOX_H
#define BASE_TEST_SANDBOX_H

#include "base/mem.h"
#include "base/path.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

struct sandbox {
    char path[64];
    int fd;      /* the sandbox */
    int root_fd; /* "root" in it */
};

static inline void sandbox_write(int dir_fd, const char *name, const char *text)
{
    mvm_autoclose int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t) strlen(text));
}

static inline bool sandbox_has(int dir_fd, const char *name)
{
    struct stat st;

    return fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static inline int sandbox_open(int dir_fd, const char *name)
{
    int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    assert_true(fd >= 0);
    return fd;
}

static inline int sandbox_setup(void **state)
{
    struct sandbox *sb = calloc(1, sizeof(*sb));

    assert_non_null(sb);
    (void) snprintf(sb->path, sizeof(sb->path), "/tmp/microvm-test-XXXXXX");
    assert_non_null(mkdtemp(sb->path));
    assert_int_equal(chmod(sb->path, 0777), 0);
    sb->fd = sandbox_open(AT_FDCWD, sb->path);
    assert_int_equal(mkdirat(sb->fd, "outside", 0777), 0);
    sandbox_write(sb->fd, "outside/canary", "alive");
    assert_int_equal(mkdirat(sb->fd, "root", 0777), 0);
    sb->root_fd = sandbox_open(sb->fd, "root");
    assert_int_equal(fchmod(sb->root_fd, 0777), 0);
    *state = sb;
    return 0;
}

static inline bool sandbox_canary_lives(const struct sandbox *sb)
{
    mvm_autoclose int fd = openat(sb->fd, "outside/canary", O_RDONLY | O_CLOEXEC);
    char text[8] = "";
    struct stat st;

    return fd >= 0 && read(fd, text, sizeof(text) - 1) == 5 && strcmp(text, "alive") == 0 &&
           fstatat(sb->fd, "outside", &st, 0) == 0 && (st.st_mode & 0777) == 0755;
}

static inline int sandbox_teardown(void **state)
{
    struct sandbox *sb = *state;
    const char *name = strrchr(sb->path, '/') + 1;
    mvm_autoclose int tmp = sandbox_open(AT_FDCWD, "/tmp");
    bool lives = sandbox_canary_lives(sb);

    (void) close(sb->root_fd);
    (void) close(sb->fd);
    assert_int_equal(path_remove_tree(tmp, name, NULL), 0);
    free(sb);
    return lives ? 0 : -1;
}

/* Runs @fn in a process of an ordinary user, for what root may do anyway; gives its result. */
static inline int sandbox_as_user(int (*fn)(struct sandbox *sb), struct sandbox *sb)
{
    int status = 0;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        if (geteuid() == 0 &&
            (setresgid(65534, 65534, 65534) < 0 || setresuid(65534, 65534, 65534) < 0))
            _exit(99);
        _exit(fn(sb));
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

#endif
