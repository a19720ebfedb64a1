/* SPDX-License-Identifier: Apache-2.0 */
/* Write: the items of a stream, into a tree. */
#include "guest/agent/methods.h"
#include "guest/agent/server.h"
#include "guest/agent/tree-writer.h"

static int write_open(struct call *c, struct bytes_view request, mvm_error **err)
{
    struct server *server = call_server(c);
    struct tree_writer *w;
    int r = server_add_tree(server, err);

    (void) request; /* empty: the items follow */
    if (r < 0)
        return r;
    w = c->state = malloc(sizeof(*w));
    if (!w) {
        server->n_trees--;
        return mvm_fail_nomem(err);
    }
    tree_writer_init(w, server->machine->root_fd);
    return 0;
}

static int write_context(const struct call *c, int r, mvm_error **err)
{
    const struct tree_writer *w = c->state;

    return r < 0 && w->path ? mvm_context(err, r, "%s", w->path) : r;
}

static int write_message(struct call *c, struct bytes_view message, mvm_error **err)
{
    mvm_autovalue(agent_item) m = { .path = NULL };
    int r = agent_write_input_decode(message.data, message.len, &m, err);

    if (r == 0)
        r = tree_writer_add(c->state, &m, err);
    return write_context(c, r, err);
}

static int write_closed(struct call *c, mvm_error **err)
{
    struct tree_writer *w = c->state;
    int r = tree_writer_finish(w, err);

    if (r < 0)
        return write_context(c, r, err);
    agent_write_response_encode(&w->result, call_message(c));
    call_answer(c);
    return 0;
}

static void write_release(struct call *c)
{
    struct tree_writer *w = c->state;

    if (!w)
        return;
    tree_writer_deinit(w);
    free(w);
    call_server(c)->n_trees--;
}

const struct call_type call_write = {
    .method = "Write",
    .client_streams = true,
    .open = write_open,
    .message = write_message,
    .closed = write_closed,
    .release = write_release,
};
