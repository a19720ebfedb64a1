/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/vmdir.h"

#include "base/clock.h"
#include "base/path.h"
#include "runner/control.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define VMDIR_LOCK "state.lock"
/* Times that a folder may vanish under us while we take it: each needs another process removing it
 * just then. */
#define VMDIR_TRIES 16 /* so that a name in use is told within 100 ms */
/* Milliseconds between two tries for a lock, since flock(2) has no time limit. */
#define VMDIR_POLL_MS 5

void vmdir_deinit(struct vmdir *d)
{
    free(d->name);
    free(d->path);
    if (d->fd >= 0)
        (void) close(d->fd);
    if (d->lock_fd >= 0)
        (void) close(d->lock_fd);
    if (d->vms_fd >= 0)
        (void) close(d->vms_fd);
    *d = (struct vmdir) VMDIR_NONE;
}

static bool same_file(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* Locks an open folder. 1: locked; 0: somebody else has the lock; MVM_E_NOT_FOUND: the folder is
 * gone meanwhile. */
static int lock_folder(int vms_fd, const char *name, int dir_fd, bool create, int *ret_fd,
                       mvm_error **err)
{
    mvm_autoclose int fd = -EBADF;
    struct stat held, named;
    int r;

    r = path_open_beneath(dir_fd, VMDIR_LOCK, O_RDWR | (create ? O_CREAT : 0), 0600, &fd, err);
    if (r < 0)
        return r;
    if (flock(fd, LOCK_EX | LOCK_NB) < 0)
        return errno == EWOULDBLOCK
                   ? 0
                   : mvm_fail(err, MVM_E_SYS, errno, "lock the folder of '%s'", name);
    /* Its last owner may have removed it between our open and our lock. */
    if (fstat(dir_fd, &held) < 0 || fstatat(vms_fd, name, &named, AT_SYMLINK_NOFOLLOW) < 0 ||
        !same_file(&held, &named))
        return mvm_fail(err, MVM_E_NOT_FOUND, 0, "the folder of '%s' was removed meanwhile", name);
    *ret_fd = steal_fd(&fd);
    return 1;
}

/* Removes what an earlier VM of that name left, but for the lock that we hold. */
static int empty_folder(int dir_fd, mvm_error **err)
{
    static const char *const names[] = { VM_STATE_FILE, "console.log",  "vm.log",
                                         "output.log",  CONTROL_SOCKET, CONTROL_AGENT_SOCKET,
                                         VMDIR_UPPER };
    int r = 0;

    for (size_t i = 0; i < ARRAY_SIZE(names) && r == 0; i++)
        r = path_remove_tree(dir_fd, names[i], err);
    return r;
}

/* A folder without our lock file that holds something was not made by us, and is not ours to clear.
 */
static int refuse_foreign(int dir_fd, const char *name, mvm_error **err)
{
    int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *e;
    bool ours = false, empty = true;

    if (!dir) {
        if (fd >= 0)
            (void) close(fd);
        return mvm_fail(err, MVM_E_SYS, errno, "list the folder of '%s'", name);
    }
    while ((e = readdir(dir))) {
        ours = ours || strcmp(e->d_name, VMDIR_LOCK) == 0;
        empty = empty && (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0);
    }
    (void) closedir(dir);
    if (!ours && !empty)
        return mvm_fail(err, MVM_E_EXISTS, 0, "the folder '%s' is there and is no VM's", name);
    return 0;
}

/* A sweep by another process holds the lock of each folder for an instant: only who keeps it for
 * all tries runs. */
static int take_named(struct vmdir *d, const char *name, mvm_error **err)
{
    bool busy = false;

    for (unsigned i = 0; i < VMDIR_TRIES; i++) {
        mvm_autoerror mvm_error *cause = NULL;
        mvm_autoclose int fd = -EBADF;
        int r;

        r = path_make_dir_at(d->vms_fd, name, 0700, &fd, &cause);
        if (r == 0)
            r = refuse_foreign(fd, name, &cause);
        if (r == 0)
            r = lock_folder(d->vms_fd, name, fd, true, &d->lock_fd, &cause);
        if (r == 0) {
            (void) poll(NULL, 0, VMDIR_POLL_MS);
            busy = true;
            continue;
        }
        if (r == MVM_E_NOT_FOUND)
            continue;
        if (r < 0) {
            error_move(err, steal_ptr(&cause));
            return r;
        }
        d->fd = steal_fd(&fd);
        d->name = strdup(name);
        return d->name ? empty_folder(d->fd, err) : mvm_fail_nomem(err);
    }
    return mvm_fail(err, MVM_E_BUSY, 0,
                    busy ? "a VM named '%s' runs already" : "the folder of '%s' comes and goes",
                    name);
}

/* As long as a folder has no state it looks like a dead VM's, and a sweep by another process may
 * have it. */
static int take_fresh(struct vmdir *d, mvm_error **err)
{
    for (unsigned i = 0; i < VMDIR_TRIES; i++) {
        mvm_autofree char *name = NULL;
        mvm_autoclose int fd = -EBADF;
        mvm_autoerror mvm_error *cause = NULL;
        int r;

        r = path_make_temp_dir(d->vms_fd, "vm-", &name, &fd, &cause);
        if (r == 0)
            r = lock_folder(d->vms_fd, name, fd, true, &d->lock_fd, &cause);
        if (r == 0 || r == MVM_E_NOT_FOUND)
            continue;
        if (r < 0) {
            error_move(err, steal_ptr(&cause));
            return r;
        }
        d->name = steal_ptr(&name);
        d->fd = steal_fd(&fd);
        return 0;
    }
    return mvm_fail(err, MVM_E_BUSY, 0, "the folders of new VMs come and go");
}

static int make_id(char id[VM_STATE_ID_LEN + 1], mvm_error **err)
{
    uint64_t noise[2];

    if (getrandom(noise, sizeof(noise), 0) != sizeof(noise))
        return mvm_fail(err, MVM_E_SYS, errno, "random numbers");
    (void) snprintf(id, VM_STATE_ID_LEN + 1, "%016llx%016llx", (unsigned long long) noise[0],
                    (unsigned long long) noise[1]); /* fits: 2 times 16 digits */
    return 0;
}

int vmdir_take(const char *vms_path, const char *name, bool remove, struct vmdir *ret,
               mvm_error **err)
{
    mvm_autovalue(vmdir) d = VMDIR_NONE;
    int r;

    d.remove = remove;
    r = make_id(d.id, err);
    if (r == 0)
        r = path_make_dirs(vms_path, 0700, &d.vms_fd, err);
    if (r == 0)
        r = name ? take_named(&d, name, err) : take_fresh(&d, err);
    if (r < 0)
        return r;
    d.path = path_join(vms_path, d.name);
    if (!d.path)
        return mvm_fail_nomem(err);
    *ret = d;
    d = (struct vmdir) VMDIR_NONE;
    return 0;
}

int vmdir_open(const char *vms_path, const char *name, struct vmdir *ret, mvm_error **err)
{
    mvm_autovalue(vmdir) d = VMDIR_NONE;
    mvm_autovalue(vm_state) state = VM_STATE_NONE;
    int r;

    d.vms_fd = open(vms_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    r = d.vms_fd < 0 ? MVM_E_NOT_FOUND
                     : path_open_beneath(d.vms_fd, name, O_RDONLY | O_DIRECTORY, 0, &d.fd, NULL);
    if (r == 0)
        r = vm_state_read(d.fd, &state, err);
    else if (r == MVM_E_NOT_FOUND)
        return mvm_fail(err, r, 0, "there is no VM named '%s'", name);
    if (r < 0)
        return mvm_context(err, r, "the VM '%s'", name);
    d.name = strdup(name);
    d.path = path_join(vms_path, name);
    if (!d.name || !d.path)
        return mvm_fail_nomem(err);
    memcpy(d.id, state.id, sizeof(d.id));
    d.remove = state.remove;
    *ret = d;
    d = (struct vmdir) VMDIR_NONE;
    return 0;
}

bool vmdir_is_running(const struct vmdir *d)
{
    mvm_autoclose int fd = -EBADF;

    /* Shared, so that two who ask at once do not take each other for a VM. */
    return path_open_beneath(d->fd, VMDIR_LOCK, O_RDONLY, 0, &fd, NULL) == 0 &&
           flock(fd, LOCK_SH | LOCK_NB) < 0;
}

void vmdir_socket_address(const struct vmdir *d, const char *name, struct sockaddr_un *ret)
{
    *ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
    (void) snprintf(ret->sun_path, sizeof(ret->sun_path), "/proc/self/fd/%d/%s", d->fd,
                    name); /* fits: a number of 10 digits and a short name */
}

void vmdir_remove_upper(const struct vmdir *d)
{
    (void) unlinkat(d->fd, VMDIR_UPPER, 0); /* else a sweep has it */
}

int vmdir_remove(struct vmdir *d, mvm_error **err)
{
    int r = path_remove_tree(d->vms_fd, d->name, err);

    return r < 0 ? mvm_context(err, r, "remove '%s'", d->path) : 0;
}

int vmdir_check_own(const struct vmdir *d, mvm_error **err)
{
    mvm_autovalue(vm_state) state = VM_STATE_NONE;

    if (vm_state_read(d->fd, &state, NULL) == 0 && strcmp(state.id, d->id) == 0)
        return 0;
    return mvm_fail(err, MVM_E_NOT_FOUND, 0, "the folder of '%s' is another VM's by now", d->name);
}

int vmdir_take_back(struct vmdir *d, int timeout_ms, mvm_error **err)
{
    uint64_t deadline = clock_now_ms() + (uint64_t) timeout_ms;

    for (;;) {
        int r = lock_folder(d->vms_fd, d->name, d->fd, false, &d->lock_fd, err);

        if (r == 1)
            r = vmdir_check_own(d, err);
        else if (r == 0)
            r = 1;
        if (r < 0 && d->lock_fd >= 0)
            (void) close(steal_fd(&d->lock_fd));
        if (r <= 0)
            return r;
        if (clock_now_ms() >= deadline)
            return mvm_fail(err, MVM_E_BUSY, 0, "the folder of '%s' is still in use", d->name);
        (void) poll(NULL, 0, VMDIR_POLL_MS);
    }
}

/* No state: its maker died before the VM was started. */
static bool is_to_be_removed(int dir_fd)
{
    mvm_autovalue(vm_state) state = VM_STATE_NONE;
    int r = vm_state_read(dir_fd, &state, NULL);

    return r < 0 ? r == MVM_E_NOT_FOUND : state.remove;
}

struct sweep {
    int vms_fd;            /* borrowed */
    const struct log *log; /* borrowed */
};

static int sweep_one(void *user, const char *name, mvm_error **unused)
{
    const struct sweep *s = user;
    mvm_autoerror mvm_error *err = NULL;
    mvm_autoclose int fd = -EBADF;
    mvm_autoclose int lock_fd = -EBADF;

    (void) unused; /* one folder that stays keeps no other */
    if (path_open_beneath(s->vms_fd, name, O_RDONLY | O_DIRECTORY, 0, &fd, NULL) < 0 ||
        lock_folder(s->vms_fd, name, fd, false, &lock_fd, NULL) != 1)
        return 0;
    if (!is_to_be_removed(fd)) {
        (void) unlinkat(fd, VMDIR_UPPER, 0); /* else the next sweep has it */
        return 0;
    }
    if (path_remove_tree(s->vms_fd, name, &err) < 0)
        log_warning(s->log, "vm", "remove what is left of '%s': %s", name, mvm_error_message(err));
    return 0;
}

void vmdir_sweep(int vms_fd, const struct log *log)
{
    struct sweep s = { .vms_fd = vms_fd, .log = log };
    mvm_autoerror mvm_error *err = NULL;

    if (path_each_name(vms_fd, NULL, sweep_one, &s, &err) < 0)
        log_warning(log, "vm", "the VMs: %s", mvm_error_message(err));
}
