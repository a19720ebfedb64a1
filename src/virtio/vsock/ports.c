/* SPDX-License-Identifier: Apache-2.0 */
#include "virtio/vsock/ports.h"

#include "base/scan.h"
#include "virtio/vsock/packet.h"

#include <stdbool.h>

static const struct {
    const char *name;
    bool has_port, has_fd, has_path; /* in this order, but for the path of a hybrid */
} kinds[] = {
    [VSOCK_SERVE_CONNECT] = { "connect", true, false, true },
    [VSOCK_SERVE_LISTEN] = { "listen", true, true, false },
    [VSOCK_SERVE_HYBRID] = { "hybrid", false, true, true },
    [VSOCK_SERVE_ONCE] = { "once", true, true, false },
    [VSOCK_SERVE_AGENT] = { "agent", true, true, false },
};

void vsock_ports_deinit(struct vsock_ports *p)
{
    for (size_t i = 0; i < p->n; i++)
        free(p->items[i].path);
    free(p->items);
    *p = (struct vsock_ports){ .items = NULL };
}

static int check_serve(const struct vsock_serve *s, mvm_error **err)
{
    const size_t max = s->kind == VSOCK_SERVE_HYBRID ? VSOCK_HYBRID_PATH_MAX : VSOCK_PATH_MAX;

    if (kinds[s->kind].has_port && s->port == VSOCK_PORT_ANY)
        return mvm_fail(err, MVM_E_ARG, 0, "%u is no port", s->port);
    if (kinds[s->kind].has_fd && (s->fd < VSOCK_FD_MIN || s->fd > VSOCK_FD_MAX))
        return mvm_fail(err, MVM_E_ARG, 0, "descriptor %d is not within %d and %d", s->fd,
                        VSOCK_FD_MIN, VSOCK_FD_MAX);
    if (kinds[s->kind].has_path && (!s->path || s->path[0] != '/'))
        return mvm_fail(err, MVM_E_ARG, 0, "a socket's path starts with '/'");
    if (kinds[s->kind].has_path && strlen(s->path) > max)
        return mvm_fail(err, MVM_E_LIMIT, 0, "a socket's path of %zu bytes, at most %zu",
                        strlen(s->path), max);
    return 0;
}

/* The guest's connections to one port go to one place, as do those through one descriptor. A port
 * may be listened on twice, and be an agent's besides its "once". */
static bool serves_clash(const struct vsock_serve *a, const struct vsock_serve *b)
{
    const bool same_port = kinds[a->kind].has_port && kinds[b->kind].has_port && a->port == b->port;
    const bool reserved = (a->kind == VSOCK_SERVE_AGENT && b->kind != VSOCK_SERVE_ONCE) ||
                          (b->kind == VSOCK_SERVE_AGENT && a->kind != VSOCK_SERVE_ONCE);
    const bool both_take = (a->kind == VSOCK_SERVE_CONNECT || a->kind == VSOCK_SERVE_ONCE) &&
                           (b->kind == VSOCK_SERVE_CONNECT || b->kind == VSOCK_SERVE_ONCE);

    if (kinds[a->kind].has_fd && kinds[b->kind].has_fd && a->fd == b->fd)
        return true;
    if (a->kind == VSOCK_SERVE_HYBRID && b->kind == VSOCK_SERVE_HYBRID)
        return true;
    return same_port && (reserved || both_take);
}

