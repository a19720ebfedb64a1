/* SPDX-License-Identifier: Apache-2.0 */
#include "base/path.h"

#include "base/mem.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>

/* Tries when the kernel cannot tell whether a rename moved the path meanwhile (openat2(2), EAGAIN).
 */
#define PATH_OPEN_TRIES 64
/* Names tried for a temporary folder before giving up. */
#define PATH_TEMP_TRIES 16
/* Levels that removing a tree goes down at once: each holds a descriptor, of which a process has
 * 1024 by default, and a list buffer of 32 KiB. */
#define PATH_REMOVE_DEPTH 32
/* Walks over a tree before giving up, when somebody makes folders as fast as they are removed:
 * enough for one million levels. */
#define PATH_REMOVE_PASSES 32768

static int openat2_retry(int dir_fd, const char *path, const struct open_how *how)
{
    unsigned tries = 0;
    int fd;

    /* With ".." in the path, a rename anywhere on the system can make the kernel give up with
     * EAGAIN. A hostile loop of renames must not keep us here for ever. */
    do
        fd = (int) syscall(SYS_openat2, dir_fd, path, how, sizeof(*how));
    while (fd < 0 && (errno == EINTR || (errno == EAGAIN && ++tries < PATH_OPEN_TRIES)));
    return fd;
}

static int open_error(const char *path, const char *where, mvm_error **err)
{
    int code = errno == ENOENT ? MVM_E_NOT_FOUND : MVM_E_SYS;

    return mvm_fail(err, code, errno, "open '%s'%s", path, where);
}

int path_open_in_root(int root_fd, const char *path, int flags, int *ret_fd, mvm_error **err)
{
    const struct open_how how = { .flags = (uint64_t) (unsigned) (flags | O_CLOEXEC),
                                  .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS };
    int fd = openat2_retry(root_fd, path, &how);

    if (fd < 0)
        return open_error(path, " inside the image root", err);
    *ret_fd = fd;
    return 0;
}

