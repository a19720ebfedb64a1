/* SPDX-License-Identifier: Apache-2.0 */
/* The first byte chooses the message, the rest is one. What is accepted encodes to bytes that
 * decode to what encodes to the same bytes. */
#include "agent/messages.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Decodes @data and encodes it to @out; false when it is refused. */
typedef bool again_fn(const uint8_t *data, size_t len, struct strbuf *out);

static bool input_again(const uint8_t *data, size_t len, struct strbuf *out)
{
    mvm_autovalue(agent_input) m = { .number = 0 };

    if (agent_input_decode(data, len, &m, NULL) < 0)
        return false;
    agent_input_encode(&m, out);
    return true;
}

static bool output_again(const uint8_t *data, size_t len, struct strbuf *out)
{
    struct agent_output m;

    if (agent_output_decode(data, len, &m, NULL) < 0)
        return false;
    if (m.data.len > AGENT_DATA_MAX || m.status > 255 || m.signal > AGENT_SIGNAL_MAX)
        abort();
    agent_output_encode(&m, out);
    return true;
}

static bool run_request_again(const uint8_t *data, size_t len, struct strbuf *out)
{
    struct agent_run_request m;

    if (agent_run_request_decode(data, len, &m, NULL) < 0)
        return false;
    agent_run_request_encode(&m, out);
    agent_start_deinit(&m.start);
    return true;
}

static bool run_response_again(const uint8_t *data, size_t len, struct strbuf *out)
{
    struct agent_run_response m;

    if (agent_run_response_decode(data, len, &m, NULL) < 0)
        return false;
    agent_run_response_encode(&m, out);
    return true;
}

static bool file_again(const uint8_t *data, size_t len, struct strbuf *out)
{
    mvm_autovalue(agent_file) m = { .mode = 0 };

    if (agent_file_decode(data, len, &m, NULL) < 0)
        return false;
    agent_file_encode(&m, out);
    return true;
}

static bool path_again(enum agent_path_call call, const uint8_t *data, size_t len,
                       struct strbuf *out)
{
    mvm_autovalue(agent_path_request) m = { .path = NULL };

    if (agent_path_request_decode(call, data, len, &m, NULL) < 0)
        return false;
    if (m.path[0] != '/' || strlen(m.path) >= AGENT_PATH_MAX)
        abort();
    agent_path_request_encode(call, &m, out);
    return true;
}

static bool stat_again(const uint8_t *data, size_t len, struct strbuf *out)
{
    return path_again(AGENT_CALL_STAT, data, len, out);
}

static bool list_again(const uint8_t *data, size_t len, struct strbuf *out)
{
    return path_again(AGENT_CALL_LIST, data, len, out);
}

static bool read_again(const uint8_t *data, size_t len, struct strbuf *out)
{
    return path_again(AGENT_CALL_READ, data, len, out);
}

static bool tree_item_again(const uint8_t *data, size_t len, struct strbuf *out)
{
    mvm_autovalue(agent_item) m = { .own = false };

    if (agent_tree_item_decode(data, len, &m, NULL) < 0)
        return false;
    agent_tree_item_encode(&m, out);
    return true;
}

static bool write_input_again(const uint8_t *data, size_t len, struct strbuf *out)
{
    mvm_autovalue(agent_item) m = { .own = false };

    if (agent_write_input_decode(data, len, &m, NULL) < 0)
        return false;
    agent_write_input_encode(&m, out);
    return true;
}

static bool write_response_again(const uint8_t *data, size_t len, struct strbuf *out)
{
    struct agent_write_response m;

    if (agent_write_response_decode(data, len, &m, NULL) < 0)
        return false;
    agent_write_response_encode(&m, out);
    return true;
}

static bool health_again(const uint8_t *data, size_t len, struct strbuf *out)
{
    struct agent_health m;

    if (agent_health_decode(data, len, &m, NULL) < 0)
        return false;
    agent_health_encode(&m, out);
    return true;
}

static bool stats_again(const uint8_t *data, size_t len, struct strbuf *out)
{
    struct agent_stats m;

    if (agent_stats_decode(data, len, &m, NULL) < 0)
        return false;
    agent_stats_encode(&m, out);
    return true;
}

static bool number_again(const uint8_t *data, size_t len, struct strbuf *out)
{
    int64_t m;

    if (agent_number_decode(data, len, &m, NULL) < 0)
        return false;
    agent_number_encode(m, out);
    return true;
}

/* In the order of the letters that the seeds begin with, from 'a'. */
static again_fn *const kinds[] = { input_again,        output_again,         run_request_again,
                                   run_response_again, file_again,           stat_again,
                                   list_again,         read_again,           tree_item_again,
                                   write_input_again,  write_response_again, health_again,
                                   stats_again,        number_again };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    mvm_autovalue(strbuf) once = STRBUF_INIT(AGENT_FRAME_MAX * 2);
    mvm_autovalue(strbuf) twice = STRBUF_INIT(AGENT_FRAME_MAX * 2);
    again_fn *again;

    if (size == 0)
        return 0;
    again = kinds[(size_t) (uint8_t) (data[0] - 'a') % ARRAY_SIZE(kinds)];
    if (!again(data + 1, size - 1, &once))
        return 0;
    if (once.failed || !again((const uint8_t *) once.data, once.len, &twice) || twice.failed ||
        once.len != twice.len || (once.len > 0 && memcmp(once.data, twice.data, once.len) != 0))
        abort();
    return 0;
}
