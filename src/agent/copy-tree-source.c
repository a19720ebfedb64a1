/* SPDX-License-Identifier: Apache-2.0 */
/* Reads a tree of the host, which may change meanwhile: each component is opened without following
 * a link, and is what its descriptor says. */
#include "agent/copy-internal.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

struct tree_source {
    struct copy_check *check;
    const struct copy_sink *sink;
    uint8_t chunk[AGENT_DATA_MAX];
};

static void autoclosedir_run(DIR **dir)
{
    if (*dir)
        (void) closedir(*dir);
}

static void file_of(const struct stat *st, const char *rel, struct agent_file *f)
{
    *f = (struct agent_file){ .name = (char *) rel,
                              .mode = st->st_mode,
                              .uid = st->st_uid,
                              .gid = st->st_gid,
                              .size = S_ISREG(st->st_mode) ? (uint64_t) st->st_size : 0,
                              .mtime_ns = (int64_t) st->st_mtim.tv_sec * 1000000000 +
                                          st->st_mtim.tv_nsec };
}

static int give_info(struct tree_source *s, const struct agent_file *f, mvm_error **err)
{
    int r = copy_check_info(s->check, f, err);

    return r == 1 ? s->sink->info(s->sink->user, f, err) : r;
}

static int give_content(struct tree_source *s, int fd, uint64_t size, const char *name,
                        mvm_error **err)
{
    int r = 0;

    while (size > 0 && r == 0) {
        ssize_t n = read(fd, s->chunk, size < sizeof(s->chunk) ? (size_t) size : sizeof(s->chunk));

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return mvm_fail(err, MVM_E_SYS, errno, "read '%s'", name);
        if (n == 0)
            return mvm_fail(err, MVM_E_SYS, 0, "'%s' became shorter while it was copied", name);
        r = copy_check_data(s->check, (size_t) n, err);
        if (r == 0)
            r = s->sink->data(s->sink->user, (struct bytes_view){ s->chunk, (size_t) n }, err);
        size -= (uint64_t) n;
    }
    return r;
}

static int give_link(struct tree_source *s, int dir_fd, const char *name, struct agent_file *f,
                     mvm_error **err)
{
    mvm_autofree char *target = malloc(AGENT_PATH_MAX);
    ssize_t n;

    if (!target)
        return mvm_fail_nomem(err);
    n = readlinkat(dir_fd, name, target, AGENT_PATH_MAX);
    if (n <= 0 || n >= AGENT_PATH_MAX)
        return mvm_fail(err, MVM_E_SYS, n < 0 ? errno : 0, "read the link '%s'", name);
    target[n] = '\0';
    f->link = target;
    return give_info(s, f, err);
}

static int give_entry(struct tree_source *s, int dir_fd, const char *name, const char *rel,
                      bool follow, size_t depth, mvm_error **err);

static int give_dir(struct tree_source *s, int fd, const char *rel, size_t depth, mvm_error **err)
{
    __attribute__((cleanup(autoclosedir_run))) DIR *dir = NULL;
    mvm_autoclose int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    const struct dirent *entry;
    int r = 0;

    if (depth >= COPY_DEPTH_MAX)
        return mvm_fail(err, MVM_E_LIMIT, 0, "'%s': more than %d folders within each other", rel,
                        COPY_DEPTH_MAX);
    dir = copy >= 0 ? fdopendir(copy) : NULL;
    if (!dir)
        return mvm_fail(err, MVM_E_SYS, errno, "open the folder '%s'", rel ? rel : "");
    (void) steal_fd(&copy);
    while (r == 0 && (errno = 0, entry = readdir(dir))) {
        mvm_autofree char *child = NULL;

        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (asprintf(&child, "%s%s%s", rel ? rel : "", rel ? "/" : "", entry->d_name) < 0) {
            child = NULL;
            return mvm_fail_nomem(err);
        }
        if (strlen(child) >= AGENT_PATH_MAX)
            return mvm_fail(err, MVM_E_LIMIT, 0, "'%s': the path is too long", child);
        r = give_entry(s, fd, entry->d_name, child, false, depth + 1, err);
    }
    if (r == 0 && errno != 0)
        return mvm_fail(err, MVM_E_SYS, errno, "read the folder '%s'", rel ? rel : "");
    return r;
}

static int give_entry(struct tree_source *s, int dir_fd, const char *name, const char *rel,
                      bool follow, size_t depth, mvm_error **err)
{
    mvm_autoclose int fd = -EBADF;
    struct agent_file f;
    struct stat st;
    int r;

    if (fstatat(dir_fd, name, &st, follow ? 0 : AT_SYMLINK_NOFOLLOW) < 0)
        return mvm_fail(err, errno == ENOENT ? MVM_E_NOT_FOUND : MVM_E_SYS, errno, "look at '%s'",
                        rel ? rel : name);
    file_of(&st, rel, &f);
    if (S_ISLNK(st.st_mode))
        return give_link(s, dir_fd, name, &f, err);
    if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
        return give_info(s, &f, err); /* counts it, or refuses it */
    fd = openat(dir_fd, name,
                O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC | (follow ? 0 : O_NOFOLLOW));
    if (fd < 0 || fstat(fd, &st) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "open '%s'", rel ? rel : name);
    if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
        return mvm_fail(err, MVM_E_SYS, 0, "'%s' changed while it was copied", rel ? rel : name);
    file_of(&st, rel, &f);
    r = give_info(s, &f, err);
    if (r < 0)
        return r;
    return S_ISDIR(st.st_mode) ? give_dir(s, fd, rel, depth, err)
                               : give_content(s, fd, f.size, rel ? rel : name, err);
}

int tree_source_run(int dir_fd, const char *name, bool follow, struct copy_check *check,
                    const struct copy_sink *sink, mvm_error **err)
{
    mvm_autofree struct tree_source *s = malloc(sizeof(*s));
    int r;

    if (!s)
        return mvm_fail_nomem(err);
    s->check = check;
    s->sink = sink;
    r = give_entry(s, dir_fd, name, NULL, follow, 0, err);
    return r < 0 ? r : copy_check_end(check, err);
}
