/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The messages of proto/agent.proto as C values: the one encoder and decoder, over nanopb. Decoding
 * checks UTF-8 and NUL in strings, NUL in paths, counts and ranges, and takes unknown fields for
 * those of a newer peer, which are ignored; bytes and data are borrowed from the frame, strings are
 * owned. Encoders append to @out and leave a failure in it. A decoder writes *ret on success alone;
 * what is malformed is MVM_E_FORMAT, what is above a maximum MVM_E_LIMIT.
 */
#ifndef AGENT_MESSAGES_H
#define AGENT_MESSAGES_H

#include "agent/agent-limits.h"
#include "agent/ttrpc.h"
#include "base/mem.h"

#include <stdbool.h>

/* Most words of argv or env in one message. */
#define AGENT_WORDS_MAX 4096
/* Most bytes of a path, a name or a link's target, with the NUL: Linux' PATH_MAX. */
#define AGENT_PATH_MAX 4096
/* Most bytes of "user:group": two names as long as a component of a path. */
#define AGENT_USER_MAX 511
/* Bytes of a version's text. */
#define AGENT_VERSION_MAX 63
/* Greatest signal number of Linux. */
#define AGENT_SIGNAL_MAX 64

struct agent_start {
    struct strv argv;
    struct strv env; /* each NAME=VALUE */
    char *cwd;       /* owned; NULL: the config's */
    char *user;      /* owned; NULL: the config's */
    bool tty, stdin_open;
    uint16_t rows, cols;
    uint32_t output_window;
};
void agent_start_deinit(struct agent_start *s);
MVM_DEFINE_AUTOVALUE(agent_start, agent_start_deinit)

enum agent_input_kind {
    AGENT_INPUT_START = 1,
    AGENT_INPUT_STDIN,
    AGENT_INPUT_STDIN_END,
    AGENT_INPUT_SIGNAL,
    AGENT_INPUT_RESIZE,
    AGENT_INPUT_WINDOW,
    AGENT_INPUT_OUTPUT_CLOSED
};
struct agent_input {
    enum agent_input_kind kind;
    struct agent_start start;
    struct bytes_view data; /* STDIN, at most AGENT_DATA_MAX */
    uint32_t number;        /* SIGNAL: 1 to 64; WINDOW, OUTPUT_CLOSED: 1 or 2, the stream */
    uint32_t bytes;         /* WINDOW: not 0 */
    uint16_t rows, cols;    /* RESIZE */
};
void agent_input_deinit(struct agent_input *m);
MVM_DEFINE_AUTOVALUE(agent_input, agent_input_deinit)
void agent_input_encode(const struct agent_input *m, struct strbuf *out);
int agent_input_decode(const uint8_t *data, size_t len, struct agent_input *ret, mvm_error **err);

enum agent_output_kind {
    AGENT_OUTPUT_STARTED = 1,
    AGENT_OUTPUT_STDOUT,
    AGENT_OUTPUT_STDERR,
    AGENT_OUTPUT_STDIN_WINDOW,
    AGENT_OUTPUT_EXITED
};
struct agent_output {
    enum agent_output_kind kind;
    uint32_t pid;           /* STARTED */
    uint32_t window;        /* STARTED; STDIN_WINDOW: not 0 */
    struct bytes_view data; /* STDOUT, STDERR: at most AGENT_DATA_MAX */
    uint32_t status;        /* EXITED: 0 to 255 */
    uint32_t signal;        /* EXITED: 0 to 64 */
};
void agent_output_encode(const struct agent_output *m, struct strbuf *out);
int agent_output_decode(const uint8_t *data, size_t len, struct agent_output *ret, mvm_error **err);

struct agent_run_request {
    struct agent_start start;
    struct bytes_view input;
};
void agent_run_request_encode(const struct agent_run_request *m, struct strbuf *out);
int agent_run_request_decode(const uint8_t *data, size_t len, struct agent_run_request *ret,
                             mvm_error **err); /* deinit ret->start */
