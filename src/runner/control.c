/* SPDX-License-Identifier: Apache-2.0 */
#include "runner/control.h"

#include "base/json.h"

#include <stdio.h>
#include <sys/socket.h>

static const char *const type_names[CONTROL_TYPES] = {
    [CONTROL_SIGNAL] = "signal", [CONTROL_RESIZE] = "resize",   [CONTROL_STOP] = "stop",
    [CONTROL_NOTICE] = "notice", [CONTROL_STARTED] = "started", [CONTROL_ENDED] = "ended",
    [CONTROL_FAILED] = "failed", [CONTROL_DETACH] = "detach"
};

static char *control_encode(const struct control_message *m)
{
    mvm_autojson json_t *j = json_object();

    if (json_object_set_new(j, "type", json_string(type_names[m->type])) < 0)
        return NULL;
    if (m->number && json_object_set_new(j, "number", json_integer(m->number)) < 0)
        return NULL;
    if (m->rows && json_object_set_new(j, "rows", json_integer(m->rows)) < 0)
        return NULL;
    if (m->cols && json_object_set_new(j, "cols", json_integer(m->cols)) < 0)
        return NULL;
    /* A guest's text need not be UTF-8; then the type and the number still arrive. */
    if (m->text[0] && json_object_set_new(j, "text", json_string(m->text)) < 0 &&
        json_object_set_new(j, "text", json_string("(text that is not UTF-8)")) < 0)
        return NULL;
    return json_dumps(j, JSON_COMPACT);
}

int control_send(int fd, const struct control_message *m, mvm_error **err)
{
    mvm_autofree char *text = control_encode(m);
    ssize_t n;

    if (!text)
        return mvm_fail_nomem(err);
    do
        n = send(fd, text, strlen(text), MSG_DONTWAIT | MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return mvm_fail(err, MVM_E_NET, errno, "send to the control socket");
    return 0;
}

static int decode_type(const json_t *j, enum control_type *ret, mvm_error **err)
{
    const char *name = NULL;
    int r = json_need_str(j, "type", &name, err);

    if (r < 0)
        return r;
    for (int i = 0; i < CONTROL_TYPES; i++)
        if (strcmp(name, type_names[i]) == 0) {
            *ret = (enum control_type) i;
            return 0;
        }
    return mvm_fail(err, MVM_E_FORMAT, 0, "unknown type '%s'", name);
}

static int decode_fields(const json_t *j, struct control_message *m, mvm_error **err)
{
    const json_t *number = json_object_get(j, "number");
    const char *text = NULL;
    uint64_t rows = 0, cols = 0;
    int r;

    r = decode_type(j, &m->type, err);
    if (r == 0)
        r = json_get_u64(j, "rows", UINT16_MAX, &rows, err);
    if (r == 0)
        r = json_get_u64(j, "cols", UINT16_MAX, &cols, err);
    if (r == 0)
        r = json_get_str(j, "text", &text, err);
    if (r < 0)
        return r;
    if (number && (!json_is_integer(number) || json_integer_value(number) < INT32_MIN ||
                   json_integer_value(number) > INT32_MAX))
        return mvm_fail(err, MVM_E_FORMAT, 0, "key 'number' is not a 32-bit number");
    if (text && strlen(text) >= sizeof(m->text))
        return mvm_fail(err, MVM_E_LIMIT, 0, "key 'text' has more than %d bytes",
                        CONTROL_TEXT_MAX - 1);
    m->number = (int32_t) json_integer_value(number);
    m->rows = (uint16_t) rows;
    m->cols = (uint16_t) cols;
    if (text)
        memcpy(m->text, text, strlen(text) + 1);
    return 0;
}

int control_decode(const char *text, size_t len, struct control_message *ret, mvm_error **err)
{
    mvm_autojson json_t *j = NULL;
    int r;

    memset(ret, 0, sizeof(*ret));
    r = json_parse(text, len, "control message", &j, err);
    if (r < 0)
        return r;
    r = decode_fields(j, ret, err);
    if (r < 0)
        return mvm_context(err, r, "control message");
    return 0;
}

int control_receive(int fd, struct control_message *ret, mvm_error **err)
{
    mvm_autofree char *packet = malloc(CONTROL_PACKET_MAX);
    ssize_t n;
    int r;

    if (!packet)
        return mvm_fail_nomem(err);
    /* A peer that closed without having read all gives ECONNRESET, once, in front of what it had
     * sent (unix(7) has it for SOCK_SEQPACKET as for streams): the end of file behind that counts.
     */
    do
        n = recv(fd, packet, CONTROL_PACKET_MAX, MSG_DONTWAIT | MSG_TRUNC);
    while (n < 0 && (errno == EINTR || errno == ECONNRESET));
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        return 0;
    if (n <= 0)
        return mvm_fail(err, MVM_E_NET, n < 0 ? errno : 0,
                        "the control socket's other end is gone");
    if (n > CONTROL_PACKET_MAX)
        return mvm_fail(err, MVM_E_LIMIT, 0, "control message: %zd bytes", n);
    r = control_decode(packet, (size_t) n, ret, err);
    return r < 0 ? r : 1;
}