int path_open_beneath(int dir_fd, const char *path, int flags, mode_t mode, int *ret_fd,
                      mvm_error **err)
{
    /* openat2(2) refuses a mode where nothing is made; O_TMPFILE has more than one bit. */
    bool makes = (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE;
    const struct open_how how = { .flags = (uint64_t) (unsigned) (flags | O_CLOEXEC),
                                  .mode = makes ? mode : 0,
                                  .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS };
    int fd = openat2_retry(dir_fd, path, &how);

    if (fd < 0)
        return open_error(path, "", err);
    *ret_fd = fd;
    return 0;
}

static int not_a_component(const char *name, mvm_error **err)
{
    return mvm_fail(err, MVM_E_ARG, 0, "'%s' is not a plain name", name);
}

int path_make_dir_at(int dir_fd, const char *name, mode_t mode, int *ret_fd, mvm_error **err)
{
    if (!path_is_component(name))
        return not_a_component(name, err);
    if (mkdirat(dir_fd, name, mode) < 0 && errno != EEXIST)
        return mvm_fail(err, MVM_E_SYS, errno, "make the folder '%s'", name);
    return path_open_beneath(dir_fd, name, O_RDONLY | O_DIRECTORY, 0, ret_fd, err);
}

int path_make_dirs(const char *path, mode_t mode, int *ret_fd, mvm_error **err)
{
    mvm_autofree char *copy = strdup(path);
    int fd;

    if (!copy)
        return mvm_fail_nomem(err);
    if (path[0] != '/')
        return mvm_fail(err, MVM_E_ARG, 0, "'%s' is not an absolute path", path);
    for (char *p = copy + 1; *p; p++) {
        if (*p != '/')
            continue;
        *p = '\0';
        if (mkdir(copy, mode) < 0 && errno != EEXIST)
            return mvm_fail(err, MVM_E_SYS, errno, "make the folder '%s'", copy);
        *p = '/';
    }
    if (mkdir(copy, mode) < 0 && errno != EEXIST)
        return mvm_fail(err, MVM_E_SYS, errno, "make the folder '%s'", copy);
    /* The way here is the user's own (HOME, XDG_*), links in it are theirs. */
    fd = open(copy, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "open the folder '%s'", path);
    *ret_fd = fd;
    return 0;
}

/* A tree that is being removed. Its depth is the choice of whoever made the image, so the walk goes
 * down PATH_REMOVE_DEPTH levels only; a folder below is moved up into the top one, and found there
 * by the next pass. Stack and descriptors stay bounded, and no path is ever followed twice. */
struct removal {
    int top_fd; /* borrowed */
    bool moved; /* since the pass began */
};

static int remove_content(struct removal *rm, int fd, unsigned depth, mvm_error **err);

/* Removes what is no folder; a folder is opened instead, and *ret_fd set. */
static int remove_or_open(int dir_fd, const char *name, int *ret_fd, mvm_error **err)
{
    const struct open_how how = { .flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW,
                                  .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS |
                                             RESOLVE_NO_XDEV };
    int fd, e;

    if (unlinkat(dir_fd, name, 0) == 0 || errno == ENOENT)
        return 0;
    e = errno;
    if (e == EISDIR || e == EPERM) {
        fd = openat2_retry(dir_fd, name, &how);
        if (fd < 0 && errno == EACCES && fchmodat(dir_fd, name, 0700, AT_SYMLINK_NOFOLLOW) == 0)
            fd = openat2_retry(dir_fd, name, &how);
        if (fd >= 0) {
            /* A tree from an image may hold folders that its owner cannot write. Where we own it
             * this lets us empty it; where not, the removal itself fails and says so. */
            (void) fchmod(fd, 0700);
            *ret_fd = fd;
            return 0;
        }
        if (errno != ENOTDIR) /* a file that may not be unlinked is EPERM */
            e = errno;
    }
    return mvm_fail(err, MVM_E_SYS, e, "remove '%s'", name);
}

static int remove_folder(int dir_fd, const char *name, mvm_error **err)
{
    if (unlinkat(dir_fd, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
        return mvm_fail(err, MVM_E_SYS, errno, "remove the folder '%s'", name);
    return 0;
}

static int remove_move_up(struct removal *rm, int dir_fd, const char *name, mvm_error **err)
{
    char up[32];
    uint64_t noise;

    if (getrandom(&noise, sizeof(noise), 0) != sizeof(noise))
        return mvm_fail(err, MVM_E_SYS, errno, "get random bytes");
    (void) snprintf(up, sizeof(up), ".deep-%016llx", (unsigned long long) noise); /* fits */
    if (renameat(dir_fd, name, rm->top_fd, up) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "move the folder '%s'", name);
    rm->moved = true;
    return 0;
}

static int remove_entry(struct removal *rm, int dir_fd, const char *name, unsigned depth,
                        mvm_error **err)
{
    mvm_autoclose int fd = -EBADF;
    int r = remove_or_open(dir_fd, name, &fd, err);

    if (r < 0 || fd < 0)
        return r;
    if (depth >= PATH_REMOVE_DEPTH)
        return remove_move_up(rm, dir_fd, name, err);
    r = remove_content(rm, steal_fd(&fd), depth, err);
    if (r < 0)
        return mvm_context(err, r, "%s", name);
    return remove_folder(dir_fd, name, err);
}

/* Empties the open directory; takes @fd over. */
static int remove_content(struct removal *rm, int fd, unsigned depth, mvm_error **err)
{
    DIR *dir = fdopendir(fd);
    int r = 0;

    if (!dir) {
        r = mvm_fail(err, MVM_E_SYS, errno, "list a folder");
        (void) close(fd);
        return r;
    }
    while (r == 0) {
        const struct dirent *e;

        errno = 0;
        e = readdir(dir);
        if (!e) {
            if (errno)
                r = mvm_fail(err, MVM_E_SYS, errno, "list a folder");
            break;
        }
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            r = remove_entry(rm, dirfd(dir), e->d_name, depth + 1, err);
    }
    (void) closedir(dir);
    return r;
}

/* One walk over the tree whose top is open. */
static int remove_pass(struct removal *rm, mvm_error **err)
{
    int fd = openat(rm->top_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "list a folder");
    rm->moved = false;
    return remove_content(rm, fd, 0, err);
}

int path_remove_tree(int dir_fd, const char *name, mvm_error **err)
{
    mvm_autoclose int fd = -EBADF;
    struct removal rm = { .moved = true };
    int r;

    if (!path_is_component(name))
        return not_a_component(name, err);
    r = remove_or_open(dir_fd, name, &fd, err);
    if (r < 0 || fd < 0)
        return r;
    rm.top_fd = fd;
    for (unsigned pass = 0; r == 0 && rm.moved && pass < PATH_REMOVE_PASSES; pass++)
        r = remove_pass(&rm, err);
    if (r < 0)
        return mvm_context(err, r, "%s", name);
    return remove_folder(dir_fd, name, err);
}

bool path_is_odd(int dir_fd, const char *name)
{
    struct stat st;

    return fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISREG(st.st_mode);
}

char *path_join(const char *dir, const char *name)
{
    size_t len = strlen(dir);
    char *out = NULL;

    while (len > 1 && dir[len - 1] == '/')
        len--;
    while (*name == '/')
        name++;
    out = malloc(len + strlen(name) + 2);
    if (!out)
        return NULL;
    memcpy(out, dir, len);
    if (len > 0 && dir[len - 1] != '/')
        out[len++] = '/';
    memcpy(out + len, name, strlen(name) + 1);
    return out;
}

int path_of_fd(int fd, char **ret_path, mvm_error **err)
{
    char link[64];
    mvm_autofree char *path = calloc(1, PATH_MAX + 1);
    struct stat st;
    ssize_t n;

    if (!path)
        return mvm_fail_nomem(err);
    (void) snprintf(link, sizeof(link), "/proc/self/fd/%d",
                    fd); /* fits: a number of at most 10 digits */
    n = readlink(link, path, PATH_MAX);
    if (n < 0 || fstat(fd, &st) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "read '%s'", link);
    if (n == PATH_MAX)
        return mvm_fail(err, MVM_E_SYS, ENAMETOOLONG, "read '%s'", link);
    /* The kernel writes "pipe:[7]" for what never had a path, and adds " (deleted)" to one that is
     * gone, which somebody else may have made since. */
    if (path[0] != '/' || st.st_nlink == 0)
        return mvm_fail(err, MVM_E_NOT_FOUND, 0, "descriptor %d has no path: '%s'", fd, path);
    *ret_path = steal_ptr(&path);
    return 0;
}

bool path_is_component(const char *name)
{
    return name[0] != '\0' && strcmp(name, ".") != 0 && strcmp(name, "..") != 0 &&
           !strchr(name, '/') && strlen(name) <= NAME_MAX;
}

int path_make_temp_dir(int dir_fd, const char *prefix, char **ret_name, int *ret_fd,
                       mvm_error **err)
{
    for (unsigned i = 0; i < PATH_TEMP_TRIES; i++) {
        mvm_autofree char *name = NULL;
        uint32_t noise;
        int r;

        if (getrandom(&noise, sizeof(noise), 0) != sizeof(noise))
            return mvm_fail(err, MVM_E_SYS, errno, "get random bytes");
        if (asprintf(&name, "%s%08x", prefix, noise) < 0) {
            name = NULL;
            return mvm_fail_nomem(err);
        }
        if (!path_is_component(name))
            return not_a_component(name, err);
        if (mkdirat(dir_fd, name, 0700) < 0) {
            if (errno == EEXIST)
                continue;
            return mvm_fail(err, MVM_E_SYS, errno, "make the folder '%s'", name);
        }
        r = path_open_beneath(dir_fd, name, O_RDONLY | O_DIRECTORY, 0, ret_fd, err);
        if (r < 0) {
            (void) unlinkat(dir_fd, name, AT_REMOVEDIR);
            return r;
        }
        *ret_name = steal_ptr(&name);
        return 0;
    }
    return mvm_fail(err, MVM_E_EXISTS, 0, "no free name that starts with '%s'", prefix);
}

bool path_is_program(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

char *path_find_program(const char *name)
{
    const char *path = getenv("PATH");

    for (const char *at = path; at && *at;) {
        size_t n = strcspn(at, ":");
        mvm_autofree char *folder = strndup(at, n);
        mvm_autofree char *file = folder ? path_join(folder, name) : NULL;

        if (file && n > 0 && path_is_program(file))
            return steal_ptr(&file);
        at += n + (at[n] == ':');
    }
    return NULL;
}

int path_each_name(int dir_fd, const char *prefix, path_name_fn *fn, void *user, mvm_error **err)
{
    mvm_autoclose int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *e;
    int r = 0;

    if (!dir)
        return mvm_fail(err, MVM_E_SYS, errno, "list a folder");
    (void) steal_fd(&fd);
    while (r == 0 && (errno = 0, e = readdir(dir)) != NULL)
        if (prefix ? strncmp(e->d_name, prefix, strlen(prefix)) == 0 : e->d_name[0] != '.')
            r = fn(user, e->d_name, err);
    if (r == 0 && errno)
        r = mvm_fail(err, MVM_E_SYS, errno, "list a folder");
    (void) closedir(dir);
    return r;
}
