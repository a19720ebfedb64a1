/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/guest-config.h"

#include "agent/json-reader.h"
#include "base/io.h"
#include "base/scan.h"

#include <fcntl.h>
#include <sys/stat.h>

static void free_mounts(struct guest_config *c)
{
    for (size_t i = 0; i < c->n_mounts; i++)
        free(c->mounts[i].tag);
    free(steal_ptr(&c->mounts));
    c->n_mounts = 0;
}

void guest_config_deinit(struct guest_config *c)
{
    free_mounts(c);
    *c = (struct guest_config){ .mounts = NULL };
}

void guest_config_encode(const struct guest_config *c, struct strbuf *out)
{
    if (c->disable_ssh)
        strbuf_adds(out, "{\"disable_ssh\":true}");
}

/* 1: the value that comes next is @kind. 0: it was null, and is left behind. */
static int expect(struct json_reader *in, enum json_kind kind, const char *word, mvm_error **err)
{
    enum json_kind found;
    int r = json_reader_peek(in, &found, err);

    if (r < 0)
        return r;
    if (found == JSON_KIND_NULL)
        return json_reader_skip(in, err);
    if (found != kind)
        return mvm_fail(err, MVM_E_FORMAT, 0, "is not %s", word);
    return 1;
}

/* The blanks before the value, and the value itself. */
static int read_raw(struct json_reader *in, const char **ret_text, size_t *ret_len, mvm_error **err)
{
    enum json_kind kind;
    size_t start;
    int r = json_reader_peek(in, &kind, err);

    if (r < 0)
        return r;
    start = in->pos;
    r = json_reader_skip(in, err);
    *ret_text = in->text + start;
    *ret_len = in->pos - start;
    return r;
}

static int read_bool(struct json_reader *in, bool *ret, mvm_error **err)
{
    const char *text = NULL;
    size_t len = 0;
    int r = expect(in, JSON_KIND_BOOL, "true or false", err);

    if (r <= 0)
        return r;
    r = read_raw(in, &text, &len, err);
    if (r == 0)
        *ret = len == 4; /* true */
    return r;
}

/* The reference takes a number in the form of an integer alone: no fraction, no exponent. */
static int read_u32(struct json_reader *in, uint32_t *ret, mvm_error **err)
{
    const char *text = NULL;
    uint64_t number = 0;
    size_t len = 0;
    int r = expect(in, JSON_KIND_NUMBER, "a number", err);

    if (r <= 0)
        return r;
    r = read_raw(in, &text, &len, err);
    if (r < 0)
        return r;
    if (!scan_u64(text, len, UINT32_MAX, &number))
        return mvm_fail(err, MVM_E_FORMAT, 0, "is no integer from 0 to %u", UINT32_MAX);
    *ret = (uint32_t) number;
    return 0;
}

static int read_mount_member(struct json_reader *in, const char *key, struct guest_mount *m,
                             mvm_error **err)
{
    char *tag = NULL;
    int r;

    if (strcmp(key, "read_only") == 0)
        return read_bool(in, &m->read_only, err);
    if (strcmp(key, "tag") != 0)
        return json_reader_skip(in, err);
    r = expect(in, JSON_KIND_STRING, "a string", err);
    if (r > 0)
        r = json_reader_string(in, &tag, err);
    if (r == 0 && tag) {
        free(m->tag);
        m->tag = tag;
    }
    return r;
}

static int read_mount(struct json_reader *in, struct guest_mount *m, mvm_error **err)
{
    int r = expect(in, JSON_KIND_OBJECT, "an object", err);

    if (r <= 0)
        return r;
    r = json_reader_enter(in, JSON_KIND_OBJECT, err);
    while (r >= 0) {
        mvm_autofree char *key = NULL;

        r = json_reader_next_member(in, &key, err);
        if (r <= 0)
            break;
        r = read_mount_member(in, key, m, err);
        if (r < 0)
            r = mvm_context(err, r, "%s", key);
    }
    return r;
}

static int read_mounts(struct json_reader *in, struct guest_config *c, mvm_error **err)
{
    size_t cap = 0;
    int r = expect(in, JSON_KIND_ARRAY, "an array", err);

    if (r <= 0)
        return r;
    free_mounts(c);
    r = json_reader_enter(in, JSON_KIND_ARRAY, err);
    while (r >= 0 && (r = json_reader_next_element(in, err)) > 0) {
        if (c->n_mounts == GUEST_CONFIG_MOUNTS_MAX)
            return mvm_fail(err, MVM_E_LIMIT, 0, "more than %d entries", GUEST_CONFIG_MOUNTS_MAX);
        if (mem_grow(&c->mounts, &cap, c->n_mounts, sizeof(*c->mounts)) < 0)
            return mvm_fail_nomem(err);
        c->mounts[c->n_mounts] = (struct guest_mount){ .tag = NULL };
        r = read_mount(in, &c->mounts[c->n_mounts++], err);
    }
    return r;
}

static int read_member(struct json_reader *in, const char *key, struct guest_config *c,
                       mvm_error **err)
{
    if (strcmp(key, "tmp_size_mib") == 0)
        return read_u32(in, &c->tmp_size_mib, err);
    if (strcmp(key, "disable_ssh") == 0)
        return read_bool(in, &c->disable_ssh, err);
    if (strcmp(key, "virtiofs_mounts") == 0)
        return read_mounts(in, c, err);
    return json_reader_skip(in, err);
}

static int read_config(struct json_reader *in, struct guest_config *c, mvm_error **err)
{
    int r = expect(in, JSON_KIND_OBJECT, "an object", err);

    if (r > 0)
        r = json_reader_enter(in, JSON_KIND_OBJECT, err);
    else if (r == 0)
        return json_reader_end(in, err);
    while (r >= 0) {
        mvm_autofree char *key = NULL;

        r = json_reader_next_member(in, &key, err);
        if (r <= 0)
            break;
        r = read_member(in, key, c, err);
        if (r < 0)
            r = mvm_context(err, r, "%s", key);
    }
    return r < 0 ? r : json_reader_end(in, err);
}

int guest_config_decode(const char *text, size_t len, struct guest_config *ret, mvm_error **err)
{
    struct json_reader in = JSON_READER_INIT(text, len);
    mvm_autovalue(guest_config) c = { .mounts = NULL };
    int r = read_config(&in, &c, err);

    *ret = (struct guest_config){ .mounts = NULL };
    if (r < 0)
        return r;
    *ret = c;
    c = (struct guest_config){ .mounts = NULL };
    return 0;
}

int guest_config_read(const char *path, struct guest_config *ret, mvm_error **err)
{
    /* Non-blocking, for a FIFO in the file's place. */
    mvm_autoclose int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    mvm_autofree char *text = NULL;
    struct stat st;
    size_t len = 0;
    int r;

    *ret = (struct guest_config){ .mounts = NULL };
    if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
        return 0;
    if (fd < 0 || fstat(fd, &st) < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "open %s", path);
    if (!S_ISREG(st.st_mode))
        return mvm_fail(err, MVM_E_FORMAT, 0, "%s is not a regular file", path);
    r = io_read_all(fd, GUEST_CONFIG_MAX, &text, &len, err);
    if (r == 0)
        r = guest_config_decode(text, len, ret, err);
    return r < 0 ? mvm_context(err, r, "%s", path) : 0;
}
