/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/agent/session-internal.h"

#include <poll.h>
#include <sys/ioctl.h>
#include <termios.h>

static int input_fd(const struct session *s)
{
    return has_terminal(s) ? s->program.terminal_fd : s->program.in_fd;
}

void input_consumed(struct session *s, size_t n)
{
    bool ours = s->input_done; /* VEOF: not the client's bytes */

    s->input_at += n;
    if (s->input_at == s->input.len) {
        strbuf_reset(&s->input);
        s->input_at = 0;
    }
    if (n > 0 && !ours)
        s->events->taken(s->call, n);
}

static void close_input_pipe(struct session *s)
{
    loop_remove(steal_ptr(&s->in_source));
    if (s->program.in_fd >= 0)
        (void) close(steal_fd(&s->program.in_fd));
}

/* Called when the program has all that the client gave. */
static void input_finish(struct session *s)
{
    struct termios settings;
    bool whole_line = s->last_input == 0 || s->last_input == '\n';

    s->input_done = true;
    if (!has_terminal(s)) {
        close_input_pipe(s);
        return;
    }
    if (tcgetattr(s->program.terminal_fd, &settings) < 0 || !(settings.c_lflag & ICANON))
        return; /* a program that reads single bytes has no notion of an end */
    for (int i = whole_line; i < 2; i++)
        strbuf_addc(&s->input, (char) settings.c_cc[VEOF]); /* fits: the buffer is empty */
}

static void input_write(struct session *s)
{
    while (input_waiting(s) > 0) {
        int fd = input_fd(s);
        ssize_t n = fd < 0 ? -1 : write(fd, s->input.data + s->input_at, input_waiting(s));

        if (n < 0 && fd >= 0 && errno == EINTR)
            continue;
        if (n == 0 || (n < 0 && fd >= 0 && errno == EAGAIN))
            return;
        if (n < 0 && !has_terminal(s))
            close_input_pipe(s); /* nobody reads it: what comes is thrown away */
        input_consumed(s, n < 0 ? input_waiting(s) : (size_t) n);
    }
}

void input_pump(struct session *s)
{
    if (!s->started)
        return;
    input_write(s);
    if (input_waiting(s) == 0 && s->input_ending && !s->input_done) {
        input_finish(s);
        input_write(s);
    }
}

void outlet_close(struct outlet *o)
{
    o->done = true;
    o->fd = -EBADF;
}

bool outlet_read(struct outlet *o)
{
    struct session *s = o->session;
    size_t room = o->done ? 0 : s->events->room(s->call, o->stream);
    ssize_t n;

    if (s->draining && room > o->left)
        room = o->left;
    if (room == 0)
        return false;
    if (room > AGENT_DATA_MAX)
        room = AGENT_DATA_MAX;
    do
        n = read(o->fd, s->server->buffer, room);
    while (n < 0 && errno == EINTR);
    if (n > 0) {
        s->events->output(s->call, o->stream, s->server->buffer, (size_t) n);
        o->left -= s->draining ? (size_t) n : 0;
        o->done = s->draining && o->left == 0;
        return true;
    }
    /* A terminal gives EIO after its last user. */
    if (n == 0 || errno != EAGAIN || s->draining)
        outlet_close(o);
    return false;
}

void outlets_drain(struct session *s)
{
    for (int i = 0; i < 2; i++) {
        struct outlet *o = &s->out[i];
        int in_pipe = 0;

        if (!o->done && ioctl(o->fd, FIONREAD, &in_pipe) < 0)
            in_pipe = 0;
        o->left = in_pipe > SESSION_DRAIN_MIN ? (size_t) in_pipe : SESSION_DRAIN_MIN;
    }
    s->draining = true;
}

/* Nothing is in it. Needs no room, unlike a read. */
static bool outlet_is_empty(const struct outlet *o)
{
    struct pollfd p = { .fd = o->fd, .events = POLLIN };

    return poll(&p, 1, 0) >= 0 && !(p.revents & POLLIN);
}

bool outlets_are_empty(struct session *s)
{
    for (int i = 0; i < 2; i++) {
        while (outlet_read(&s->out[i]))
            continue; /* the room, or what is left, ends it */
        if (!s->out[i].done && outlet_is_empty(&s->out[i]))
            outlet_close(&s->out[i]);
    }
    return s->out[0].done && s->out[1].done;
}
