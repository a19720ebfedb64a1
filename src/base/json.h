/* SPDX-License-Identifier: Apache-2.0 */
/* jansson with limits for documents from outside, and getters whose errors name the key. */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include "base/error.h"
#include "base/mem.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/* Nesting that a document from outside may have (image.md I-130). */
#define JSON_DEPTH_MAX 64

static inline void autojson_run(json_t **j)
{
    json_decref(*j);
}
#define mvm_autojson __attribute__((cleanup(autojson_run)))

/* Refuses duplicate keys, invalid UTF-8, NUL in strings, trailing data and nesting above
 * JSON_DEPTH_MAX. @what names the document in the error. *ret is owned. */
int json_parse(const char *text, size_t len, const char *what, json_t **ret, mvm_error **err);

/* Getters: absent and null both mean unset, and give *ret = the default (NULL, 0, false), return 0;
 * a value of another type is MVM_E_FORMAT naming the key. Strings and objects are borrowed from
 * @object. */
int json_get_str(const json_t *object, const char *key, const char **ret, mvm_error **err);
int json_get_u64(const json_t *object, const char *key, uint64_t max, uint64_t *ret,
                 mvm_error **err);
int json_get_bool(const json_t *object, const char *key, bool *ret, mvm_error **err);
int json_get_object(const json_t *object, const char *key, json_t **ret, mvm_error **err);
int json_get_array(const json_t *object, const char *key, json_t **ret, mvm_error **err);
/* An array of strings, appended to @ret. */
int json_get_strv(const json_t *object, const char *key, struct strv *ret, mvm_error **err);
/* As json_get_str(), but unset is an error. */
int json_need_str(const json_t *object, const char *key, const char **ret, mvm_error **err);

#endif
