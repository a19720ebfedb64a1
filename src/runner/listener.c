/* SPDX-License-Identifier: Apache-2.0 */
#include "runner/listener.h"

#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

/* Connections that wait to be taken: as many as the vsock device has at once. */
#define LISTENER_BACKLOG 1024
/* A start takes the folder's lock for an instant. */
#define LISTENER_LOCK_TRIES 100
#define LISTENER_LOCK_POLL_MS 10

static struct sockaddr_un address_of(const char *path)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };

    memcpy(a.sun_path, path, strnlen(path, sizeof(a.sun_path) - 1)); /* checked to fit */
    return a;
}

/* True when nobody listens on the socket at @path any more. */
static bool is_stale(const char *path, int type)
{
    const struct sockaddr_un a = address_of(path);
    mvm_autoclose int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct stat st;

    return lstat(path, &st) == 0 && S_ISSOCK(st.st_mode) && fd >= 0 &&
           connect(fd, (const struct sockaddr *) &a, sizeof(a)) < 0 && errno == ECONNREFUSED;
}

/* So that of two VMs that find the same stale socket one does not take the other's new one for it.
 * A lock that somebody else keeps is done without: the folder may be everybody's. */
static int lock_folder(const char *path)
{
    mvm_autofree char *folder = strndup(path, (size_t) (strrchr(path, '/') - path) + 1);
    mvm_autoclose int fd = folder ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -EBADF;

    for (unsigned i = 0; fd >= 0 && i < LISTENER_LOCK_TRIES && flock(fd, LOCK_EX | LOCK_NB) < 0;
         i++)
        (void) poll(NULL, 0, LISTENER_LOCK_POLL_MS);
    return steal_fd(&fd);
}

static int bind_fresh(int fd, const char *path, int type, mvm_error **err)
{
    const struct sockaddr_un a = address_of(path);
    int r = bind(fd, (const struct sockaddr *) &a, sizeof(a));

    if (r < 0 && errno == EADDRINUSE) {
        if (!is_stale(path, type))
            return mvm_fail(err, MVM_E_BUSY, 0, "'%s' is in use", path);
        (void) unlink(path); /* where that fails, so does the next bind */
        r = bind(fd, (const struct sockaddr *) &a, sizeof(a));
    }
    return r < 0 ? mvm_fail(err, MVM_E_SYS, errno, "make the socket '%s'", path) : 0;
}

int listener_open(const char *path, int type, struct listener *ret, mvm_error **err)
{
    mvm_autovalue(listener) l = LISTENER_NONE;
    mvm_autofree char *copy = NULL;
    mvm_autoclose int lock_fd = -EBADF;
    int r;

    l.type = type;
    l.fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    /* bind(2) takes the mode over: the socket is never open to others, not even for a moment. */
    if (l.fd < 0 || fchmod(l.fd, 0600) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "make a socket");
    copy = strdup(path);
    if (!copy)
        return mvm_fail_nomem(err);
    lock_fd = lock_folder(path);
    r = bind_fresh(l.fd, path, type, err);
    if (r < 0)
        return r;
    l.path = steal_ptr(&copy);
    if (listen(l.fd, LISTENER_BACKLOG) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "listen on '%s'", path);
    *ret = l;
    l = (struct listener) LISTENER_NONE;
    return 0;
}

void listener_deinit(struct listener *l)
{
    mvm_autoclose int lock_fd = -EBADF;

    if (l->fd >= 0)
        (void) close(l->fd);
    if (l->path)
        lock_fd = lock_folder(l->path);
    if (l->path && is_stale(l->path, l->type))
        (void) unlink(l->path); /* gone already is as good */
    free(l->path);
    *l = (struct listener) LISTENER_NONE;
}
