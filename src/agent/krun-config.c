/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bytes are those of the reference (H-55, H-56), with the escapes that every release of
 * libkrun's init decodes: \u00XX for quotes and control characters (H-62), raw UTF-8 above (H-61).
 * Between host and guest of this project any text survives; libkrun before 1.19 damages a backslash
 * however it is written (H-63).
 */
#include "agent/krun-config.h"

#include "agent/json-reader.h"
#include "base/scan.h"

#include <stdbool.h>

void krun_config_deinit(struct krun_config *c)
{
    strv_deinit(&c->cmd);
    strv_deinit(&c->env);
    free(c->workdir);
    c->workdir = NULL;
}

static int encode_string(struct strbuf *out, const char *text, const char *key, mvm_error **err)
{
    if (!scan_is_utf8(text, strlen(text)))
        return mvm_fail(err, MVM_E_ARG, 0, "%s: '%s' is not UTF-8", key, text);
    strbuf_addc(out, '"');
    for (const char *p = text; *p; p++) {
        unsigned char c = (unsigned char) *p;

        if (c == '"' || c < 0x20)
            strbuf_addf(out, "\\u%04x", c);
        else if (c == '\\')
            strbuf_adds(out, "\\\\");
        else
            strbuf_addc(out, *p);
    }
    strbuf_addc(out, '"');
    return 0;
}

/* An absent list is null where the reference has none (Cmd, H-53), and [] where it always has one
 * (Env). */
static int encode_list(struct strbuf *out, const struct strv *list, const char *key,
                       const char *empty, mvm_error **err)
{
    strbuf_addf(out, "  \"%s\": ", key);
    if (list->n == 0) {
        strbuf_adds(out, empty);
        return 0;
    }
    for (size_t i = 0; i < list->n; i++) {
        int r;

        strbuf_adds(out, i == 0 ? "[\n    " : ",\n    ");
        r = encode_string(out, list->items[i], key, err);
        if (r < 0)
            return r;
    }
    strbuf_adds(out, "\n  ]");
    return 0;
}

int krun_config_encode(const struct krun_config *c, struct strbuf *out, mvm_error **err)
{
    int r;

    strbuf_adds(out, "{\n");
    r = encode_list(out, &c->cmd, "Cmd", "null", err);
    if (r < 0)
        return r;
    strbuf_adds(out, ",\n");
    r = encode_list(out, &c->env, "Env", "[]", err);
    if (r < 0)
        return r;
    strbuf_adds(out, ",\n  \"WorkingDir\": ");
    r = encode_string(out, c->workdir ? c->workdir : "/", "WorkingDir", err);
    if (r < 0)
        return r;
    strbuf_adds(out, "\n}");
    if (out->len > KRUN_CONFIG_MAX)
        return mvm_fail(err, MVM_E_LIMIT, 0, "command and environment: more than %u bytes",
                        KRUN_CONFIG_MAX);
    return strbuf_check(out, "command and environment", err);
}

/* What the keys of K-13 mean. Each may be given once, by whichever of its names. */
enum field {
    FIELD_ARGS,
    FIELD_ENV,
    FIELD_CWD,
    FIELD_ENTRYPOINT,
    FIELD_PROCESS,
    FIELD_COUNT
};

static const struct {
    const char *key;
    enum field field;
} field_keys[] = {
    { "Cmd", FIELD_ARGS },        { "args", FIELD_ARGS },
    { "Env", FIELD_ENV },         { "env", FIELD_ENV },
    { "WorkingDir", FIELD_CWD },  { "Cwd", FIELD_CWD },
    { "cwd", FIELD_CWD },         { "Entrypoint", FIELD_ENTRYPOINT },
    { "process", FIELD_PROCESS },
};

struct decoder {
    struct json_reader reader;
    struct krun_config config;
    struct strv entrypoint;
    bool seen[FIELD_COUNT];
};

static void decoder_deinit(struct decoder *d)
{
    krun_config_deinit(&d->config);
    strv_deinit(&d->entrypoint);
}
MVM_DEFINE_AUTOVALUE(decoder, decoder_deinit)

static int decode_list(struct json_reader *reader, struct strv *list, mvm_error **err)
{
    int r;

    r = json_reader_enter(reader, JSON_KIND_ARRAY, err);
    if (r < 0)
        return r;
    while ((r = json_reader_next_element(reader, err)) > 0) {
        mvm_autofree char *text = NULL;

        r = json_reader_string(reader, &text, err);
        if (r < 0)
            return r;
        if (strv_add(list, text) < 0)
            return mvm_fail_nomem(err);
    }
    return r;
}

static int decode_object(struct decoder *d, bool in_process, mvm_error **err);

static int decode_field(struct decoder *d, enum field field, mvm_error **err)
{
    enum json_kind kind;
    int r;

    r = json_reader_peek(&d->reader, &kind, err);
    if (r < 0)
        return r;
    if (kind == JSON_KIND_NULL)
        return json_reader_skip(&d->reader, err);
    switch (field) {
    case FIELD_ARGS:
        return decode_list(&d->reader, &d->config.cmd, err);
    case FIELD_ENV:
        return decode_list(&d->reader, &d->config.env, err);
    case FIELD_CWD:
        return json_reader_string(&d->reader, &d->config.workdir, err);
    case FIELD_ENTRYPOINT:
        return decode_list(&d->reader, &d->entrypoint, err);
    default:
        return decode_object(d, true, err);
    }
}

static int decode_member(struct decoder *d, const char *key, bool in_process, mvm_error **err)
{
    for (size_t i = 0; i < ARRAY_SIZE(field_keys); i++) {
        enum field field = field_keys[i].field;
        int r;

        if (strcmp(key, field_keys[i].key) != 0 || (in_process && field == FIELD_PROCESS))
            continue;
        if (d->seen[field])
            return mvm_fail(err, MVM_E_FORMAT, 0, "'%s': given twice", key);
        d->seen[field] = true;
        r = decode_field(d, field, err);
        return r < 0 ? mvm_context(err, r, "'%s'", key) : 0;
    }
    return json_reader_skip(&d->reader, err);
}

static int decode_object(struct decoder *d, bool in_process, mvm_error **err)
{
    int r;

    r = json_reader_enter(&d->reader, JSON_KIND_OBJECT, err);
    if (r < 0)
        return r;
    for (;;) {
        mvm_autofree char *key = NULL;

        r = json_reader_next_member(&d->reader, &key, err);
        if (r <= 0)
            return r;
        r = decode_member(d, key, in_process, err);
        if (r < 0)
            return r;
    }
}

int krun_config_decode(const char *text, size_t len, struct krun_config *ret, mvm_error **err)
{
    mvm_autovalue(decoder) d = { .reader = JSON_READER_INIT(text, len) };
    int r;

    if (len > KRUN_CONFIG_MAX)
        return mvm_fail(err, MVM_E_LIMIT, 0, "more than %u bytes", KRUN_CONFIG_MAX);
    r = decode_object(&d, false, err);
    if (r == 0)
        r = json_reader_end(&d.reader, err);
    if (r < 0)
        return r;
    if (strv_copy(&d.entrypoint, &d.config.cmd) < 0)
        return mvm_fail_nomem(err);

    *ret = (struct krun_config){
        .cmd = d.entrypoint,
        .env = d.config.env,
        .workdir = steal_ptr(&d.config.workdir),
    };
    d.entrypoint = (struct strv){ .items = NULL };
    d.config.env = (struct strv){ .items = NULL };
    return 0;
}
