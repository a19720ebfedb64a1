/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/messages.h"
#include "agent/wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <cmocka.h>

#define BUF(name) mvm_autovalue(strbuf) name = STRBUF_INIT(AGENT_FRAME_MAX)
#define BYTES(b) (const uint8_t *) (b)->data, (b)->len

static struct agent_start start_sample(void)
{
    struct agent_start s = { .tty = true,
                             .stdin_open = true,
                             .rows = UINT16_MAX,
                             .cols = 80,
                             .output_window = AGENT_WINDOW };

    assert_int_equal(strv_add(&s.argv, "sh"), 0);
    assert_int_equal(strv_add(&s.argv, ""), 0);
    assert_int_equal(strv_add(&s.argv, "é"), 0);
    assert_int_equal(strv_add(&s.env, "A="), 0);
    s.cwd = strdup("/tmp");
    s.user = strdup("1000:users");
    return s;
}

static void assert_start(const struct agent_start *a, const struct agent_start *b)
{
    assert_int_equal(a->argv.n, b->argv.n);
    for (size_t i = 0; i < a->argv.n; i++)
        assert_string_equal(a->argv.items[i], b->argv.items[i]);
    assert_int_equal(a->env.n, b->env.n);
    assert_string_equal(a->env.items[0], b->env.items[0]);
    assert_string_equal(a->cwd, b->cwd);
    assert_string_equal(a->user, b->user);
    assert_int_equal(a->tty, b->tty);
    assert_int_equal(a->stdin_open, b->stdin_open);
    assert_int_equal(a->rows, b->rows);
    assert_int_equal(a->cols, b->cols);
    assert_int_equal(a->output_window, b->output_window);
}

static void start_decodes_as_encoded(void **state)
{
    (void) state;
    mvm_autovalue(agent_input) m = { .kind = AGENT_INPUT_START, .start = start_sample() };
    mvm_autovalue(agent_input) back = { .number = 0 };
    mvm_autovalue(agent_input) none = { .kind = AGENT_INPUT_START };
    mvm_autovalue(agent_input) none_back = { .number = 0 };
    BUF(buf);
    BUF(empty);

    agent_input_encode(&m, &buf);
    assert_int_equal(agent_input_decode(BYTES(&buf), &back, NULL), 0);
    assert_int_equal(back.kind, AGENT_INPUT_START);
    assert_start(&back.start, &m.start);
    agent_input_encode(&none, &empty);
    assert_int_equal(agent_input_decode(BYTES(&empty), &none_back, NULL), 0);
    assert_int_equal(none_back.kind, AGENT_INPUT_START);
    assert_null(none_back.start.cwd);
    assert_null(none_back.start.user);
    assert_int_equal(none_back.start.argv.n, 0);
}

static void inputs_decode_as_encoded(void **state)
{
    (void) state;
    static const struct agent_input cases[] = {
        { .kind = AGENT_INPUT_STDIN, .data = { (const uint8_t *) "a\0b", 3 } },
        { .kind = AGENT_INPUT_STDIN }, /* no byte, yet there */
        { .kind = AGENT_INPUT_STDIN_END },
        { .kind = AGENT_INPUT_SIGNAL, .number = 64 },
        { .kind = AGENT_INPUT_RESIZE, .rows = 65535, .cols = 0 },
        { .kind = AGENT_INPUT_WINDOW, .number = 1, .bytes = UINT32_MAX },
        { .kind = AGENT_INPUT_OUTPUT_CLOSED, .number = 2 },
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        mvm_autovalue(agent_input) back = { .number = 0 };
        BUF(buf);

        agent_input_encode(&cases[i], &buf);
        assert_int_equal(agent_input_decode(BYTES(&buf), &back, NULL), 0);
        assert_int_equal(back.kind, cases[i].kind);
        assert_int_equal(back.number, cases[i].number);
        assert_int_equal(back.bytes, cases[i].bytes);
        assert_int_equal(back.rows, cases[i].rows);
        assert_int_equal(back.cols, cases[i].cols);
        assert_int_equal(back.data.len, cases[i].data.len);
    }
}

