/* SPDX-License-Identifier: Apache-2.0 */
/* Layers, and what their tree must have. */
#ifndef IMAGE_TEST_TREE_CASES_H
#define IMAGE_TEST_TREE_CASES_H

#include "image/test-tree.h"

#define LAYERS_MAX 4
#define SPECS_MAX 12

/* A case: layers of records; what must fail says with which words. */
struct merge_case {
    const char *what;
    struct record_spec layers[LAYERS_MAX][SPECS_MAX];
    const char *error;     /* NULL: it succeeds */
    const char *there[8];  /* "path", "path=content", "path->target", "path/" for a directory */
    const char *absent[8]; /* paths */
};

static inline void expect_there(const struct tree *t, const char *what, const char *want)
{
    size_t n = strcspn(want, "=>");
    mvm_autofree char *path = strndup(want, want[n] == '>' ? n - 1 : n);
    mvm_autovalue(layer_cursor) c = { 0 };
    const struct layer_record *r = &c.record;

    get_record(t, path, &c);
    if (want[n] == '=' && (r->kind != LAYER_FILE || r->size != strlen(want + n + 1) ||
                           memcmp(r->content, want + n + 1, r->size) != 0))
        fail_msg("%s: '%s' holds '%.*s'", what, path, (int) r->size, (const char *) r->content);
    if (want[n] == '>' && (r->kind != LAYER_SYMLINK || strcmp(r->link, want + n + 1) != 0))
        fail_msg("%s: '%s' leads to '%s'", what, path, r->link);
    if (path[strlen(path) - 1] == '/' && r->kind != LAYER_DIR)
        fail_msg("%s: '%s' is no directory", what, path);
}

static inline void run_case(const struct merge_case *c)
{
    mvm_autovalue(layer_stack) s = { 0 };
    mvm_autoerror mvm_error *e = NULL;
    int r = 0;

    for (size_t i = 0; i < LAYERS_MAX && c->layers[i][0].kind && r == 0; i++)
        r = stack_add(&s, c->layers[i], &e);
    if (c->error) {
        if (r >= 0 || !strstr(mvm_error_message(e), c->error))
            fail_msg("%s: '%s', not '%s'", c->what, mvm_error_message(e), c->error);
        return;
    }
    if (r == 0)
        r = tree_finish(s.tree, NULL, &e);
    if (r < 0)
        fail_msg("%s: %s", c->what, mvm_error_message(e));
    for (size_t i = 0; i < ARRAY_SIZE(c->there) && c->there[i]; i++)
        expect_there(s.tree, c->what, c->there[i]);
    for (size_t i = 0; i < ARRAY_SIZE(c->absent) && c->absent[i]; i++)
        if (tree_look_up(s.tree, c->absent[i]) != TREE_NONE)
            fail_msg("%s: '%s' is there", c->what, c->absent[i]);
}

static inline void run_cases(const struct merge_case *cases, size_t n)
{
    for (size_t i = 0; i < n; i++)
        run_case(&cases[i]);
}

#endif
