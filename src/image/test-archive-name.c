/* SPDX-License-Identifier: Apache-2.0 */
#include "image/archive-name.h"

#include "image/archive-index.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void names_have_a_normal_form(void **state)
{
    static const char *const cases[][3] = {
        /* from, name, result; NULL: refused */
        { NULL, "a", "a" },
        { NULL, "./a", "a" },
        { NULL, "/a//b/./c/", "a/b/c" },
        { NULL, ".", "" },
        { NULL, "", "" },
        { NULL, "a/..", "" },
        { NULL, "a/../b", "b" },
        { NULL, "..", NULL },
        { NULL, "../a", NULL },
        { NULL, "a/../../b", NULL },
        { "d/e", "f", "d/f" },
        { "d/e", "../f", "f" },
        { "d/e", "../../f", NULL },
        { "d", "f", "f" },
        { "d", "../f", NULL },
        { "d/e", "/f", "f" },
        { "a/b/c", "../d/e", "a/d/e" },
        { NULL, "...", "..." },
        { NULL, "..a/.b", "..a/.b" },
        { "a/b/c", ".././x", "a/x" },
    };

    (void) state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        mvm_autofree char *name = NULL;
        int r = archive_name_resolve(cases[i][0], cases[i][1], &name, NULL);

        print_message("# %s from %s\n", cases[i][1], cases[i][0] ? cases[i][0] : "the top");
        assert_int_equal(r, cases[i][2] ? 0 : MVM_E_FORMAT);
        if (cases[i][2])
            assert_string_equal(name, cases[i][2]);
    }
}

static void length_is_limited(void **state)
{
    mvm_autofree char *text = malloc(ARCHIVE_NAME_MAX + 2);
    mvm_autofree char *name = NULL;

    (void) state;
    assert_non_null(text);
    memset(text, 'n', ARCHIVE_NAME_MAX + 1);
    text[ARCHIVE_NAME_MAX + 1] = '\0';
    assert_int_equal(archive_name_resolve(NULL, text, &name, NULL), MVM_E_LIMIT);
    text[ARCHIVE_NAME_MAX] = '\0';
    assert_int_equal(archive_name_resolve("a/b", text, &name, NULL), 0);
    assert_int_equal(strlen(name), ARCHIVE_NAME_MAX + 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_have_a_normal_form),
        cmocka_unit_test(length_is_limited),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
