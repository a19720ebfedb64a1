/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/exec-client.h"
#include "agent/test-server.h"

#include <fcntl.h>

/* A program in the guest as the server plays it. */
struct fixture {
    struct loop *loop;
    struct test_server server;
    struct agent_client *client;
    struct exec_client *exec;
    /* The program's streams, our ends and the caller's. */
    int near[3], far[3];
    /* What the server saw. */
    uint32_t stream;
    bool started_by_client, stdin_end;
    uint64_t stdin_bytes, windows[3];
    unsigned grants[3], closed[3];
    uint32_t signals[8];
    unsigned n_signals;
    uint16_t rows, cols;
    uint32_t output_window;
    bool stdin_open;
    /* What the caller saw. */
    uint32_t pid;
    bool ended;
    int r;
    uint32_t status, signal_number;
    char text[256];
    bool free_in_ended;
};

static void note_request(struct test_server *s, const struct ttrpc_header *h,
                         const struct ttrpc_request *m)
{
    struct fixture *f = s->user;

    assert_int_equal(m->method.len, 4);
    assert_memory_equal(m->method.data, "Exec", 4);
    assert_int_equal(h->flags, TTRPC_REMOTE_OPEN);
    f->stream = h->stream;
}

static void note_data(struct test_server *s, const struct ttrpc_header *h,
                      struct bytes_view payload)
{
    mvm_autovalue(agent_input) m = { .number = 0 };
    struct fixture *f = s->user;

    if (h->flags & TTRPC_NO_DATA)
        return;
    assert_int_equal(agent_input_decode(payload.data, payload.len, &m, NULL), 0);
    assert_true(f->started_by_client == (m.kind != AGENT_INPUT_START)); /* which comes first */
    f->started_by_client = true;
    switch (m.kind) {
    case AGENT_INPUT_START:
        assert_string_equal(m.start.argv.items[0], "cat");
        f->output_window = m.start.output_window;
        f->stdin_open = m.start.stdin_open;
        break;
    case AGENT_INPUT_STDIN:
        assert_false(f->stdin_end);
        f->stdin_bytes += m.data.len;
        break;
    case AGENT_INPUT_STDIN_END:
        f->stdin_end = true;
        break;
    case AGENT_INPUT_SIGNAL:
        f->signals[f->n_signals++ % 8] = m.number;
        break;
    case AGENT_INPUT_RESIZE:
        f->rows = m.rows;
        f->cols = m.cols;
        break;
    case AGENT_INPUT_WINDOW:
        f->windows[m.number] += m.bytes;
        f->grants[m.number]++;
        break;
    case AGENT_INPUT_OUTPUT_CLOSED:
        f->closed[m.number]++;
        break;
    }
}

static void on_started(void *user, uint32_t pid)
{
    struct fixture *f = user;

    f->pid = pid;
}

static void on_ended(void *user, int r, uint32_t status, uint32_t signal_number,
                     const mvm_error *err)
{
    struct fixture *f = user;

    assert_false(f->ended);
    f->ended = true;
    f->r = r;
    f->status = status;
    f->signal_number = signal_number;
    (void) snprintf(f->text, sizeof(f->text), "%s", mvm_error_message(err));
    if (f->free_in_ended) {
        exec_client_free(f->exec);
        f->exec = NULL;
    }
}

static const struct exec_client_handler handler = { .started = on_started, .ended = on_ended };

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    int fd;

    assert_non_null(f);
    assert_int_equal(loop_new(&f->loop, NULL), 0);
    fd = test_server_start(&f->server, f->loop);
    f->server.request = note_request;
    f->server.data = note_data;
    f->server.user = f;
    assert_int_equal(agent_client_new(f->loop, fd, NULL, NULL, &f->client, NULL), 0);
    for (int i = 0; i < 3; i++) {
        int fds[2];

        assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
        f->near[i] = fds[i > 0];
        f->far[i] = fds[i == 0];
        if (i > 0)
            assert_int_equal(fcntl(f->far[i], F_SETFL, O_NONBLOCK), 0);
    }
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    exec_client_free(f->exec);
    agent_client_free(f->client);
    test_server_stop(&f->server);
    loop_free(f->loop);
    for (int i = 0; i < 3; i++)
        if (f->far[i] >= 0)
            (void) close(f->far[i]);
    free(f);
    return 0;
}

static void far_close(struct fixture *f, int i)
{
    (void) close(f->far[i]);
    f->far[i] = -EBADF;
}

