/* SPDX-License-Identifier: Apache-2.0 */
/* What a gc tells, and images for it. */
#ifndef IMAGE_TEST_GC_H
#define IMAGE_TEST_GC_H

#include "image/test-store.h"

struct events {
    char text[1024];
    uint64_t bytes;
};

static inline void on_removal(void *user, const struct image_removal *what)
{
    static const char *const kinds[] = { "name",          "image",        "layer",
                                         "litter",        "kept",         "damaged-image",
                                         "damaged-layer", "damaged-root", "damaged-name",
                                         "kept-damaged" };
    struct events *e = user;
    size_t n = strlen(e->text);

    (void) snprintf(e->text + n, sizeof(e->text) - n, "%s %.15s\n", kinds[what->kind], what->name);
    e->bytes += what->bytes;
}

static inline void assert_gc_with(struct image_store *s, const struct image_gc_options *o,
                                  const char *expected)
{
    struct events e = { .text = "" };
    mvm_autoerror mvm_error *err = NULL;

    if (image_gc(s, o, on_removal, &e, &err) < 0)
        fail_msg("%s", mvm_error_message(err));
    assert_string_equal(e.text, expected);
}

static inline void assert_gc(struct image_store *s, bool all, const char *expected)
{
    assert_gc_with(s, &(struct image_gc_options){ .all = all }, expected);
}

static inline void put_layer(struct image_store *s, const struct digest *d)
{
    mvm_autoclose int pin = -EBADF;

    assert_int_equal(test_layer_put(s, d, "content", &pin), 0);
}

static inline struct digest put_image(struct image_store *s, const char *name,
                                      const struct digest *layers, size_t n)
{
    const struct digest d = test_image_put(s, layers, n);

    if (name)
        assert_int_equal(store_ref_set(s, name, "linux/amd64", &d, NULL, NULL), 0);
    return d;
}

static inline bool has_layer(struct image_store *s, const struct digest *d)
{
    return store_layer_find(s, d, NULL, NULL, NULL) == 0;
}

static inline bool has_image(struct image_store *s, const struct digest *d)
{
    return sandbox_has(s->images_fd, store_image_name(d).text);
}

/* The expected line of an event. */
static const char *line(char out[64], const char *kind, const struct digest *d)
{
    (void) snprintf(out, 64, "%s %.15s\n", kind, digest_format(d).text);
    return out;
}

#endif
