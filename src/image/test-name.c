/* SPDX-License-Identifier: Apache-2.0 */
#include "image/name.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define ID "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void names_have_one_qualified_form(void **state)
{
    static const struct {
        const char *text;
        enum image_transport transport;
        const char *qualified, *path, *tag, *reference, *id;
    } cases[] = {
        { "alpine", IMAGE_TRANSPORT_NONE, "docker.io/library/alpine:latest", NULL, NULL,
          "docker.io/library/alpine:latest", NULL },
        { "oci:/none/dir", IMAGE_TRANSPORT_LAYOUT, "oci:/none/dir", "/none/dir", NULL, NULL, NULL },
        { "oci:/none/dir:a/b:c", IMAGE_TRANSPORT_LAYOUT, "oci:/none/dir:a/b:c", "/none/dir",
          "a/b:c", NULL, NULL },
        { "oci-archive:/none/x.tar", IMAGE_TRANSPORT_OCI_ARCHIVE, "oci-archive:/none/x.tar",
          "/none/x.tar", NULL, NULL, NULL },
        { "oci-archive:/none/x.tar:1", IMAGE_TRANSPORT_OCI_ARCHIVE, "oci-archive:/none/x.tar:1",
          "/none/x.tar", "1", NULL, NULL },
        { "docker-archive:/none/x.tar", IMAGE_TRANSPORT_DOCKER_ARCHIVE,
          "docker-archive:/none/x.tar", "/none/x.tar", NULL, NULL, NULL },
        { "docker-archive:/none/x.tar:alpine", IMAGE_TRANSPORT_DOCKER_ARCHIVE,
          "docker-archive:/none/x.tar:docker.io/library/alpine:latest", "/none/x.tar", NULL,
          "docker.io/library/alpine:latest", NULL },
        { "docker-archive:/none/x.tar:h:5000/a:1", IMAGE_TRANSPORT_DOCKER_ARCHIVE,
          "docker-archive:/none/x.tar:h:5000/a:1", "/none/x.tar", NULL, "h:5000/a:1", NULL },
        { "docker-daemon:alpine:3", IMAGE_TRANSPORT_DAEMON,
          "docker-daemon:docker.io/library/alpine:3", NULL, NULL, "docker.io/library/alpine:3",
          NULL },
        { "docker-daemon:" ID, IMAGE_TRANSPORT_DAEMON, "docker-daemon:" ID, NULL, NULL, NULL, ID },
    };

    (void) state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        mvm_autovalue(image_name) name = { 0 };

        assert_int_equal(image_name_parse(cases[i].text, &name, NULL), 0);
        print_message("# %s: %s\n", cases[i].text, name.qualified);
        assert_int_equal(name.transport, cases[i].transport);
        assert_string_equal(name.qualified, cases[i].qualified);
        const char *const pairs[][2] = { { name.path, cases[i].path },
                                         { name.tag, cases[i].tag },
                                         { name.ref.name, cases[i].reference },
                                         { name.id, cases[i].id } };

        for (size_t k = 0; k < ARRAY_SIZE(pairs); k++)
            assert_true(pairs[k][0] && pairs[k][1] ? strcmp(pairs[k][0], pairs[k][1]) == 0
                                                   : pairs[k][0] == pairs[k][1]);
    }
}

static void relative_paths_become_absolute(void **state)
{
    mvm_autofree char *here = getcwd(NULL, 0);
    mvm_autovalue(image_name) name = { 0 };
    mvm_autofree char *want = NULL;

    (void) state;
    assert_non_null(here);
    assert_int_equal(image_name_parse("docker-archive:no-such-file.tar:x", &name, NULL), 0);
    assert_true(asprintf(&want, "%s%sno-such-file.tar", here, here[1] ? "/" : "") > 0);
    assert_string_equal(name.path, want);
}

static void bad_names_are_refused(void **state)
{
    static const char *const bad[] = { "",
                                       "oci:",
                                       "oci::tag",
                                       "oci:/x:",
                                       "oci-archive:",
                                       "oci-archive::t",
                                       "docker-archive:",
                                       "docker-archive:/x:",
                                       "docker-archive:/x:UPPER",
                                       ("docker-archive:/x:a@" ID),
                                       "docker-daemon:",
                                       "docker-daemon:UPPER",
                                       "docker-daemon:sha256:" };

    (void) state;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        mvm_autovalue(image_name) name = { 0 };

        print_message("# %s\n", bad[i]);
        assert_true(image_name_parse(bad[i], &name, NULL) < 0);
        assert_null(name.qualified);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_have_one_qualified_form),
        cmocka_unit_test(relative_paths_become_absolute),
        cmocka_unit_test(bad_names_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