static void begin(struct fixture *f)
{
    mvm_autovalue(agent_start) start = { .rows = 1 };
    struct exec_client_spec spec = { .start = &start,
                                     .fds = { f->near[0], f->near[1], f->near[2] },
                                     .handler = &handler,
                                     .user = f };

    assert_int_equal(strv_add(&start.argv, "cat"), 0);
    assert_int_equal(exec_client_new(f->client, &spec, &f->exec, NULL), 0);
    test_run_ready(f->loop);
    assert_true(f->started_by_client);
}

static void answer(struct fixture *f, const struct agent_output *m)
{
    mvm_autovalue(strbuf) buf = STRBUF_INIT(AGENT_FRAME_MAX);

    agent_output_encode(m, &buf);
    assert_int_equal(buf.failed, 0);
    test_server_send(&f->server, f->stream, 0, bytes_view_of(buf.data, buf.len));
    test_run_ready(f->loop);
}

static void answer_started(struct fixture *f, uint32_t stdin_window)
{
    answer(f, &(struct agent_output){
                  .kind = AGENT_OUTPUT_STARTED, .pid = 42, .window = stdin_window });
}

static void answer_output(struct fixture *f, int number, const void *data, size_t len)
{
    answer(f,
           &(struct agent_output){ .kind = number == 1 ? AGENT_OUTPUT_STDOUT : AGENT_OUTPUT_STDERR,
                                   .data = bytes_view_of(data, len) });
}

static void answer_exit(struct fixture *f, uint32_t status, uint32_t signal_number)
{
    answer(f, &(struct agent_output){
                  .kind = AGENT_OUTPUT_EXITED, .status = status, .signal = signal_number });
    test_server_respond(&f->server, f->stream, 0, (struct bytes_view){ .len = 0 });
    test_run_ready(f->loop);
}

/* Bytes that the caller can read now. */
static size_t far_read(struct fixture *f, int i, char *first)
{
    char data[4096];
    size_t total = 0;
    ssize_t n;

    while ((n = read(f->far[i], data, sizeof(data))) > 0) {
        if (total == 0 && first)
            *first = data[0];
        total += (size_t) n;
    }
    return total;
}

static void program_runs_to_its_exit_status(void **state)
{
    struct fixture *f = *state;
    char first = 0;

    begin(f);
    assert_int_equal(f->output_window, AGENT_WINDOW);
    assert_true(f->stdin_open);
    assert_int_equal(write(f->far[0], "abc", 3), 3);
    test_run_ready(f->loop);
    assert_int_equal(f->stdin_bytes, 0); /* nothing was granted yet */
    answer_started(f, 2);
    assert_int_equal(f->pid, 42);
    assert_int_equal(f->stdin_bytes, 2); /* no more than granted */
    answer(f, &(struct agent_output){ .kind = AGENT_OUTPUT_STDIN_WINDOW, .window = 100 });
    assert_int_equal(f->stdin_bytes, 3);
    assert_false(f->stdin_end);
    far_close(f, 0);
    test_run_ready(f->loop);
    assert_true(f->stdin_end);
    answer_output(f, 1, "out", 3);
    answer_output(f, 2, "error", 5);
    assert_int_equal(far_read(f, 1, &first), 3);
    assert_int_equal(first, 'o');
    assert_int_equal(far_read(f, 2, &first), 5);
    assert_int_equal(first, 'e');
    answer_exit(f, 137, 9);
    assert_true(f->ended);
    assert_int_equal(f->r, 0);
    assert_int_equal(f->status, 137);
    assert_int_equal(f->signal_number, 9);
    assert_int_equal(exec_client_signal(f->exec, 15, NULL), MVM_E_STATE);
}

static void signals_and_sizes_are_passed_on(void **state)
{
    struct fixture *f = *state;

    begin(f);
    assert_int_equal(exec_client_signal(f->exec, 0, NULL), MVM_E_ARG);
    assert_int_equal(exec_client_signal(f->exec, AGENT_SIGNAL_MAX + 1, NULL), MVM_E_ARG);
    assert_int_equal(exec_client_signal(f->exec, AGENT_SIGNAL_MAX, NULL), 0);
    assert_int_equal(exec_client_resize(f->exec, 50, 132, NULL), 0);
    test_run_ready(f->loop);
    assert_int_equal(f->n_signals, 1);
    assert_int_equal(f->signals[0], AGENT_SIGNAL_MAX);
    assert_int_equal(f->rows, 50);
    assert_int_equal(f->cols, 132);
}

