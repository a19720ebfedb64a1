/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"

/* jansson limits the depth to 2048, which is more than the stacks of callers should bear. Quotes
 * are tracked so that brackets in strings do not count. */
static bool json_too_deep(const char *text, size_t len)
{
    unsigned depth = 0;
    bool in_string = false;

    for (size_t i = 0; i < len; i++) {
        char c = text[i];

        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = false;
        } else if (c == '"') {
            in_string = true;
        } else if (c == '{' || c == '[') {
            if (++depth > JSON_DEPTH_MAX)
                return true;
        } else if ((c == '}' || c == ']') && depth > 0) {
            depth--;
        }
    }
    return false;
}

int json_parse(const char *text, size_t len, const char *what, json_t **ret, mvm_error **err)
{
    json_error_t e;
    json_t *j;

    if (json_too_deep(text, len))
        return mvm_fail(err, MVM_E_LIMIT, 0, "%s: nested deeper than %d levels", what,
                        JSON_DEPTH_MAX);
    j = json_loadb(text, len, JSON_REJECT_DUPLICATES, &e);
    if (!j)
        return mvm_fail(err, MVM_E_FORMAT, 0, "%s: not JSON: line %d: %s", what, e.line, e.text);
    *ret = j;
    return 0;
}

/* The value, or NULL for absent and null. */
static json_t *json_set_value(const json_t *object, const char *key)
{
    json_t *value = json_object_get(object, key);

    return json_is_null(value) ? NULL : value;
}

static int json_wrong_type(const char *key, const char *wanted, mvm_error **err)
{
    return mvm_fail(err, MVM_E_FORMAT, 0, "key '%s' is not %s", key, wanted);
}

int json_get_str(const json_t *object, const char *key, const char **ret, mvm_error **err)
{
    const json_t *value = json_set_value(object, key);

    if (value && !json_is_string(value))
        return json_wrong_type(key, "a string", err);
    *ret = value ? json_string_value(value) : NULL;
    return 0;
}

int json_need_str(const json_t *object, const char *key, const char **ret, mvm_error **err)
{
    const char *text = NULL;
    int r = json_get_str(object, key, &text, err);

    if (r < 0)
        return r;
    if (!text)
        return mvm_fail(err, MVM_E_FORMAT, 0, "key '%s' is missing", key);
    *ret = text;
    return 0;
}

int json_get_u64(const json_t *object, const char *key, uint64_t max, uint64_t *ret,
                 mvm_error **err)
{
    const json_t *value = json_set_value(object, key);
    json_int_t n;

    if (!value) {
        *ret = 0;
        return 0;
    }
    if (!json_is_integer(value))
        return json_wrong_type(key, "a whole number", err);
    n = json_integer_value(value);
    if (n < 0 || (uint64_t) n > max)
        return mvm_fail(err, MVM_E_FORMAT, 0, "key '%s': %lld is not within 0 to %llu", key,
                        (long long) n, (unsigned long long) max);
    *ret = (uint64_t) n;
    return 0;
}

int json_get_bool(const json_t *object, const char *key, bool *ret, mvm_error **err)
{
    const json_t *value = json_set_value(object, key);

    if (value && !json_is_boolean(value))
        return json_wrong_type(key, "true or false", err);
    *ret = json_is_true(value);
    return 0;
}

int json_get_object(const json_t *object, const char *key, json_t **ret, mvm_error **err)
{
    json_t *value = json_set_value(object, key);

    if (value && !json_is_object(value))
        return json_wrong_type(key, "an object", err);
    *ret = value;
    return 0;
}

int json_get_array(const json_t *object, const char *key, json_t **ret, mvm_error **err)
{
    json_t *value = json_set_value(object, key);

    if (value && !json_is_array(value))
        return json_wrong_type(key, "an array", err);
    *ret = value;
    return 0;
}

int json_get_strv(const json_t *object, const char *key, struct strv *ret, mvm_error **err)
{
    json_t *array = NULL, *item;
    size_t i;
    int r = json_get_array(object, key, &array, err);

    if (r < 0)
        return r;
    json_array_foreach(array, i, item)
    {
        if (!json_is_string(item))
            return json_wrong_type(key, "an array of strings", err);
        if (strv_add(ret, json_string_value(item)) < 0)
            return mvm_fail_nomem(err);
    }
    return 0;
}
