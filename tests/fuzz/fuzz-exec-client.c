/* SPDX-License-Identifier: Apache-2.0 */
/* Arbitrary bytes are what the guest answers to a program's start, on stream 1. However it goes,
 * the end is told exactly once, and an exit status is one. */
#include "agent/exec-client.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void on_ended(void *user, int r, uint32_t status, uint32_t signal_number,
                     const mvm_error *err)
{
    bool *ended = user;

    require(!*ended && r == mvm_error_code(err));
    require(r < 0 || (status <= 255 && signal_number <= AGENT_SIGNAL_MAX));
    *ended = true;
}

static const struct exec_client_handler handler = { .ended = on_ended };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct agent_start start = { .rows = 24 };
    bool ended = false;
    struct loop *loop = NULL;
    struct agent_client *client = NULL;
    struct exec_client *exec = NULL;
    int fds[2];
    const struct exec_client_spec spec = { .start = &start,
                                           .fds = { open("/dev/null", O_RDONLY | O_CLOEXEC),
                                                    open("/dev/null", O_WRONLY | O_CLOEXEC), -1 },
                                           .handler = &handler,
                                           .user = &ended };

    require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0 &&
            loop_new(&loop, NULL) == 0 &&
            agent_client_new(loop, fds[0], NULL, NULL, &client, NULL) == 0 &&
            exec_client_new(client, &spec, &exec, NULL) == 0);
    if (size <= 65536) /* so that all of it fits a socket */
        require(send(fds[1], data, size, MSG_NOSIGNAL) == (ssize_t) size);
    (void) shutdown(fds[1], SHUT_WR);
    while (!ended)
        require(loop_run_once(loop, -1, NULL) == 0);
    exec_client_free(exec);
    agent_client_free(client);
    loop_free(loop);
    (void) close(fds[1]);
    return 0;
}