static void stalled_output_stops_neither_the_other_nor_signals(void **state)
{
    static const uint8_t data[AGENT_DATA_MAX];
    struct fixture *f = *state;
    size_t got = 0;

    begin(f);
    answer_started(f, 0);
    /* All of the window, of which a pipe takes a part and the rest is held. */
    for (size_t sent = 0; sent < AGENT_WINDOW; sent += sizeof(data))
        answer_output(f, 1, data, sizeof(data));
    assert_true(f->windows[1] < AGENT_WINDOW);
    answer_output(f, 2, "still here", 10);
    assert_int_equal(far_read(f, 2, NULL), 10);
    assert_int_equal(exec_client_signal(f->exec, 15, NULL), 0);
    test_run_ready(f->loop);
    assert_int_equal(f->signals[0], 15);
    /* The end waits for what is held, and all of it comes. */
    answer_exit(f, 0, 0);
    assert_false(f->ended);
    while (!f->ended) {
        size_t n = far_read(f, 1, NULL);

        assert_true(n > 0);
        got += n;
        test_run_ready(f->loop);
    }
    got += far_read(f, 1, NULL);
    assert_int_equal(got, AGENT_WINDOW);
    assert_int_equal(f->r, 0);
}

static void window_is_granted_anew_as_bytes_are_written(void **state)
{
    static const uint8_t data[AGENT_DATA_MAX];
    struct fixture *f = *state;
    uint64_t sent = 0;

    begin(f);
    answer_started(f, 0);
    for (int i = 0; i < 64; i++) {
        assert_true(sent + sizeof(data) <= AGENT_WINDOW + f->windows[1]);
        answer_output(f, 1, data, sizeof(data));
        sent += sizeof(data);
        (void) far_read(f, 1, NULL);
        test_run_ready(f->loop);
    }
    assert_true(f->windows[1] <= sent);
    assert_true(sent - f->windows[1] <= AGENT_WINDOW);
    assert_in_range(f->grants[1], 16, 40); /* not one for each message */
    assert_int_equal(f->windows[2], 0);
}

static void more_output_than_granted_ends_the_call(void **state)
{
    static const uint8_t data[AGENT_DATA_MAX];
    struct fixture *f = *state;

    begin(f);
    answer_started(f, 0);
    for (size_t sent = 0; sent < AGENT_WINDOW; sent += sizeof(data))
        answer_output(f, 2, data, sizeof(data));
    answer_output(f, 2, data, 1);
    for (int i = 0; i < 100 && !f->ended; i++) {
        (void) far_read(f, 2, NULL);
        test_run_ready(f->loop);
    }
    /* A window that was granted anew meanwhile is one: what was read here came before the byte. */
    assert_true(f->ended);
    assert_int_equal(f->r, MVM_E_FORMAT);
    assert_non_null(strstr(f->text, "stream 2: 1 bytes where 0 were granted"));
}

static void closed_output_is_told_once_and_the_rest_dropped(void **state)
{
    static const uint8_t data[AGENT_DATA_MAX];
    struct fixture *f = *state;

    begin(f);
    answer_started(f, 0);
    far_close(f, 1);
    for (int i = 0; i < 16; i++)
        answer_output(f, 1, data, sizeof(data));
    assert_int_equal(f->closed[1], 1);
    assert_int_equal(f->closed[2], 0);
    assert_true(f->windows[1] >= 12 * sizeof(data)); /* dropped, yet the program goes on */
    answer_exit(f, 141, 13);
    assert_true(f->ended);
    assert_int_equal(f->status, 141);
}

static void program_without_streams_has_its_output_dropped(void **state)
{
    static const uint8_t data[AGENT_DATA_MAX];
    struct fixture *f = *state;

    for (int i = 0; i < 3; i++) {
        (void) close(f->near[i]);
        f->near[i] = -EBADF;
    }
    begin(f);
    assert_false(f->stdin_open);
    answer_started(f, 100);
    assert_true(f->stdin_end); /* a guest whose config has an open stdin is not left waiting */
    for (int i = 0; i < 16; i++)
        answer_output(f, 2, data, sizeof(data));
    assert_int_equal(f->closed[2], 0);
    answer_exit(f, 7, 0);
    assert_int_equal(f->status, 7);
}

static void program_that_cannot_start_is_told_apart(void **state)
{
    struct fixture *f = *state;

    begin(f);
    test_server_respond(&f->server, f->stream, TTRPC_NOT_FOUND, bytes_view_of("cat: none", 9));
    test_run_until(f->loop, &f->ended);
    assert_int_equal(f->r, MVM_E_NOT_FOUND);
    assert_string_equal(f->text, "cat: none");
}

