/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/guest-config.h"

#include "agent/json-reader.h"

void guest_config_encode(const struct guest_config *c, struct strbuf *out)
{
    if (c->disable_ssh)
        strbuf_adds(out, "{\"disable_ssh\":true}");
}

/* What null is for: the value stays as it is. */
static int take_bool(struct json_reader *reader, bool *ret, mvm_error **err)
{
    enum json_kind kind;
    int r = json_reader_peek(reader, &kind, err);

    if (r < 0)
        return r;
    return kind == JSON_KIND_NULL ? json_reader_skip(reader, err)
                                  : json_reader_bool(reader, ret, err);
}

static int take_members(struct json_reader *reader, struct guest_config *c, mvm_error **err)
{
    int r = json_reader_enter(reader, JSON_KIND_OBJECT, err);

    while (r == 0) {
        mvm_autofree char *key = NULL;

        r = json_reader_next_member(reader, &key, err);
        if (r <= 0)
            return r;
        if (strcmp(key, "disable_ssh") == 0)
            r = take_bool(reader, &c->disable_ssh, err);
        else
            r = json_reader_skip(reader, err);
        if (r < 0)
            return mvm_context(err, r, "'%s'", key);
    }
    return r;
}

int guest_config_decode(const char *text, size_t len, struct guest_config *ret, mvm_error **err)
{
    struct json_reader reader = JSON_READER_INIT(text, len);
    struct guest_config c = { .disable_ssh = false };
    enum json_kind kind;
    int r;

    *ret = c;
    if (len > GUEST_CONFIG_MAX)
        return mvm_fail(err, MVM_E_LIMIT, 0, "more than %u bytes", GUEST_CONFIG_MAX);
    r = json_reader_peek(&reader, &kind, err);
    if (r == 0)
        r = kind == JSON_KIND_NULL ? json_reader_skip(&reader, err)
                                   : take_members(&reader, &c, err);
    if (r == 0)
        r = json_reader_end(&reader, err);
    if (r == 0)
        *ret = c;
    return r;
}