static void outputs_decode_as_encoded(void **state)
{
    (void) state;
    static const struct agent_output cases[] = {
        { .kind = AGENT_OUTPUT_STARTED, .pid = UINT32_MAX, .window = AGENT_WINDOW },
        { .kind = AGENT_OUTPUT_STDOUT, .data = { (const uint8_t *) "out", 3 } },
        { .kind = AGENT_OUTPUT_STDERR, .data = { (const uint8_t *) "error", 5 } },
        { .kind = AGENT_OUTPUT_STDERR },
        { .kind = AGENT_OUTPUT_STDIN_WINDOW, .window = 1 },
        { .kind = AGENT_OUTPUT_EXITED },
        { .kind = AGENT_OUTPUT_EXITED, .status = 137, .signal = 9 },
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct agent_output back;
        BUF(buf);

        agent_output_encode(&cases[i], &buf);
        assert_int_equal(agent_output_decode(BYTES(&buf), &back, NULL), 0);
        assert_int_equal(back.kind, cases[i].kind);
        assert_int_equal(back.pid, cases[i].pid);
        assert_int_equal(back.window, cases[i].window);
        assert_int_equal(back.status, cases[i].status);
        assert_int_equal(back.signal, cases[i].signal);
        assert_int_equal(back.data.len, cases[i].data.len);
        if (back.data.len > 0)
            assert_memory_equal(back.data.data, cases[i].data.data, back.data.len);
    }
}

static void run_decodes_as_encoded(void **state)
{
    (void) state;
    mvm_autovalue(agent_start) start = start_sample();
    struct agent_run_request m = { .start = start, .input = bytes_view_of("in", 2) }, back;
    const struct agent_run_response answer = { .status = 255,
                                               .signal = 64,
                                               .out = bytes_view_of("o", 1),
                                               .err = bytes_view_of("ee", 2),
                                               .truncated = true };
    struct agent_run_response answer_back;
    BUF(buf);
    BUF(answer_buf);

    agent_run_request_encode(&m, &buf);
    assert_int_equal(agent_run_request_decode(BYTES(&buf), &back, NULL), 0);
    assert_start(&back.start, &start);
    assert_int_equal(back.input.len, 2);
    agent_start_deinit(&back.start);
    agent_run_response_encode(&answer, &answer_buf);
    assert_int_equal(agent_run_response_decode(BYTES(&answer_buf), &answer_back, NULL), 0);
    assert_int_equal(answer_back.status, 255);
    assert_int_equal(answer_back.signal, 64);
    assert_memory_equal(answer_back.out.data, "o", 1);
    assert_memory_equal(answer_back.err.data, "ee", 2);
    assert_true(answer_back.truncated);
}

/* A name and a link's target that are no UTF-8, as Linux allows. */
static struct agent_file file_sample(void)
{
    return (struct agent_file){ .name = strdup("d/\xff\x80"),
                                .mode = S_IFLNK | 07777,
                                .uid = UINT32_MAX,
                                .gid = 7,
                                .size = INT64_MAX,
                                .mtime_ns = -1,
                                .link = strdup("../x"),
                                .device_major = 8,
                                .device_minor = UINT32_MAX };
}

static void assert_file(const struct agent_file *a, const struct agent_file *b)
{
    assert_string_equal(a->name, b->name);
    assert_string_equal(a->link, b->link);
    assert_int_equal(a->mode, b->mode);
    assert_int_equal(a->uid, b->uid);
    assert_int_equal(a->gid, b->gid);
    assert_int_equal(a->size, b->size);
    assert_int_equal(a->mtime_ns, b->mtime_ns);
    assert_int_equal(a->device_major, b->device_major);
    assert_int_equal(a->device_minor, b->device_minor);
}

static void file_decodes_as_encoded(void **state)
{
    (void) state;
    mvm_autovalue(agent_file) f = file_sample();
    mvm_autovalue(agent_file) back = { .mode = 0 };
    BUF(buf);

    agent_file_encode(&f, &buf);
    assert_int_equal(agent_file_decode(BYTES(&buf), &back, NULL), 0);
    assert_file(&back, &f);
}

static void items_decode_as_encoded(void **state)
{
    (void) state;
    mvm_autovalue(agent_item) info = { .kind = AGENT_ITEM_INFO, .info = file_sample() };
    mvm_autovalue(agent_item) data = { .kind = AGENT_ITEM_DATA, .data = bytes_view_of("da", 2) };
    mvm_autovalue(agent_item) target = {
        .kind = AGENT_ITEM_TARGET, .path = strdup("/\xfe"), .own = true, .parents = true
    };
    struct agent_item back[5];
    BUF(buf);

    agent_tree_item_encode(&info, &buf);
    assert_int_equal(agent_tree_item_decode(BYTES(&buf), &back[0], NULL), 0);
    assert_int_equal(back[0].kind, AGENT_ITEM_INFO);
    assert_file(&back[0].info, &info.info);
    agent_item_deinit(&back[0]);
    strbuf_reset(&buf);
    agent_tree_item_encode(&data, &buf);
    assert_int_equal(agent_tree_item_decode(BYTES(&buf), &back[1], NULL), 0);
    assert_int_equal(back[1].kind, AGENT_ITEM_DATA);
    assert_memory_equal(back[1].data.data, "da", 2);
    strbuf_reset(&buf);
    agent_write_input_encode(&info, &buf);
    assert_int_equal(agent_write_input_decode(BYTES(&buf), &back[2], NULL), 0);
    assert_file(&back[2].info, &info.info);
    agent_item_deinit(&back[2]);
    strbuf_reset(&buf);
    agent_write_input_encode(&target, &buf);
    assert_int_equal(agent_write_input_decode(BYTES(&buf), &back[3], NULL), 0);
    assert_int_equal(back[3].kind, AGENT_ITEM_TARGET);
    assert_string_equal(back[3].path, target.path);
    assert_true(back[3].own);
    assert_true(back[3].parents);
    agent_item_deinit(&back[3]);
    strbuf_reset(&buf);
    agent_write_input_encode(&data, &buf);
    assert_int_equal(agent_write_input_decode(BYTES(&buf), &back[4], NULL), 0);
    assert_int_equal(back[4].data.len, 2);
}

