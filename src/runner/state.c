/* SPDX-License-Identifier: Apache-2.0 */
#include "runner/state.h"

#include "base/file.h"
#include "base/json.h"
#include "base/scan.h"

#include <time.h>

/* Most bytes of state.json that are read back. */
#define VM_STATE_MAX 65536

void vm_state_deinit(struct vm_state *s)
{
    free(s->name);
    free(s->image);
    free(s->digest);
    free(s->message);
    *s = (struct vm_state) VM_STATE_NONE;
}

static void put_str(json_t *j, const char *key, const char *value, bool *failed)
{
    if (value && *value && json_object_set_new(j, key, json_string(value)) < 0)
        *failed = true;
}

static void put_number(json_t *j, const char *key, int64_t value, bool *failed)
{
    if (json_object_set_new(j, key, json_integer(value)) < 0)
        *failed = true;
}

int vm_state_write(int dir_fd, const struct vm_state *s, mvm_error **err)
{
    mvm_autojson json_t *j = json_object();
    mvm_autofree char *text = NULL;
    bool failed = false;

    if (s->image && !scan_is_utf8(s->image, strlen(s->image)))
        return mvm_fail(err, MVM_E_ARG, 0, "'%s' is not valid UTF-8", s->image);
    put_str(j, "id", s->id, &failed);
    put_str(j, "name", s->name, &failed);
    put_str(j, "image", s->image, &failed);
    put_str(j, "digest", s->digest, &failed);
    failed |= json_object_set_new(j, "remove", json_boolean(s->remove)) < 0;
    put_number(j, "started", s->started_s, &failed);
    if (s->ended_s)
        put_number(j, "ended", s->ended_s, &failed);
    if (s->status >= 0)
        put_number(j, "status", s->status, &failed);
    /* A guest's text need not be UTF-8. */
    if (s->message && scan_is_utf8(s->message, strlen(s->message)))
        put_str(j, "message", s->message, &failed);
    text = failed ? NULL : json_dumps(j, JSON_COMPACT);
    if (!text)
        return mvm_fail_nomem(err);
    /* No VM outlives a crash of the system; what its state was then is nobody's concern. */
    return file_write_unsynced(dir_fd, VM_STATE_FILE, text, strlen(text), 0600, err);
}

static int take_text(const json_t *j, const char *key, char **to, mvm_error **err)
{
    const char *text = NULL;
    int r = json_get_str(j, key, &text, err);

    if (r < 0 || !text)
        return r;
    *to = strdup(text);
    return *to ? 0 : mvm_fail_nomem(err);
}

static int take_id(const json_t *j, char id[VM_STATE_ID_LEN + 1], mvm_error **err)
{
    const char *text = NULL;
    int r = json_need_str(j, "id", &text, err);

    if (r < 0)
        return r;
    if (strlen(text) != VM_STATE_ID_LEN)
        return mvm_fail(err, MVM_E_FORMAT, 0, "key 'id' has not %d digits", VM_STATE_ID_LEN);
    memcpy(id, text, VM_STATE_ID_LEN + 1);
    return 0;
}

static int take_all(const json_t *j, struct vm_state *s, mvm_error **err)
{
    uint64_t started = 0, ended = 0, status = 0;
    int r = take_id(j, s->id, err);

    if (r == 0)
        r = take_text(j, "name", &s->name, err);
    if (r == 0)
        r = take_text(j, "image", &s->image, err);
    if (r == 0)
        r = take_text(j, "digest", &s->digest, err);
    if (r == 0)
        r = take_text(j, "message", &s->message, err);
    if (r == 0)
        r = json_get_bool(j, "remove", &s->remove, err);
    if (r == 0)
        r = json_get_u64(j, "started", INT64_MAX, &started, err);
    if (r == 0)
        r = json_get_u64(j, "ended", INT64_MAX, &ended, err);
    if (r == 0)
        r = json_get_u64(j, "status", 255, &status, err);
    if (r < 0)
        return r;
    s->started_s = (int64_t) started;
    s->ended_s = (int64_t) ended;
    s->status = json_is_integer(json_object_get(j, "status")) ? (int) status : -1;
    return 0;
}

int vm_state_read(int dir_fd, struct vm_state *ret, mvm_error **err)
{
    mvm_autovalue(vm_state) s = VM_STATE_NONE;
    mvm_autofree char *text = NULL;
    mvm_autojson json_t *j = NULL;
    size_t len = 0;
    int r;

    r = file_read(dir_fd, VM_STATE_FILE, VM_STATE_MAX, &text, &len, err);
    if (r == 0 && len == 0) /* the system crashed */
        return mvm_fail(err, MVM_E_NOT_FOUND, 0, VM_STATE_FILE " is empty");
    if (r == 0)
        r = json_parse(text, len, VM_STATE_FILE, &j, err);
    if (r == 0 && !json_is_object(j))
        r = mvm_fail(err, MVM_E_FORMAT, 0, VM_STATE_FILE ": not an object");
    if (r == 0) {
        r = take_all(j, &s, err);
        if (r < 0)
            return mvm_context(err, r, VM_STATE_FILE);
    }
    if (r < 0)
        return r;
    *ret = s;
    s = (struct vm_state) VM_STATE_NONE;
    return 0;
}

int vm_state_end(int dir_fd, int status, const char *message, mvm_error **err)
{
    mvm_autovalue(vm_state) s = VM_STATE_NONE;
    int r = vm_state_read(dir_fd, &s, err);

    if (r < 0)
        return r;
    s.ended_s = time(NULL);
    s.status = status < 0 ? -1 : status & 255;
    free(s.message);
    s.message = message && *message ? strdup(message) : NULL; /* without memory: none */
    return vm_state_write(dir_fd, &s, err);
}
