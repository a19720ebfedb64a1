/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/modules.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* Longest chain that is followed (MODULES_DEPTH_MAX). */
#define DEPTH 32

struct needs {
    const char *path, *depends, *soft;
};

/* A table of modules that ends with a NULL path; each list has at most one name here. */
static int info_of_table(void *user, const char *path, struct modinfo *ret, mvm_error **err)
{
    (void) err;
    for (const struct needs *n = user; n->path; n++)
        if (strcmp(n->path, path) == 0) {
            if (n->depends)
                assert_int_equal(strv_add(&ret->depends, n->depends), 0);
            if (n->soft)
                assert_int_equal(strv_add(&ret->soft_pre, n->soft), 0);
        }
    return 0;
}

static int resolve(const struct needs *table, const char *builtin, const char *name,
                   struct strv *order, mvm_error **err)
{
    mvm_autovalue(modules_list) list = { .paths = { .n = 0 } };

    for (const struct needs *n = table; n->path; n++)
        assert_int_equal(strv_add(&list.paths, n->path), 0);
    if (builtin)
        assert_int_equal(strv_add(&list.builtin, builtin), 0);
    return modules_resolve(&list, &name, 1, info_of_table, (void *) table, order, err);
}

static void assert_order(const struct strv *order, const char *const *wanted)
{
    size_t n = 0;

    while (wanted[n])
        n++;
    assert_int_equal(order->n, n);
    for (size_t i = 0; i < n; i++)
        assert_string_equal(order->items[i], wanted[i]);
}

static void resolve_puts_dependencies_first_and_once(void **state)
{
    static const struct needs table[] = {
        { "k/top.ko", "middle", "soft" }, { "k/middle.ko", "base", NULL },
        { "k/soft.ko", "base", NULL },    { "k/base.ko", NULL, NULL },
        { "k/other.ko", NULL, NULL },     { NULL, NULL, NULL }
    };
    mvm_autovalue(strv) order = { .n = 0 };

    (void) state;
    assert_int_equal(resolve(table, NULL, "top", &order, NULL), 0);
    assert_order(
        &order, (const char *const[]){ "k/base.ko", "k/soft.ko", "k/middle.ko", "k/top.ko", NULL });
}

static void resolve_takes_dash_and_underscore_alike(void **state)
{
    static const struct needs table[] = { { "k/a-b_c.ko", "d-e", NULL },
                                          { "k/d_e.ko", NULL, NULL },
                                          { NULL, NULL, NULL } };
    mvm_autovalue(strv) order = { .n = 0 };

    (void) state;
    assert_int_equal(resolve(table, NULL, "a_b-c", &order, NULL), 0);
    assert_order(&order, (const char *const[]){ "k/d_e.ko", "k/a-b_c.ko", NULL });
}

static void resolve_leaves_out_what_is_built_in(void **state)
{
    static const struct needs table[] = { { "k/top.ko", "ring", NULL }, { NULL, NULL, NULL } };
    mvm_autovalue(strv) order = { .n = 0 };

    (void) state;
    assert_int_equal(resolve(table, "k/ring.ko", "top", &order, NULL), 0);
    assert_order(&order, (const char *const[]){ "k/top.ko", NULL });
}

static void resolve_names_what_is_missing_and_who_needs_it(void **state)
{
    static const struct needs table[] = { { "k/top.ko", "gone", NULL }, { NULL, NULL, NULL } };
    mvm_autoerror mvm_error *needed = NULL;
    mvm_autoerror mvm_error *asked = NULL;
    mvm_autovalue(strv) order = { .n = 0 };

    (void) state;
    assert_int_equal(resolve(table, NULL, "top", &order, &needed), MVM_E_NOT_FOUND);
    assert_non_null(strstr(mvm_error_message(needed), "'gone', needed by k/top.ko"));
    /* Part of a name is another name. */
    assert_int_equal(resolve(table, NULL, "to", &order, &asked), MVM_E_NOT_FOUND);
    assert_non_null(strstr(mvm_error_message(asked), "no module 'to'"));
    assert_null(strstr(mvm_error_message(asked), "needed by"));
    assert_int_equal(order.n, 0);
}

static void resolve_does_without_a_soft_dependency(void **state)
{
    static const struct needs table[] = { { "k/top.ko", NULL, "gone" }, { NULL, NULL, NULL } };
    mvm_autovalue(strv) order = { .n = 0 };

    (void) state;
    assert_int_equal(resolve(table, NULL, "top", &order, NULL), 0);
    assert_order(&order, (const char *const[]){ "k/top.ko", NULL });
}