int vsock_ports_add(struct vsock_ports *p, const struct vsock_serve *serve, mvm_error **err)
{
    struct vsock_serve copy = *serve;
    int r = check_serve(serve, err);

    if (r < 0)
        return r;
    if (p->n == VSOCK_SERVES_MAX)
        return mvm_fail(err, MVM_E_LIMIT, 0, "more than %d entries", VSOCK_SERVES_MAX);
    for (size_t i = 0; i < p->n; i++)
        if (serves_clash(&p->items[i], serve))
            return mvm_fail(err, MVM_E_ARG, 0, "goes against entry %zu", i + 1);
    if (!kinds[serve->kind].has_port)
        copy.port = 0;
    if (!kinds[serve->kind].has_fd)
        copy.fd = -EBADF;
    copy.path = kinds[serve->kind].has_path ? strdup(serve->path) : NULL;
    if ((kinds[serve->kind].has_path && !copy.path) ||
        mem_grow(&p->items, &p->cap, p->n + 1, sizeof(p->items[0])) < 0) {
        free(copy.path);
        return mvm_fail_nomem(err);
    }
    p->items[p->n++] = copy;
    return 0;
}

int vsock_ports_encode(const struct vsock_ports *p, struct strv *ret, mvm_error **err)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < p->n; i++) {
        const struct vsock_serve *s = &p->items[i];
        const char *name = kinds[s->kind].name;

        if (s->kind == VSOCK_SERVE_CONNECT)
            r = strv_addf(ret, "%s:%u:%s", name, s->port, s->path);
        else if (s->kind == VSOCK_SERVE_HYBRID)
            r = strv_addf(ret, "%s:%d:%s", name, s->fd, s->path);
        else
            r = strv_addf(ret, "%s:%u:%d", name, s->port, s->fd);
    }
    return r < 0 ? mvm_fail_nomem(err) : 0;
}

/* The text up to the next ':', or, for the last part, up to the end. */
static bool take_part(const char **at, bool last, const char **ret, size_t *ret_len)
{
    const char *colon = last ? *at + strlen(*at) : strchr(*at, ':');

    if (!colon)
        return false;
    *ret = *at;
    *ret_len = (size_t) (colon - *at);
    *at = last ? colon : colon + 1;
    return true;
}

static bool take_number(const char **at, bool last, uint64_t max, uint64_t *ret)
{
    const char *text;
    size_t len;

    return take_part(at, last, &text, &len) && scan_u64(text, len, max, ret) &&
           (len == 1 || text[0] != '0'); /* one spelling each */
}

static bool parse_kind(const char **at, enum vsock_serve_kind *ret)
{
    const char *name;
    size_t len;

    if (!take_part(at, false, &name, &len))
        return false;
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
        if (strlen(kinds[i].name) == len && memcmp(kinds[i].name, name, len) == 0) {
            *ret = (enum vsock_serve_kind) i;
            return true;
        }
    return false;
}

static int parse_word(const char *word, struct vsock_ports *ret, mvm_error **err)
{
    struct vsock_serve s = { .fd = -EBADF };
    uint64_t port = 0, fd = 0;
    const char *at = word;

    if (!parse_kind(&at, &s.kind))
        return mvm_fail(err, MVM_E_ARG, 0,
                        "starts with none of connect:, listen:, hybrid:, once:, "
                        "agent:");
    if (kinds[s.kind].has_port && !take_number(&at, false, UINT32_MAX, &port))
        return mvm_fail(err, MVM_E_ARG, 0, "lacks a port");
    if (kinds[s.kind].has_fd && !take_number(&at, !kinds[s.kind].has_path, INT32_MAX, &fd))
        return mvm_fail(err, MVM_E_ARG, 0, "lacks a descriptor");
    s.port = (uint32_t) port;
    if (kinds[s.kind].has_fd)
        s.fd = (int) fd;
    s.path = (char *) at; /* copied */
    return vsock_ports_add(ret, &s, err);
}

int vsock_ports_decode(char *const *words, struct vsock_ports *ret, mvm_error **err)
{
    mvm_autovalue(vsock_ports) ports = { .items = NULL };

    for (; *words; words++) {
        int r = parse_word(*words, &ports, err);

        if (r < 0)
            return mvm_context(err, r, "'%s'", *words);
    }
    *ret = ports;
    ports = (struct vsock_ports){ .items = NULL };
    return 0;
}
