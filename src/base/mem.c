/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"

#include "base/error.h"

#include <stdarg.h>

int mem_grow(void *pp, size_t *cap, size_t n, size_t size)
{
    size_t want = *cap ? *cap : 8, bytes;
    void *grown;

    if (n < *cap)
        return 0;
    while (want <= n)
        if (__builtin_mul_overflow(want, 2, &want))
            return -1;
    if (__builtin_mul_overflow(want, size, &bytes))
        return -1;
    memcpy(&grown, pp, sizeof(grown)); /* as in autofree_run() */
    grown = realloc(grown, bytes);
    if (!grown)
        return -1;
    memcpy(pp, &grown, sizeof(grown));
    *cap = want;
    return 0;
}

/* Takes @text over, also when it fails. */
static int strv_take(struct strv *v, char *text)
{
    if (!text)
        return MVM_E_NOMEM;
    if (mem_grow(&v->items, &v->cap, v->n + 1, sizeof(*v->items)) < 0) {
        free(text);
        return MVM_E_NOMEM;
    }
    v->items[v->n++] = text;
    v->items[v->n] = NULL;
    return 0;
}

int text_replace(char **to, const char *text)
{
    char *copy = text ? strdup(text) : NULL;

    if (text && !copy)
        return MVM_E_NOMEM;
    free(*to);
    *to = copy;
    return 0;
}

int strv_add(struct strv *v, const char *text)
{
    return strv_take(v, strdup(text));
}

int strv_addn(struct strv *v, const char *text, size_t len)
{
    return strv_take(v, strndup(text, len));
}

int strv_addf(struct strv *v, const char *fmt, ...)
{
    char *text = NULL;
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vasprintf(&text, fmt, ap);
    va_end(ap);
    return strv_take(v, n < 0 ? NULL : text);
}

int strv_copy(struct strv *v, const struct strv *from)
{
    size_t n = from->n; /* @from may be @v */
    int r = 0;

    for (size_t i = 0; i < n && r == 0; i++)
        r = strv_add(v, from->items[i]);
    return r;
}

void strv_deinit(struct strv *v)
{
    for (size_t i = 0; i < v->n; i++)
        free(v->items[i]);
    free(v->items);
    *v = (struct strv){ .items = NULL };
}