static void path_requests_decode_as_encoded(void **state)
{
    (void) state;
    static const struct {
        enum agent_path_call call;
        bool follow, recursive;
    } cases[] = { { AGENT_CALL_STAT, true, false },
                  { AGENT_CALL_LIST, false, false },
                  { AGENT_CALL_READ, false, true },
                  { AGENT_CALL_READ, true, false } };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        mvm_autovalue(agent_path_request) m = { .path = strdup("/a b"),
                                                .follow = cases[i].follow,
                                                .recursive = cases[i].recursive };
        mvm_autovalue(agent_path_request) back = { .path = NULL };
        BUF(buf);

        agent_path_request_encode(cases[i].call, &m, &buf);
        assert_int_equal(agent_path_request_decode(cases[i].call, BYTES(&buf), &back, NULL), 0);
        assert_string_equal(back.path, "/a b");
        assert_int_equal(back.follow, m.follow);
        assert_int_equal(back.recursive, m.recursive);
    }
}

static void state_messages_decode_as_encoded(void **state)
{
    (void) state;
    static const int64_t numbers[] = { 0, 1, -1, INT64_MAX, INT64_MIN };
    const struct agent_health health = { .protocol = 1, .version = "0.1.0", .main_running = true };
    const struct agent_stats stats = { 1, 2, 3, 4, 5, 6, 7, 8, 9, UINT64_MAX, 11, 12 };
    const struct agent_write_response written = { .files = 3, .bytes = UINT64_MAX };
    struct agent_health health_back;
    struct agent_stats stats_back;
    struct agent_write_response written_back;
    BUF(buf);

    agent_health_encode(&health, &buf);
    assert_int_equal(agent_health_decode(BYTES(&buf), &health_back, NULL), 0);
    assert_string_equal(health_back.version, "0.1.0");
    assert_int_equal(health_back.protocol, 1);
    assert_true(health_back.main_running);
    assert_false(health_back.ssh);
    strbuf_reset(&buf);
    agent_stats_encode(&stats, &buf);
    assert_int_equal(agent_stats_decode(BYTES(&buf), &stats_back, NULL), 0);
    assert_memory_equal(&stats_back, &stats, sizeof(stats));
    strbuf_reset(&buf);
    agent_write_response_encode(&written, &buf);
    assert_int_equal(agent_write_response_decode(BYTES(&buf), &written_back, NULL), 0);
    assert_memory_equal(&written_back, &written, sizeof(written));
    for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
        int64_t back = 42;

        strbuf_reset(&buf);
        agent_number_encode(numbers[i], &buf);
        assert_int_equal(agent_number_decode(BYTES(&buf), &back, NULL), 0);
        assert_true(back == numbers[i]);
    }
}

static void encoders_leave_a_failure_in_the_buffer(void **state)
{
    (void) state;
    mvm_autovalue(agent_input) m = { .kind = AGENT_INPUT_START, .start = start_sample() };
    mvm_autovalue(strbuf) buf = STRBUF_INIT(20);

    agent_input_encode(&m, &buf);
    assert_int_equal(buf.failed, MVM_E_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(start_decodes_as_encoded),
        cmocka_unit_test(inputs_decode_as_encoded),
        cmocka_unit_test(outputs_decode_as_encoded),
        cmocka_unit_test(run_decodes_as_encoded),
        cmocka_unit_test(file_decodes_as_encoded),
        cmocka_unit_test(items_decode_as_encoded),
        cmocka_unit_test(path_requests_decode_as_encoded),
        cmocka_unit_test(state_messages_decode_as_encoded),
        cmocka_unit_test(encoders_leave_a_failure_in_the_buffer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
