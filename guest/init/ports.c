/* SPDX-License-Identifier: Apache-2.0 */
#include "ports.h"

#include "uevent.h"

#include "agent/port-proto.h"

#include <dirent.h>
#include <fcntl.h>

#define PORTS_CLASS_DIR "/sys/class/virtio-ports"
/* A port's name in sysfs, with its newline; ours have at most 16. */
#define PORT_NAME_SIZE 64
/* "/dev/" and a directory entry. */
#define PORT_NODE_SIZE 264

static const char *const port_names[PORT_COUNT] = {
    [PORT_CONTROL] = PORT_NAME_CONTROL,
    [PORT_STDIN] = PORT_NAME_STDIN,
    [PORT_STDOUT] = PORT_NAME_STDOUT,
    [PORT_STDERR] = PORT_NAME_STDERR,
};

/* The port whose name the entry of the class folder has, or -1: a name comes a moment after its
 * port. */
static int port_identify(int class_fd, const char *entry)
{
    char path[PORT_NODE_SIZE], name[PORT_NAME_SIZE];
    mvm_autoclose int fd = -EBADF;
    ssize_t n;

    if (snprintf(path, sizeof(path), "%s/name", entry) >= (int) sizeof(path))
        return -1;
    fd = openat(class_fd, path, O_RDONLY | O_CLOEXEC);
    n = fd < 0 ? -1 : read(fd, name, sizeof(name) - 1);
    if (n <= 0)
        return -1;
    name[n] = '\0';
    name[strcspn(name, "\n")] = '\0';
    for (int i = 0; i < PORT_COUNT; i++)
        if (strcmp(name, port_names[i]) == 0)
            return i;
    return -1;
}

static int port_open_node(struct ports *p, int index, const char *entry, mvm_error **err)
{
    char node[PORT_NODE_SIZE];

    if (p->opened[index])
        return 0;
    (void) snprintf(node, sizeof(node), "/dev/%s",
                    entry); /* fits: an entry has at most 255 bytes */
    p->fd[index] = open(node, O_RDWR | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (p->fd[index] < 0 && errno != ENOENT) /* devtmpfs may be a moment behind */
        return mvm_fail(err, MVM_E_SYS, errno, "open the port %s (%s)", port_names[index], node);
    p->opened[index] = p->fd[index] >= 0;
    return 0;
}

/* Opens all of our ports that are there. */
static int ports_scan(struct ports *p, mvm_error **err)
{
    DIR *dir = opendir(PORTS_CLASS_DIR);
    struct dirent *entry;
    int r = 0;

    /* The folder comes with the driver, which is loaded by now: no use in waiting. */
    if (!dir)
        return mvm_fail(err, MVM_E_SYS, errno, "open " PORTS_CLASS_DIR);
    while (r == 0 && (entry = readdir(dir))) {
        int index = entry->d_name[0] == '.' ? -1 : port_identify(dirfd(dir), entry->d_name);

        if (index >= 0)
            r = port_open_node(p, index, entry->d_name, err);
    }
    (void) closedir(dir);
    return r;
}

struct port_wanted {
    struct ports *ports;
    enum port_index index;
};

static int port_is_there(void *user, mvm_error **err)
{
    struct port_wanted *wanted = user;
    int r = 0;

    if (!wanted->ports->opened[wanted->index])
        r = ports_scan(wanted->ports, err);
    return r < 0 ? r : wanted->ports->opened[wanted->index];
}

int ports_open(struct ports *p, enum port_index index, mvm_error **err)
{
    struct port_wanted wanted = { .ports = p, .index = index };

    return uevent_wait_for(port_is_there, &wanted, port_names[index], err);
}

void ports_deinit(struct ports *p)
{
    for (int i = 0; i < PORT_COUNT; i++)
        if (p->fd[i] >= 0)
            (void) close(steal_fd(&p->fd[i]));
}
