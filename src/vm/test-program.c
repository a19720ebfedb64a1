/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/program.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

struct fixture {
    mvm_options *options;
    struct oci_config image;
    struct krun_config program;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    if (!f)
        return -1;
    f->options = mvm_options_new();
    *state = f;
    return f->options ? 0 : -1;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    mvm_options_free(f->options);
    strv_deinit(&f->image.entrypoint);
    strv_deinit(&f->image.cmd);
    strv_deinit(&f->image.env);
    strv_deinit(&f->program.cmd);
    strv_deinit(&f->program.env);
    free(f->program.workdir);
    free(f);
    return 0;
}

static void assert_words(const struct strv *v, const char *const *words)
{
    size_t n = 0;

    for (; words[n]; n++) {
        assert_true(n < v->n);
        assert_string_equal(v->items[n], words[n]);
    }
    assert_int_equal(v->n, n);
}

static void program_is_entrypoint_then_cmd(void **state)
{
    struct fixture *f = *state;

    strv_add(&f->image.entrypoint, "/entry");
    strv_add(&f->image.cmd, "arg");
    assert_int_equal(program_build(f->options, &f->image, &f->program, NULL), 0);
    assert_words(&f->program.cmd, (const char *const[]){ "/entry", "arg", NULL });
    assert_string_equal(f->program.workdir, "/");
}

static void arguments_replace_cmd_and_keep_entrypoint(void **state)
{
    struct fixture *f = *state;

    strv_add(&f->image.entrypoint, "/entry");
    strv_add(&f->image.cmd, "arg");
    assert_int_equal(mvm_options_add_argument(f->options, "mine"), 0);
    assert_int_equal(program_build(f->options, &f->image, &f->program, NULL), 0);
    assert_words(&f->program.cmd, (const char *const[]){ "/entry", "mine", NULL });
}

static void entrypoint_option_drops_the_images_cmd(void **state)
{
    struct fixture *f = *state;

    strv_add(&f->image.entrypoint, "/entry");
    strv_add(&f->image.cmd, "arg");
    assert_int_equal(mvm_options_set_entrypoint(f->options, "/bin/sh"), 0);
    assert_int_equal(program_build(f->options, &f->image, &f->program, NULL), 0);
    assert_words(&f->program.cmd, (const char *const[]){ "/bin/sh", NULL });
}

static void an_empty_command_is_refused(void **state)
{
    struct fixture *f = *state;
    mvm_autoerror mvm_error *err = NULL;

    assert_int_equal(program_build(f->options, &f->image, &f->program, &err), MVM_E_ARG);
    assert_non_null(strstr(mvm_error_message(err), "no command"));
}

static void the_images_path_wins_over_the_default(void **state)
{
    struct fixture *f = *state;

    strv_add(&f->image.cmd, "sh");
    strv_add(&f->image.env, "PATH=/image/bin");
    strv_add(&f->image.env, "A=1");
    strv_add(&f->image.env, "no-equals");
    strv_add(&f->image.env, "A=2");
    assert_int_equal(mvm_options_add_env(f->options, "B=x=y"), 0);
    assert_int_equal(mvm_options_add_env(f->options, "A="), 0);
    assert_int_equal(program_build(f->options, &f->image, &f->program, NULL), 0);
    assert_words(&f->program.env, (const char *const[]){ "PATH=/image/bin", "A=", "B=x=y", NULL });
}

static void a_relative_workdir_of_the_image_is_refused(void **state)
{
    struct fixture *f = *state;

    strv_add(&f->image.cmd, "sh");
    f->image.workdir = (char *) "app";
    assert_int_equal(program_build(f->options, &f->image, &f->program, NULL), MVM_E_FORMAT);
    assert_int_equal(mvm_options_set_workdir(f->options, "/app"), 0);
    assert_int_equal(program_build(f->options, &f->image, &f->program, NULL), 0);
    assert_string_equal(f->program.workdir, "/app");
}

static void options_refuse_bad_values(void **state)
{
    struct fixture *f = *state;
    static const char *const names[] = {
        "",    "a/b",      "-a", ".a",
        "a b", "\xc3\xa9", "..", "0123456789012345678901234567890123456789012345678901234567890123x"
    };

    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        if (mvm_options_set_name(f->options, names[i]) != MVM_E_ARG)
            fail_msg("accepted the name '%s'", names[i]);
    assert_int_equal(
        mvm_options_set_name(f->options,
                             "0123456789012345678901234567890123456789012345678901234567890123"),
        0);
    assert_int_equal(mvm_options_set_cpus(f->options, 0), MVM_E_ARG);
    assert_int_equal(mvm_options_set_cpus(f->options, 256), MVM_E_ARG);
    assert_int_equal(mvm_options_set_cpus(f->options, 255), 0);
    assert_int_equal(mvm_options_set_memory_mib(f->options, 0), MVM_E_ARG);
    assert_int_equal(mvm_options_set_memory_mib(f->options, 63), MVM_E_ARG);
    assert_int_equal(mvm_options_set_memory_mib(f->options, 64), 0);
    assert_int_equal(mvm_options_add_env(f->options, "=x"), MVM_E_ARG);
    assert_int_equal(mvm_options_add_env(f->options, "x"), MVM_E_ARG);
    assert_int_equal(mvm_options_set_workdir(f->options, "rel"), MVM_E_ARG);
    assert_int_equal(mvm_options_set_pull_policy(f->options, 3), MVM_E_ARG);
    assert_int_equal(mvm_options_set_accel(f->options, -1), MVM_E_ARG);
    assert_int_equal(mvm_options_set_data_dir(f->options, ""), MVM_E_ARG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(program_is_entrypoint_then_cmd, setup, teardown),
        cmocka_unit_test_setup_teardown(arguments_replace_cmd_and_keep_entrypoint, setup, teardown),
        cmocka_unit_test_setup_teardown(entrypoint_option_drops_the_images_cmd, setup, teardown),
        cmocka_unit_test_setup_teardown(an_empty_command_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(the_images_path_wins_over_the_default, setup, teardown),
        cmocka_unit_test_setup_teardown(a_relative_workdir_of_the_image_is_refused, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(options_refuse_bad_values, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