static void resolve_refuses_a_circle(void **state)
{
    static const struct needs table[] = { { "k/a.ko", "b", NULL },
                                          { "k/b.ko", "c", NULL },
                                          { "k/c.ko", "a", NULL },
                                          { "k/self.ko", "self", NULL },
                                          { NULL, NULL, NULL } };
    mvm_autoerror mvm_error *err = NULL;
    mvm_autovalue(strv) order = { .n = 0 };

    (void) state;
    assert_int_equal(resolve(table, NULL, "a", &order, &err), MVM_E_FORMAT);
    assert_non_null(strstr(mvm_error_message(err), "circle: k/a.ko"));
    assert_int_equal(resolve(table, NULL, "self", &order, NULL), MVM_E_FORMAT);
}

/* m0 needs m1 needs m2 ...: @n of them. */
static int resolve_chain(size_t n, struct strv *order)
{
    struct needs table[DEPTH + 2] = { { NULL, NULL, NULL } };
    char paths[DEPTH + 2][8], names[DEPTH + 2][8];

    for (size_t i = 0; i < n; i++) {
        (void) snprintf(paths[i], sizeof(paths[i]), "m%zu.ko", i);
        (void) snprintf(names[i], sizeof(names[i]), "m%zu", i);
        table[i].path = paths[i];
        if (i > 0)
            table[i - 1].depends = names[i];
    }
    return resolve(table, NULL, "m0", order, NULL);
}

static void resolve_follows_chains_up_to_their_limit(void **state)
{
    mvm_autovalue(strv) order = { .n = 0 };
    mvm_autovalue(strv) none = { .n = 0 };

    (void) state;
    assert_int_equal(resolve_chain(DEPTH, &order), 0);
    assert_int_equal(order.n, DEPTH);
    assert_string_equal(order.items[0], "m31.ko");
    assert_int_equal(resolve_chain(DEPTH + 1, &none), MVM_E_LIMIT);
    assert_int_equal(none.n, 0);
}

static int info_that_fails(void *user, const char *path, struct modinfo *ret, mvm_error **err)
{
    (void) user;
    (void) ret;
    return mvm_fail(err, MVM_E_FORMAT, 0, "%s is damaged", path);
}

static void resolve_hands_on_why_a_module_cannot_be_read(void **state)
{
    mvm_autovalue(modules_list) list = { .paths = { .n = 0 } };
    mvm_autoerror mvm_error *err = NULL;
    mvm_autovalue(strv) order = { .n = 0 };
    const char *name = "a";

    (void) state;
    assert_int_equal(strv_add(&list.paths, "k/a.ko"), 0);
    assert_int_equal(modules_resolve(&list, &name, 1, info_that_fails, NULL, &order, &err),
                     MVM_E_FORMAT);
    assert_string_equal(mvm_error_message(err), "k/a.ko is damaged");
    assert_int_equal(order.n, 0);
}

static void parse_list_takes_lines_and_skips_empty_ones(void **state)
{
    static const char text[] = "\na.ko\n\nb/c.ko";
    mvm_autovalue(strv) paths = { .n = 0 };
    mvm_autovalue(strv) none = { .n = 0 };

    (void) state;
    assert_int_equal(modules_parse_list(text, sizeof(text) - 1, &paths, NULL), 0);
    assert_order(&paths, (const char *const[]){ "a.ko", "b/c.ko", NULL });
    assert_int_equal(modules_parse_list("", 0, &none, NULL), 0);
    assert_int_equal(none.n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(resolve_puts_dependencies_first_and_once),
        cmocka_unit_test(resolve_takes_dash_and_underscore_alike),
        cmocka_unit_test(resolve_leaves_out_what_is_built_in),
        cmocka_unit_test(resolve_names_what_is_missing_and_who_needs_it),
        cmocka_unit_test(resolve_does_without_a_soft_dependency),
        cmocka_unit_test(resolve_refuses_a_circle),
        cmocka_unit_test(resolve_follows_chains_up_to_their_limit),
        cmocka_unit_test(resolve_hands_on_why_a_module_cannot_be_read),
        cmocka_unit_test(parse_list_takes_lines_and_skips_empty_ones),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