static void messages_out_of_turn_end_the_call(void **state)
{
    static const struct agent_output out = { .kind = AGENT_OUTPUT_STDOUT };
    static const struct agent_output exited = { .kind = AGENT_OUTPUT_EXITED };
    static const struct agent_output started = { .kind = AGENT_OUTPUT_STARTED };
    static const struct agent_output *const cases[][3] = { { &out },
                                                           { &exited },
                                                           { &started, &started },
                                                           { &started, &exited, &out },
                                                           { &started, &exited, &exited } };

    (void) state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        void *fresh = NULL;
        struct fixture *f;

        (void) setup(&fresh);
        f = fresh;
        begin(f);
        for (size_t k = 0; k < 3 && cases[i][k]; k++) {
            assert_false(f->ended);
            answer(f, cases[i][k]);
        }
        assert_true(f->ended);
        assert_int_equal(f->r, MVM_E_FORMAT);
        assert_non_null(strstr(f->text, "out of turn"));
        (void) teardown(&fresh);
    }
}

static void end_without_exit_status_is_an_error(void **state)
{
    struct fixture *f = *state;

    begin(f);
    answer_started(f, 0);
    test_server_respond(&f->server, f->stream, 0, (struct bytes_view){ .len = 0 });
    test_run_until(f->loop, &f->ended);
    assert_int_equal(f->r, MVM_E_FORMAT);
    assert_string_equal(f->text, "the guest's agent ended the call without an exit status");
}

static void lost_connection_is_told_after_the_output_is_written(void **state)
{
    static const uint8_t data[AGENT_DATA_MAX];
    struct fixture *f = *state;
    size_t got = 0;

    begin(f);
    answer_started(f, 0);
    for (size_t sent = 0; sent < AGENT_WINDOW; sent += sizeof(data))
        answer_output(f, 1, data, sizeof(data));
    test_server_close(&f->server);
    test_run_ready(f->loop);
    assert_false(f->ended);
    agent_client_free(f->client); /* its owner need not wait for the reader */
    f->client = NULL;
    for (int i = 0; i < 1000 && !f->ended; i++) {
        got += far_read(f, 1, NULL);
        test_run_ready(f->loop);
    }
    got += far_read(f, 1, NULL);
    assert_int_equal(got, AGENT_WINDOW);
    assert_int_equal(f->r, MVM_E_NET);
}

static void stdin_waits_for_the_connection(void **state)
{
    struct fixture *f = *state;
    int zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);

    (void) close(f->near[0]);
    f->near[0] = zero; /* never at its end */
    begin(f);
    answer_started(f, 100u << 20);
    f->server.deaf = true;
    test_server_watch(&f->server);
    for (int i = 0; i < 500; i++)
        assert_int_equal(loop_run_once(f->loop, 0, NULL), 0);
    /* It has stopped: a signal is still taken. */
    assert_int_equal(exec_client_signal(f->exec, 2, NULL), 0);
    f->server.deaf = false;
    test_server_watch(&f->server);
    for (int i = 0; i < 500 && f->n_signals == 0; i++)
        assert_int_equal(loop_run_once(f->loop, 10, NULL), 0);
    assert_int_equal(f->signals[0], 2);
    assert_true(f->stdin_bytes > AGENT_SEND_HIGH);
}

static void exec_client_may_be_freed_in_ended(void **state)
{
    struct fixture *f = *state;

    f->free_in_ended = true;
    begin(f);
    answer_started(f, 0);
    answer_exit(f, 0, 0);
    assert_true(f->ended);
    assert_null(f->exec);
}

int main(void)
{
#define EXEC_TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        EXEC_TEST(program_runs_to_its_exit_status),
        EXEC_TEST(signals_and_sizes_are_passed_on),
        EXEC_TEST(stalled_output_stops_neither_the_other_nor_signals),
        EXEC_TEST(window_is_granted_anew_as_bytes_are_written),
        EXEC_TEST(more_output_than_granted_ends_the_call),
        EXEC_TEST(closed_output_is_told_once_and_the_rest_dropped),
        EXEC_TEST(program_without_streams_has_its_output_dropped),
        EXEC_TEST(program_that_cannot_start_is_told_apart),
        EXEC_TEST(messages_out_of_turn_end_the_call),
        EXEC_TEST(end_without_exit_status_is_an_error),
        EXEC_TEST(lost_connection_is_told_after_the_output_is_written),
        EXEC_TEST(stdin_waits_for_the_connection),
        EXEC_TEST(exec_client_may_be_freed_in_ended),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
