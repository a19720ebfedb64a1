/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/kernel-apt.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void assert_package(const char *text, const char *name, const char *version)
{
    mvm_autovalue(apt_package) p = { .name = NULL };
    mvm_autoerror mvm_error *err = NULL;
    int r = apt_parse_show(text, "linux-image-", &p, &err);

    assert_string_equal(mvm_error_message(err), "");
    assert_int_equal(r, 0);
    assert_string_equal(p.name, name);
    assert_string_equal(p.version, version);
}

static void assert_refused(const char *text, const char *why)
{
    struct apt_package p = { .name = NULL };
    mvm_autoerror mvm_error *err = NULL;

    assert_int_equal(apt_parse_show(text, "linux-image-", &p, &err), MVM_E_FORMAT);
    assert_null(p.name);
    if (!strstr(mvm_error_message(err), why))
        fail_msg("'%s' instead of '%s'", mvm_error_message(err), why);
}

static void the_real_package_is_found_behind_the_metapackage(void **state)
{
    (void) state;
    assert_package("Package: linux-image-cloud-amd64\nVersion: 6.1.192-2\n"
                   "Depends: linux-image-6.1.0-56-cloud-amd64 (= 6.1.192-2)\nSection: kernel\n",
                   "linux-image-6.1.0-56-cloud-amd64", "6.1.192-2");
    assert_package("Depends: linux-base (>= 4.3), x | y:any,linux-image-6+deb13 (= 1:6~rc1+b1)",
                   "linux-image-6+deb13", "1:6~rc1+b1");
}

static void a_metapackage_without_a_usable_dependency_is_refused(void **state)
{
    (void) state;
    assert_refused("", "depends on nothing");
    assert_refused("Pre-Depends: linux-image-1 (= 1)\n", "depends on nothing");
    assert_refused("Depends:\n", "depends on nothing");
    assert_refused("Depends: linux-base (>= 1)\nProvides: linux-image-1 (= 1)\n",
                   "depends on no 'linux-image-...'");
    assert_refused("Depends: linux-image-\n", "depends on no 'linux-image-...'");
    assert_refused("Depends: linux-image-1, other\n", "no version");
    assert_refused("Depends: linux-image-1 (>= 2)\n", "no version");
    assert_refused("Depends: linux-image-1 (= )\n", "no version");
    assert_refused("Depends: linux-image-1 (= 2 --option)\n", "no version");
    assert_refused("Depends: linux-image-1/../x (= 2)\n", "no version");
}

static void a_package_that_is_meant_itself_has_a_version(void **state)
{
    static const char *const bad[] = { "Package: x\n", "Version:\n", "Version: 1 2\n",
                                       "Version: ../1\n", "Version: 1;rm\n" };
    mvm_autovalue(apt_package) p = { .name = NULL };

    (void) state;
    assert_int_equal(apt_parse_version("Package: x\nVersion: 1:6.1~b+2-1\n", "x", &p, NULL), 0);
    assert_string_equal(p.name, "x");
    assert_string_equal(p.version, "1:6.1~b+2-1");
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        mvm_autovalue(apt_package) none = { .name = NULL };

        if (apt_parse_version(bad[i], "x", &none, NULL) != MVM_E_FORMAT)
            fail_msg("'%s' was taken", bad[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_real_package_is_found_behind_the_metapackage),
        cmocka_unit_test(a_metapackage_without_a_usable_dependency_is_refused),
        cmocka_unit_test(a_package_that_is_meant_itself_has_a_version),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
