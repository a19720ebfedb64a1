/* SPDX-License-Identifier: Apache-2.0 */
#include "runner/control-server.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/socket.h>

struct client {
    struct control_server *server; /* borrowed */
    int fd;                        /* owned; -EBADF: a free place */
    struct loop_source *source;    /* owned */
    uint64_t number;               /* of its coming */
};

struct control_server {
    struct loop *loop; /* borrowed */
    struct loop_source *source;
    int listen_fd; /* borrowed */
    control_wish_fn *fn;
    void *user;
    bool started;
    uint64_t n_come;
    struct client clients[CONTROL_CLIENTS_MAX];
};

static void client_end(struct client *c)
{
    loop_remove(c->source);
    c->source = NULL;
    if (c->fd >= 0)
        (void) close(steal_fd(&c->fd));
}

static void on_client(void *user, uint32_t events)
{
    struct client *c = user;
    struct control_message m;
    int r = 0;

    (void) events;
    /* A wish may end the whole server's VM, but never the server itself within this call. */
    while (c->fd >= 0 && (r = control_receive(c->fd, &m, NULL)) == 1)
        c->server->fn(c->server->user, &m);
    if (r < 0)
        client_end(c); /* gone, or talks nonsense: either way there is nothing to say to it */
}

/* A free place, made of that of the first comer where there is none. */
static struct client *take_place(struct control_server *cs)
{
    struct client *first = &cs->clients[0];

    for (size_t i = 0; i < ARRAY_SIZE(cs->clients); i++) {
        if (cs->clients[i].fd < 0)
            return &cs->clients[i];
        if (cs->clients[i].number < first->number)
            first = &cs->clients[i];
    }
    client_end(first);
    return first;
}

static void on_listen(void *user, uint32_t events)
{
    const struct control_message started = { .type = CONTROL_STARTED };
    struct control_server *cs = user;
    mvm_autoclose int fd = accept4(cs->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    struct client *c;

    (void) events;
    if (fd < 0)
        return;
    c = take_place(cs);
    if (loop_add_fd(cs->loop, fd, EPOLLIN, on_client, c, &c->source, NULL) < 0)
        return;
    c->fd = steal_fd(&fd);
    c->number = cs->n_come++;
    if (cs->started)
        (void) control_send(c->fd, &started, NULL); /* one that is gone shows as that next */
}

int control_server_new(struct loop *loop, int listen_fd, control_wish_fn *fn, void *user,
                       struct control_server **ret, mvm_error **err)
{
    mvm_auto(control_server) cs = calloc(1, sizeof(*cs));
    int r;

    if (!cs)
        return mvm_fail_nomem(err);
    cs->loop = loop;
    cs->listen_fd = listen_fd;
    cs->fn = fn;
    cs->user = user;
    for (size_t i = 0; i < ARRAY_SIZE(cs->clients); i++)
        cs->clients[i] = (struct client){ .server = cs, .fd = -EBADF };
    r = loop_add_fd(loop, listen_fd, EPOLLIN, on_listen, cs, &cs->source, err);
    if (r < 0)
        return r;
    *ret = steal_ptr(&cs);
    return 0;
}

void control_server_free(struct control_server *cs)
{
    if (!cs)
        return;
    loop_remove(cs->source);
    for (size_t i = 0; i < ARRAY_SIZE(cs->clients); i++)
        client_end(&cs->clients[i]);
    free(cs);
}

void control_server_close(struct control_server *cs)
{
    if (cs)
        loop_remove(steal_ptr(&cs->source));
}

void control_server_tell(struct control_server *cs, const struct control_message *m)
{
    if (!cs)
        return;
    cs->started = cs->started || m->type == CONTROL_STARTED;
    for (size_t i = 0; i < ARRAY_SIZE(cs->clients); i++)
        if (cs->clients[i].fd >= 0)
            (void) control_send(cs->clients[i].fd, m, NULL);
}
