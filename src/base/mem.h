/* SPDX-License-Identifier: Apache-2.0 */
/* Ownership by attribute: one owner per variable, released at the end of its scope, handed over by
 * steal_*(). */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

static inline void autofree_run(void *pp)
{
    int saved = errno;
    void *p;

    memcpy(&p, pp, sizeof(p)); /* a void * may not alias the caller's type of pointer */
    free(p);
    errno = saved;
}

static inline void autoclose_run(const int *fd)
{
    int saved = errno;

    if (*fd >= 0)
        (void) close(*fd); /* never retried: Linux frees the number even on EINTR */
    errno = saved;
}

static inline void autofclose_run(FILE **fp)
{
    int saved = errno;

    if (*fp)
        (void) fclose(*fp); /* for readers; a written file is closed and checked by hand */
    errno = saved;
}

#define mvm_autofree __attribute__((cleanup(autofree_run)))
#define mvm_autoclose __attribute__((cleanup(autoclose_run)))
#define mvm_autofclose __attribute__((cleanup(autofclose_run)))
/* Defines the cleanup function for mvm_auto(type): type_free(T *) must take NULL. */
#define MVM_DEFINE_AUTO(name, free_fn)                     \
    static inline void auto_##name##_run(struct name **pp) \
    {                                                      \
        free_fn(*pp);                                      \
    }
#define mvm_auto(name) __attribute__((cleanup(auto_##name##_run))) struct name *
/* The same for a value with a deinit function. */
#define MVM_DEFINE_AUTOVALUE(name, deinit_fn)                 \
    static inline void autovalue_##name##_run(struct name *p) \
    {                                                         \
        deinit_fn(p);                                         \
    }
#define mvm_autovalue(name) __attribute__((cleanup(autovalue_##name##_run))) struct name

#define steal_ptr(pp)                    \
    ({                                   \
        __typeof__(*(pp)) held_ = *(pp); \
        *(pp) = NULL;                    \
        held_;                           \
    })

static inline int steal_fd(int *fd)
{
    int held = *fd;

    *fd = -EBADF;
    return held;
}

/* A zeroed array of @n elements; NULL when out of memory or when n * size overflows. n = 0 gives a
 * non-NULL. */
static inline void *mem_array(size_t n, size_t size)
{
    size_t bytes;

    if (__builtin_mul_overflow(n ? n : 1, size, &bytes))
        return NULL;
    return calloc(1, bytes);
}

/* Grows *@pp (elements of @size) so that index @n fits; capacity doubles. 0, or -1 when out of
 * memory. */
int mem_grow(void *pp, size_t *cap, size_t n, size_t size);

/* Makes *@to, owned, a copy of @text, or NULL for NULL. 0 or MVM_E_NOMEM, which leaves it as it
 * was. */
int text_replace(char **to, const char *text);

/* A NULL-ended list of owned strings, in one type because argv, envp and lists of names are all of
 * it. */
struct strv {
    char **items; /* owned, NULL-ended once n > 0; NULL when empty */
    size_t n;
    size_t cap;
};
int strv_add(struct strv *v, const char *text);              /* copies; 0 or MVM_E_NOMEM */
int strv_addn(struct strv *v, const char *text, size_t len); /* copies up to a NUL or @len */
int strv_copy(struct strv *v, const struct strv *from);      /* appends all of @from */
int strv_addf(struct strv *v, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void strv_deinit(struct strv *v); /* twice is fine */
MVM_DEFINE_AUTOVALUE(strv, strv_deinit)

#endif
