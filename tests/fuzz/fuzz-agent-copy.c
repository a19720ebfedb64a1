/* SPDX-License-Identifier: Apache-2.0 */
/* Arbitrary bytes are what the guest answers to Read, on stream 1. Whatever they say, nothing
 * outside of the folder that the copy goes into is made or changed, and no temporary name is left.
 */
#include "agent/copy.h"
#include "base/path.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

/* Names in the folder; none of them may be a temporary one. */
static unsigned count_names(int dir_fd)
{
    int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fdopendir(fd);
    const struct dirent *e;
    unsigned n = 0;

    require(dir != NULL);
    while ((e = readdir(dir))) {
        require(strncmp(e->d_name, ".microvm-cp-", 12) != 0);
        n++;
    }
    (void) closedir(dir);
    return n - 2;
}

/* Made once, and taken away at the end of the process. */
struct place {
    char path[32];
    int fd;
};
static struct place *place_get(void)
{
    static struct place place = { .path = "/tmp/microvm-fuzz-XXXXXX", .fd = -1 };

    if (place.fd < 0) {
        require(mkdtemp(place.path) != NULL);
        place.fd = open(place.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        require(place.fd >= 0);
    }
    return &place;
}

static void __attribute__((destructor)) place_remove(void)
{
    struct place *p = place_get();

    (void) path_remove_tree(p->fd, "into", NULL);
    (void) rmdir(p->path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct copy_options options = { .max_bytes = 1u << 20 };
    struct place *place = place_get();
    struct copy_result result = { .files = 0 };
    struct loop *loop = NULL;
    struct agent_client *client = NULL;
    int fds[2], into = -EBADF;

    if (size > 65536) /* so that all of it fits a socket */
        return 0;
    require(path_make_dir_at(place->fd, "into", 0700, &into, NULL) == 0);
    require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0 &&
            loop_new(&loop, NULL) == 0 &&
            agent_client_new(loop, fds[0], NULL, NULL, &client, NULL) == 0);
    require(send(fds[1], data, size, MSG_NOSIGNAL) == (ssize_t) size);
    (void) shutdown(fds[1], SHUT_WR);
    (void) copy_out_at(client, "/g", into, "x", &options, &result, NULL);
    agent_client_free(client);
    loop_free(loop);
    (void) close(fds[1]);
    require(count_names(into) <= 1 && count_names(place->fd) == 1);
    (void) close(into);
    require(path_remove_tree(place->fd, "into", NULL) == 0);
    return 0;
}
