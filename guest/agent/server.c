/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/agent/server.h"

#include "guest/agent/conn.h"
#include "guest/agent/session.h"

#include <signal.h>

static void end_machine(void *user)
{
    const struct server *s = user;

    s->machine->end(s->machine->user);
}

/* Nobody but this process is left, or who is left may hang for ever. */
static void main_alone(struct server *s)
{
    struct session *session = steal_ptr(&s->main_session);

    loop_set_timer(s->reap_timer, -1);
    if (session)
        session_release(session);
}

static void on_reap_timer(void *user)
{
    main_alone(user);
}

static void on_alone(void *user)
{
    struct server *s = user;

    if (s->main == MAIN_ENDED)
        main_alone(s);
}

static void on_grace_timer(void *user)
{
    struct server *s = user;

    s->machine->kill_all(s->machine->user);
    loop_set_timer(s->end_timer, SERVER_REAP_MS + SERVER_FAREWELL_MS); /* whatever comes */
}

static int make_timers(struct server *s, mvm_error **err)
{
    int r;

    r = loop_add_timer(s->loop, -1, on_grace_timer, s, &s->grace_timer, err);
    if (r == 0)
        r = loop_add_timer(s->loop, -1, on_reap_timer, s, &s->reap_timer, err);
    if (r == 0)
        r = loop_add_timer(s->loop, s->failure ? SERVER_FAREWELL_MS : -1, end_machine, s,
                           &s->end_timer, err);
    return r;
}

int server_init(struct server *s, struct loop *l, const struct agent_machine *machine,
                const char *failure, mvm_error **err)
{
    int r;

    *s = (struct server){ .loop = l, .machine = machine };
    s->reaper = (struct reaper) REAPER_INIT;
    s->reaper.alone = on_alone;
    s->reaper.user = s;
    s->message = (struct strbuf) STRBUF_INIT(AGENT_FRAME_MAX);
    s->buffer = malloc(AGENT_DATA_MAX);
    s->failure = failure ? strdup(failure) : NULL;
    if (!s->buffer || (failure && !s->failure)) {
        server_deinit(s);
        return mvm_fail_nomem(err);
    }
    r = reaper_open(&s->reaper, l, err);
    if (r == 0)
        r = make_timers(s, err);
    if (r < 0)
        server_deinit(s);
    return r;
}

void server_deinit(struct server *s)
{
    while (s->conns) {
        s->conns->ends_machine = false; /* who ends us knows */
        conn_free(s->conns);
    }
    reaper_close(&s->reaper);
    loop_remove(steal_ptr(&s->grace_timer));
    loop_remove(steal_ptr(&s->reap_timer));
    loop_remove(steal_ptr(&s->end_timer));
    strbuf_deinit(&s->message);
    free(steal_ptr(&s->buffer));
    free(steal_ptr(&s->failure));
}

int server_add(struct server *s, int fd, bool connecting, mvm_error **err)
{
    struct conn *c;

    if (s->n_conns >= SERVER_CONNS_MAX) {
        (void) close(fd);
        return mvm_fail(err, MVM_E_LIMIT, 0, "more than %d connections", SERVER_CONNS_MAX);
    }
    return conn_new(s, fd, connecting, &c, err);
}

void server_farewell(struct server *s)
{
    if (!s->farewell)
        loop_set_timer(s->end_timer, SERVER_FAREWELL_MS);
    s->farewell = true;
}

int server_may_start(const struct server *s, bool is_main, mvm_error **err)
{
    if (s->stopping || s->main == MAIN_ENDED)
        return mvm_fail(err, MVM_E_STATE, 0, "the machine is about to end");
    if (is_main && s->main != MAIN_NONE)
        return mvm_fail(err, MVM_E_STATE, 0, "the main program was started already");
    if (s->n_sessions >= SERVER_SESSIONS_MAX)
        return mvm_fail(err, MVM_E_LIMIT, 0, "more than %d programs at once", SERVER_SESSIONS_MAX);
    return 0;
}

int server_add_tree(struct server *s, mvm_error **err)
{
    if (s->n_trees >= SERVER_TREES_MAX)
        return mvm_fail(err, MVM_E_LIMIT, 0, "more than %d copies at once", SERVER_TREES_MAX);
    s->n_trees++;
    return 0;
}

void server_main_started(struct server *s, struct session *session, pid_t pid)
{
    s->main = MAIN_RUNNING;
    s->main_session = session;
    s->main_pid = pid;
}

/* With its main program the machine ends: nobody could start another. */
static void end_with(struct conn *c)
{
    c->ends_machine = true;
    conn_kick(c);
}

void server_main_failed(struct server *s, struct conn *c)
{
    s->main = MAIN_ENDED;
    s->main_session = NULL;
    s->main_pid = 0;
    s->machine->kill_all(s->machine->user);
    end_with(c);
}

void server_main_ended(struct server *s)
{
    s->main = MAIN_ENDED;
    s->main_pid = 0;
    loop_set_timer(s->grace_timer, -1);
    if (s->stopping) /* whether or not its output finds a reader */
        loop_set_timer(s->end_timer, SERVER_REAP_MS + SERVER_FAREWELL_MS);
    s->machine->kill_all(s->machine->user);
    loop_set_timer(s->reap_timer, SERVER_REAP_MS);
}

void server_main_delivered(struct server *s, struct conn *c)
{
    s->main_session = NULL;
    end_with(c);
}

void server_main_dropped(struct server *s)
{
    s->main = MAIN_ENDED;
    s->main_session = NULL;
    s->main_pid = 0;
    s->machine->kill_all(s->machine->user);
    s->machine->sync(s->machine->user);
    s->machine->end(s->machine->user);
}

void server_shutdown(struct server *s, struct conn *c, uint32_t grace_ms)
{
    if (grace_ms > SERVER_GRACE_MAX_MS)
        grace_ms = SERVER_GRACE_MAX_MS;
    s->stopping = true;
    if (s->main == MAIN_RUNNING && s->main_pid > 0) {
        s->machine->signal(s->machine->user, s->main_pid, SIGTERM);
        loop_set_timer(s->grace_timer, (int) grace_ms);
        return;
    }
    s->machine->kill_all(s->machine->user);
    s->machine->sync(s->machine->user);
    end_with(c);
}
