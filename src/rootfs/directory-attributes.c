/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owner, extended attributes, mode, times, in this order (image.md I-228): a change of owner takes
 * set-id bits and capabilities away, and a "user." attribute needs a file that may be written.
 */
#include "rootfs/directory-internal.h"

#include "base/scan.h"
#include "rootfs/override.h"

#include <assert.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>

/* The file whose attributes are set. */
struct target {
    struct presenter *p; /* borrowed */
    int fd;              /* of itself, or -EBADF: */
    int dir_fd;
    const char *name;
    char path[sizeof("/proc/self/fd/2147483647/") + NAME_MAX]; /* then */
    mode_t type;
    bool native; /* this one has its owner */
};

static int lost(struct presenter *p, const char *what, mvm_error **err)
{
    if (p->report.lost++ == 0 &&
        asprintf(&p->report.first_lost, "%.64s of '%.256s'", what, p->cursor.record.path) < 0) {
        p->report.first_lost = NULL;
        return mvm_fail_nomem(err);
    }
    return 0;
}

/* The host, the file system or the user cannot hold the attribute. */
static bool is_refusal(int errnum)
{
    return errnum == EPERM || errnum == EACCES || errnum == EOPNOTSUPP || errnum == ENOSPC ||
           errnum == E2BIG || errnum == ERANGE || errnum == EINVAL;
}

static int set_one(const struct target *t, const char *name, const void *value, size_t len)
{
    return t->fd >= 0 ? fsetxattr(t->fd, name, value, len, 0)
                      : lsetxattr(t->path, name, value, len, 0);
}

/* 0, or 1 when it cannot be held. */
static int try_one(const struct target *t, const char *name, const void *value, size_t len,
                   mvm_error **err)
{
    if (set_one(t, name, value, len) == 0)
        return 0;
    return is_refusal(errno)
               ? 1
               : mvm_fail(err, MVM_E_SYS, errno, "set the extended attribute '%.256s'", name);
}

/* An ACL has ids in it: it means something where the owner is real. */
static bool is_for_the_host(const struct target *t, const char *name)
{
    return scan_has_prefix(name, "user.") || scan_has_prefix(name, "trusted.") ||
           (t->native && (strcmp(name, "security.capability") == 0 ||
                          scan_has_prefix(name, "system.posix_acl_")));
}

static int set_xattr(const struct target *t, const struct layer_xattr *x, mvm_error **err)
{
    char kept[sizeof(OVERRIDE_XATTR) + LAYER_XATTR_NAME_MAX];
    int r = 1;

    if (scan_has_prefix(x->name, OVERRIDE_PREFIX))
        return lost(t->p, x->name, err);
    if (is_for_the_host(t, x->name))
        r = try_one(t, x->name, x->value, x->value_len, err);
    if (r <= 0)
        return r;
    (void) snprintf(kept, sizeof(kept), "%s%s", OVERRIDE_XATTR, x->name);
    r = try_one(t, kept, x->value, x->value_len, err);
    if (r == 0)
        t->p->report.overrides = true;
    return r > 0 ? lost(t->p, x->name, err) : r;
}

static int set_xattrs(const struct target *t, mvm_error **err)
{
    const struct layer_record *record = &t->p->cursor.record;
    int r = 0;

    for (size_t i = 0; i < record->n_xattrs && r == 0; i++)
        r = set_xattr(t, &record->xattrs[i], err);
    return r;
}

static int set_owner(struct target *t, mvm_error **err)
{
    const struct layer_record *r = &t->p->cursor.record;
    int dir_fd = t->fd >= 0 ? t->fd : t->dir_fd;
    const char *name = t->fd >= 0 ? "" : t->name;

    t->native = t->p->native &&
                fchownat(dir_fd, name, r->uid, r->gid, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) == 0;
    /* EINVAL: a user namespace that does not know this id. */
    if (t->p->native && !t->native && errno != EPERM && errno != EINVAL)
        return mvm_fail(err, MVM_E_SYS, errno, "set the owner %u:%u", r->uid, r->gid);
    return 0;
}

/* Says in an attribute what the file is; 1: it cannot be held. */
static int set_override(const struct target *t, mvm_error **err)
{
    const struct layer_record *record = &t->p->cursor.record;
    const struct override_stat o = { .uid = record->uid,
                                     .gid = record->gid,
                                     .mode = t->type | record->mode,
                                     .device = record->device };
    char value[OVERRIDE_STAT_MAX];
    size_t len = override_stat_encode(&o, value);
    int r = try_one(t, OVERRIDE_STAT, value, len, err);

    if (r == 0)
        t->p->report.overrides = true;
    return r;
}

static int set_times(const struct target *t, mvm_error **err)
{
    const struct layer_record *r = &t->p->cursor.record;
    const struct timespec when = { .tv_sec = r->mtime_s, .tv_nsec = r->mtime_ns };
    const struct timespec times[2] = { when, when };
    int done = t->fd >= 0 ? futimens(t->fd, times)
                          : utimensat(t->dir_fd, t->name, times, AT_SYMLINK_NOFOLLOW);

    return done == 0 ? 0 : mvm_fail(err, MVM_E_SYS, errno, "set the time");
}

int present_attributes(struct presenter *p, int fd, mode_t type, mvm_error **err)
{
    struct target t = { .p = p, .fd = fd, .type = type };
    bool stands_in = type != S_IFREG && type != S_IFDIR;
    mode_t mode = p->cursor.record.mode;
    int r = set_owner(&t, err);

    if (r == 0)
        r = set_xattrs(&t, err);
    if (r == 0 && (!t.native || stands_in)) {
        r = set_override(&t, err);
        if (r == 0)
            mode = (mode & 0777) | (type == S_IFDIR ? 0700 : 0600);
        else if (r > 0)
            r = lost(p, "owner or type", err);
    }
    if (r < 0)
        return r;
    if (fchmod(fd, mode) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "set the mode %04o", mode);
    return set_times(&t, err);
}

/* Just made by us in a directory that is closed to others: what is no symlink stays none before
 * fchmodat(), which would follow it. */
int present_attributes_at(struct presenter *p, int dir_fd, const char *name, mvm_error **err)
{
    const struct layer_record *record = &p->cursor.record;
    struct target t = { .p = p, .fd = -EBADF, .dir_fd = dir_fd, .name = name };
    int n = snprintf(t.path, sizeof(t.path), "/proc/self/fd/%d/%s", dir_fd, name), r;

    assert(n > 0 && (size_t) n < sizeof(t.path));
    r = set_owner(&t, err);
    if (r == 0)
        r = set_xattrs(&t, err);
    /* Root's: what a server takes it for. */
    if (r == 0 && !t.native && (record->uid != 0 || record->gid != 0))
        r = lost(p, "owner", err);
    if (r == 0 && record->kind != LAYER_SYMLINK && fchmodat(dir_fd, name, record->mode, 0) < 0)
        r = mvm_fail(err, MVM_E_SYS, errno, "set the mode %04o", record->mode);
    return r < 0 ? r : set_times(&t, err);
}
