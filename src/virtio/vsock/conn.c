/* SPDX-License-Identifier: Apache-2.0 */
#include "virtio/vsock/device-internal.h"

#include "base/clock.h"

/* Host ports of connections from the host, as other machines number them: above those that programs
 * ask for. */
#define HOST_PORT_FIRST (1u << 30)

static struct conn **bucket_of(const struct vsock_device *v, uint32_t guest_port,
                               uint32_t host_port)
{
    uint32_t mixed = (guest_port * 0x9e3779b1u) ^ (host_port * 0x85ebca6bu);

    return (struct conn **) &v->buckets[(mixed >> 16) % VSOCK_BUCKETS];
}

struct conn *conn_new(struct vsock_device *v, enum conn_state state, int fd)
{
    struct conn *c = calloc(1, sizeof(*c));

    if (!c) {
        if (fd >= 0)
            (void) close(fd);
        return NULL;
    }
    c->device = v;
    c->state = state;
    c->fd = fd;
    c->next = v->conns;
    if (c->next)
        c->next->previous = c;
    v->conns = c;
    v->n_conns++;
    v->n_lines += state == CONN_LINE;
    c->window = v->promised < VSOCK_WINDOW_BUDGET ? VSOCK_WINDOW_LARGE : VSOCK_WINDOW_SMALL;
    v->promised += c->window;
    return c;
}

static void close_host(struct conn *c)
{
    loop_remove(steal_ptr(&c->source));
    if (c->fd >= 0)
        (void) close(steal_fd(&c->fd));
    held_drop(c);
    c->readable = false;
}

void conn_free(struct conn *c)
{
    struct vsock_device *v = c->device;

    close_host(c);
    conn_drop_address(c);
    conn_unready(c);
    conn_set_deadline(c, 0);
    if (c->previous)
        c->previous->next = c->next;
    else
        v->conns = c->next;
    if (c->next)
        c->next->previous = c->previous;
    v->n_conns--;
    v->n_agents -= c->is_agent;
    v->n_lines -= c->state == CONN_LINE;
    v->promised -= c->window;
    free(c);
}

bool conn_has_place(const struct vsock_device *v, bool agent)
{
    const unsigned apart = v->n_agents < VSOCK_AGENT_RESERVE ? v->n_agents : VSOCK_AGENT_RESERVE;

    return v->n_conns - apart < v->conns_max || (agent && apart < VSOCK_AGENT_RESERVE);
}

void conn_set_address(struct conn *c, uint32_t guest_port, uint32_t host_port)
{
    struct conn **bucket = bucket_of(c->device, guest_port, host_port);

    c->guest_port = guest_port;
    c->host_port = host_port;
    c->bucket_next = *bucket;
    *bucket = c;
    c->hashed = true;
}

void conn_drop_address(struct conn *c)
{
    struct conn **at = bucket_of(c->device, c->guest_port, c->host_port);

    if (!c->hashed)
        return;
    while (*at != c)
        at = &(*at)->bucket_next;
    *at = c->bucket_next;
    c->hashed = false;
}

struct conn *conn_find(const struct vsock_device *v, uint32_t guest_port, uint32_t host_port)
{
    struct conn *c = *bucket_of(v, guest_port, host_port);

    while (c && (c->guest_port != guest_port || c->host_port != host_port))
        c = c->bucket_next;
    return c;
}

/* There are a thousand connections at most: a free number is near. */
uint32_t conn_free_port(struct vsock_device *v, uint32_t guest_port)
{
    do {
        if (v->next_host_port < HOST_PORT_FIRST || v->next_host_port == VSOCK_PORT_ANY)
            v->next_host_port = HOST_PORT_FIRST;
        v->next_host_port++;
    } while (conn_find(v, guest_port, v->next_host_port - 1));
    return v->next_host_port - 1;
}

void conn_set_state(struct conn *c, enum conn_state state)
{
    c->device->n_lines -= c->state == CONN_LINE;
    c->device->n_lines += state == CONN_LINE;
    c->state = state;
    if (state == CONN_CLOSING) {
        close_host(c);
        c->owes = 0;
    }
}

void conn_set_deadline(struct conn *c, int ms)
{
    c->device->n_timed -= c->deadline_ms != 0;
    c->deadline_ms = ms > 0 ? clock_now_ms() + (uint64_t) ms : 0;
    c->device->n_timed += c->deadline_ms != 0;
}

void conn_ready(struct conn *c)
{
    struct vsock_device *v = c->device;

    if (c->is_ready)
        return;
    c->is_ready = true;
    c->ready_next = NULL;
    c->ready_previous = v->ready_last;
    *(v->ready_last ? &v->ready_last->ready_next : &v->ready_first) = c;
    v->ready_last = c;
}

void conn_unready(struct conn *c)
{
    struct vsock_device *v = c->device;

    if (!c->is_ready)
        return;
    c->is_ready = false;
    *(c->ready_previous ? &c->ready_previous->ready_next : &v->ready_first) = c->ready_next;
    *(c->ready_next ? &c->ready_next->ready_previous : &v->ready_last) = c->ready_previous;
}

void conn_owe(struct conn *c, uint8_t what)
{
    c->owes |= what;
    conn_ready(c);
}

void conn_reset(struct conn *c)
{
    const struct reset reset = { .cid = VSOCK_CID_HOST,
                                 .guest_port = c->guest_port,
                                 .host_port = c->host_port,
                                 .type = VSOCK_TYPE_STREAM };

    /* A guest that was not asked yet knows nothing of it. */
    if (c->hashed && !(c->owes & OWE_REQUEST))
        reset_queue(c->device, &reset);
    conn_free(c);
}

void reset_queue(struct vsock_device *v, const struct reset *reset)
{
    /* There is room for as many as may come before the guest's packets are no longer taken. */
    if (v->n_resets < VSOCK_RESETS_MAX)
        v->resets[(v->resets_at + v->n_resets++) % VSOCK_RESETS_MAX] = *reset;
}
