/* SPDX-License-Identifier: Apache-2.0 */
/* A document from outside: whatever is taken is no deeper than promised, has no NUL in a string,
 * and its getters agree with its types. */
#include "base/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

static void check_key(const json_t *object, const char *key, const json_t *value)
{
    mvm_autovalue(strv) strings = { .items = NULL };
    mvm_autoerror mvm_error *e = NULL;
    const char *text = NULL;
    json_t *inner = NULL;
    uint64_t n = 0;
    bool b = false, unset = json_is_null(value);
    int r;

    r = json_get_str(object, key, &text, &e);
    check((r == 0) == (unset || json_is_string(value)));
    check((text != NULL) == json_is_string(value));
    r = json_get_u64(object, key, 1000, &n, &e);
    check(n <= 1000 && (r < 0 || unset || json_is_integer(value)));
    r = json_get_bool(object, key, &b, &e);
    check((r == 0) == (unset || json_is_boolean(value)));
    r = json_get_object(object, key, &inner, &e);
    check((r == 0) == (unset || json_is_object(value)));
    r = json_get_array(object, key, &inner, &e);
    check((r == 0) == (unset || json_is_array(value)));
    (void) json_get_strv(object, key, &strings, &e); /* for its memory alone */
}

static void check_value(json_t *value, unsigned depth)
{
    const char *key;
    json_t *inner;
    size_t i;

    if (json_is_string(value))
        check(strlen(json_string_value(value)) == json_string_length(value));
    if (json_is_object(value) || json_is_array(value))
        check(depth < JSON_DEPTH_MAX);
    json_object_foreach(value, key, inner)
    {
        check_key(value, key, inner);
        check_value(inner, depth + 1);
    }
    json_array_foreach(value, i, inner) check_value(inner, depth + 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    mvm_autojson json_t *j = NULL;
    mvm_autoerror mvm_error *e = NULL;
    int r = json_parse((const char *) data, size, "input", &j, &e);

    check((r == 0) == (j != NULL) && (r == 0) == (e == NULL));
    if (j)
        check_value(j, 0);
    return 0;
}
