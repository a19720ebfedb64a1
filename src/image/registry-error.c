/* SPDX-License-Identifier: Apache-2.0 */
/* What a registry says when it says no (OCI distribution-spec, Error Codes). */
#include "base/json.h"
#include "base/strbuf.h"
#include "image/registry-internal.h"

/* Of an answer's body that is looked at for a reason; of a message made of it. */
#define ERROR_BODY_MAX (64u << 10)
#define ERROR_TEXT_MAX 1024

static const struct {
    long status;
    const char *text;
    int code;
} statuses[] = {
    { 400, " bad request", MVM_E_NET },       { 401, " unauthorized", MVM_E_AUTH },
    { 403, " forbidden", MVM_E_AUTH },        { 404, " not found", MVM_E_NOT_FOUND },
    { 410, " gone", MVM_E_NOT_FOUND },        { 416, " range not satisfiable", MVM_E_FORMAT },
    { 429, " too many requests", MVM_E_NET }, { 500, " internal server error", MVM_E_NET },
    { 502, " bad gateway", MVM_E_NET },       { 503, " service unavailable", MVM_E_NET },
    { 504, " gateway timeout", MVM_E_NET },
};

/* ": CODE: message" of each error in the list; nothing where the body is no such list. */
static void describe(const char *body, size_t len, struct strbuf *out)
{
    mvm_autojson json_t *root = NULL;
    json_t *list = NULL, *item;
    size_t i;

    if (json_parse(body, len, "error", &root, NULL) < 0 ||
        json_get_array(root, "errors", &list, NULL) < 0)
        return;
    json_array_foreach(list, i, item)
    {
        const char *code = json_string_value(json_object_get(item, "code"));
        const char *message = json_string_value(json_object_get(item, "message"));

        if (code)
            strbuf_addf(out, ": %.64s", code);
        if (message)
            strbuf_addf(out, ": %.200s", message);
    }
}

int registry_fail(struct http_response *r, const char *method, const char *url, mvm_error **err)
{
    mvm_autovalue(strbuf) reason = STRBUF_INIT(ERROR_TEXT_MAX);
    mvm_autofree char *body = NULL, *shown = url_for_message(url);
    const char *text = "";
    long status = http_status(r);
    int code = MVM_E_NET;
    size_t len = 0;

    for (size_t i = 0; i < ARRAY_SIZE(statuses); i++)
        if (statuses[i].status == status) {
            text = statuses[i].text;
            code = statuses[i].code;
        }
    /* A body that is too long or breaks off only takes the reason away. */
    if (http_read_all(r, ERROR_BODY_MAX, &body, &len, NULL) == 0)
        describe(body, len, &reason);
    return mvm_fail(err, code, 0, "%s %s: %ld%s%s", method, shown ? shown : "", status, text,
                    strbuf_str(&reason));
}
