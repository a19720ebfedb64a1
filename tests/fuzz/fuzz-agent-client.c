/* SPDX-License-Identifier: Apache-2.0 */
/* Arbitrary bytes are what the guest answers to four calls of each kind of stream. However it ends,
 * each call ends at most once, and all have ended when the connection has. */
#include "agent/client.h"

#include <stdlib.h>
#include <sys/socket.h>

#define CALLS 4

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct fuzz {
    bool ended[CALLS], closed;
};
struct fuzz_call {
    struct fuzz *fuzz;
    size_t i;
};

static void require(bool holds)
{
    if (!holds)
        abort();
}

static int on_message(void *user, struct bytes_view message, mvm_error **err)
{
    const struct fuzz_call *call = user;

    require(!call->fuzz->ended[call->i]);
    return message.len > 0 && message.data[0] == 'r' ? mvm_fail(err, MVM_E_FORMAT, 0, "refused")
                                                     : 0;
}

static void on_ended(void *user, int r, struct bytes_view payload, const mvm_error *err)
{
    const struct fuzz_call *call = user;

    require(!call->fuzz->ended[call->i] && r == mvm_error_code(err) &&
            (r == 0 || payload.len == 0));
    call->fuzz->ended[call->i] = true;
}

static void on_closed(void *user, const mvm_error *err)
{
    struct fuzz *f = user;

    require(err && !f->closed);
    f->closed = true;
}

static const struct agent_call_handler handler = { .message = on_message, .ended = on_ended };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz f = { .closed = false };
    struct fuzz_call users[CALLS];
    struct loop *loop = NULL;
    struct agent_client *client = NULL;
    int fds[2];

    if (size > 65536) /* so that all of it fits a socket */
        return 0;
    require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0 &&
            loop_new(&loop, NULL) == 0 &&
            agent_client_new(loop, fds[0], on_closed, &f, &client, NULL) == 0);
    for (size_t i = 0; i < CALLS; i++) {
        const struct agent_call_spec spec = { .method = "M",
                                              .streams = (enum agent_streams)(i % 3),
                                              .handler = &handler,
                                              .user = &users[i] };
        struct agent_call *call = NULL;

        users[i] = (struct fuzz_call){ .fuzz = &f, .i = i };
        require(agent_call_start(client, &spec, &call, NULL) == 0);
    }
    require(send(fds[1], data, size, MSG_NOSIGNAL) == (ssize_t) size);
    (void) shutdown(fds[1], SHUT_WR);
    while (!f.closed)
        require(loop_run_once(loop, -1, NULL) == 0);
    for (size_t i = 0; i < CALLS; i++)
        require(f.ended[i]);
    agent_client_free(client);
    loop_free(loop);
    (void) close(fds[1]);
    return 0;
}