struct agent_run_response {
    uint32_t status, signal;
    struct bytes_view out, err;
    bool truncated;
};
void agent_run_response_encode(const struct agent_run_response *m, struct strbuf *out);
int agent_run_response_decode(const uint8_t *data, size_t len, struct agent_run_response *ret,
                              mvm_error **err);

struct agent_file {
    char *name;    /* owned; NULL stands for "" */
    uint32_t mode; /* of one of Linux' seven types */
    uint32_t uid, gid;
    uint64_t size; /* at most INT64_MAX */
    int64_t mtime_ns;
    char *link; /* owned; NULL: no symbolic link */
    uint32_t device_major, device_minor;
};
void agent_file_deinit(struct agent_file *f);
MVM_DEFINE_AUTOVALUE(agent_file, agent_file_deinit)
void agent_file_encode(const struct agent_file *f, struct strbuf *out);
int agent_file_decode(const uint8_t *data, size_t len, struct agent_file *ret, mvm_error **err);

/* StatRequest, ListRequest, ReadRequest: a path and two switches, absent where the call has none.
 */
struct agent_path_request {
    char *path; /* owned; absolute, else MVM_E_FORMAT */
    bool follow, recursive;
};
void agent_path_request_deinit(struct agent_path_request *m);
MVM_DEFINE_AUTOVALUE(agent_path_request, agent_path_request_deinit)
enum agent_path_call {
    AGENT_CALL_STAT,
    AGENT_CALL_LIST,
    AGENT_CALL_READ
};
void agent_path_request_encode(enum agent_path_call call, const struct agent_path_request *m,
                               struct strbuf *out);
int agent_path_request_decode(enum agent_path_call call, const uint8_t *data, size_t len,
                              struct agent_path_request *ret, mvm_error **err);

/* TreeItem (Read) and WriteInput (Write): TARGET in the latter alone. */
enum agent_item_kind {
    AGENT_ITEM_TARGET = 1,
    AGENT_ITEM_INFO,
    AGENT_ITEM_DATA
};
struct agent_item {
    enum agent_item_kind kind;
    char *path; /* owned: TARGET, absolute */
    bool own, parents;
    struct agent_file info;
    struct bytes_view data; /* at most AGENT_DATA_MAX */
};
void agent_item_deinit(struct agent_item *m);
MVM_DEFINE_AUTOVALUE(agent_item, agent_item_deinit)
void agent_tree_item_encode(const struct agent_item *m, struct strbuf *out);
int agent_tree_item_decode(const uint8_t *data, size_t len, struct agent_item *ret,
                           mvm_error **err);
void agent_write_input_encode(const struct agent_item *m, struct strbuf *out);
int agent_write_input_decode(const uint8_t *data, size_t len, struct agent_item *ret,
                             mvm_error **err);
struct agent_write_response {
    uint64_t files, bytes;
};
void agent_write_response_encode(const struct agent_write_response *m, struct strbuf *out);
int agent_write_response_decode(const uint8_t *data, size_t len, struct agent_write_response *ret,
                                mvm_error **err);

struct agent_health {
    uint32_t protocol;
    char version[AGENT_VERSION_MAX + 1];
    bool ssh, main_running;
};
void agent_health_encode(const struct agent_health *m, struct strbuf *out);
int agent_health_decode(const uint8_t *data, size_t len, struct agent_health *ret, mvm_error **err);

struct agent_stats {
    uint64_t memory_total, memory_available;
    uint64_t cpu_user_ns, cpu_system_ns, cpu_idle_ns;
    uint32_t cpus, processes;
    uint64_t uptime_ns;
    uint64_t root_total, root_available;
    uint32_t execs, load_1m_milli;
};
void agent_stats_encode(const struct agent_stats *m, struct strbuf *out);
int agent_stats_decode(const uint8_t *data, size_t len, struct agent_stats *ret, mvm_error **err);

/* ClockRequest, ClockResponse, ShutdownRequest: one number each (field 1). */
void agent_number_encode(int64_t number, struct strbuf *out);
int agent_number_decode(const uint8_t *data, size_t len, int64_t *ret, mvm_error **err);

#endif
