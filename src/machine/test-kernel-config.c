/* SPDX-License-Identifier: Apache-2.0 */
/* Options of kernels: what is one, and which of them are not to be had. */
#include "machine/kernel-config.h"

#include "base/strbuf.h"
#include "machine/kernel-needs.h"
#include "machine/test-images.h"

static void parse(const char *text, struct kconfig *ret)
{
    mvm_autoerror mvm_error *err = NULL;

    if (kconfig_parse(text, strlen(text), ret, &err) < 0)
        fail_msg("%s", mvm_error_message(err));
}

/* @err by its address: the call that sets it is another argument. */
static void assert_message(int r, int code, mvm_error *const *err, const char *why)
{
    if (r != code || strcmp(mvm_error_message(*err), why) != 0)
        fail_msg("%d '%s' instead of %d '%s'", r, mvm_error_message(*err), code, why);
}

static void options_are_read_and_the_last_of_a_name_wins(void **state)
{
    mvm_autovalue(kconfig) c = { .items = NULL };

    (void) state;
    parse("# a comment\n\n#CONFIG_NO=y\nCONFIG_B=y\n# CONFIG_A is not set\nCONFIG_S=\"a b=c\"\n"
          "CONFIG_B=m\nCONFIG_N=0x10\nCONFIG_B=250\n# CONFIG_A is not set here\nCONFIG_E=\"\"",
          &c);
    assert_int_equal(c.n, 5);
    assert_string_equal(kconfig_get(&c, "CONFIG_A"), "n");
    assert_string_equal(kconfig_get(&c, "CONFIG_B"), "250");
    assert_string_equal(kconfig_get(&c, "CONFIG_S"), "\"a b=c\"");
    assert_string_equal(kconfig_get(&c, "CONFIG_N"), "0x10");
    assert_string_equal(kconfig_get(&c, "CONFIG_E"), "\"\"");
    assert_string_equal(kconfig_get(&c, "CONFIG_NO"), "n");
}

static void lines_that_are_no_option_are_named(void **state)
{
    static const char *const bad[] = { "nonsense",     "CONFIG_",           "CONFIG_=y",
                                       "CONFIG_A",     "CONFIG_A =y",       "config_A=y",
                                       "CONFIG_A=",    "CONFIG_A=a b",      "CONFIG_A=\"x",
                                       "CONFIG_A=x\"", "CONFIG_A=\"x\"y\"", "CONFIG_A-B=y",
                                       " CONFIG_A=y",  "CONFIG_A=\"" };

    (void) state;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        mvm_autofree char *text = NULL;
        mvm_autovalue(kconfig) c = { .items = NULL };
        mvm_autoerror mvm_error *err = NULL;
        int r;

        assert_true(asprintf(&text, "CONFIG_X=y\n%s\n", bad[i]) > 0);
        r = kconfig_parse(text, strlen(text), &c, &err);
        if (r != MVM_E_FORMAT || !strstr(mvm_error_message(err), "line 2: '"))
            fail_msg("'%s': %d '%s'", bad[i], r, mvm_error_message(err));
    }
}

static void sizes_and_counts_are_limited(void **state)
{
    mvm_autovalue(strbuf) text = STRBUF_INIT(KCONFIG_TEXT_MAX);
    mvm_autovalue(kconfig) full = { .items = NULL };
    mvm_autovalue(kconfig) none = { .items = NULL };
    mvm_autofree char *blank = malloc(KCONFIG_TEXT_MAX + 1);
    char name[KCONFIG_NAME_MAX + 8];

    (void) state;
    for (unsigned i = 0; i < KCONFIG_OPTIONS_MAX; i++)
        strbuf_addf(&text, "CONFIG_%u=y\n", i);
    assert_int_equal(kconfig_parse(text.data, text.len, &full, NULL), 0);
    assert_int_equal(full.n, KCONFIG_OPTIONS_MAX);
    strbuf_adds(&text, "CONFIG_X=y\n");
    assert_int_equal(kconfig_parse(text.data, text.len, &none, NULL), MVM_E_LIMIT);

    assert_non_null(blank);
    memset(blank, '\n', KCONFIG_TEXT_MAX + 1);
    assert_int_equal(kconfig_parse(blank, KCONFIG_TEXT_MAX, &none, NULL), 0);
    assert_int_equal(kconfig_parse(blank, KCONFIG_TEXT_MAX + 1, &none, NULL), MVM_E_LIMIT);

    (void) snprintf(name, sizeof(name), "CONFIG_%0*d=y", KCONFIG_NAME_MAX - 7, 0);
    assert_int_equal(kconfig_parse(name, strlen(name), &none, NULL), 0);
    kconfig_deinit(&none);
    (void) snprintf(name, sizeof(name), "CONFIG_%0*d=y", KCONFIG_NAME_MAX - 6, 0);
    assert_int_equal(kconfig_parse(name, strlen(name), &none, NULL), MVM_E_FORMAT);
}

static void options_that_a_source_has_not_are_named(void **state)
{
    mvm_autovalue(kconfig) wanted = { .items = NULL };
    mvm_autovalue(strv) known = { .n = 0 };
    mvm_autoerror mvm_error *err = NULL;

    (void) state;
    parse("CONFIG_B=y\nCONFIG_A=n\nCONFIG_C=1\n", &wanted);
    assert_int_equal(kconfig_check_known(&wanted, &known, NULL), MVM_E_NOT_FOUND);
    assert_int_equal(strv_add(&known, "B"), 0);
    assert_message(kconfig_check_known(&wanted, &known, &err), MVM_E_NOT_FOUND, &err,
                   "this kernel's source has no option CONFIG_A, CONFIG_C");
    strv_deinit(&known);
    for (const char *name = "ABC"; *name; name++)
        assert_int_equal(strv_addn(&known, name, 1), 0);
    assert_int_equal(kconfig_check_known(&wanted, &known, NULL), 0);
}

static void options_that_were_not_met_are_named(void **state)
{
    mvm_autovalue(kconfig) wanted = { .items = NULL };
    mvm_autovalue(kconfig) got = { .items = NULL };
    mvm_autovalue(kconfig) same = { .items = NULL };
    mvm_autoerror mvm_error *err = NULL;

    (void) state;
    parse("CONFIG_A=y\nCONFIG_B=n\nCONFIG_C=n\nCONFIG_D=\"x\"\n", &wanted);
    parse("CONFIG_B=y\nCONFIG_D=\"x\"\nCONFIG_E=y\n", &got);
    assert_message(kconfig_check_values(&wanted, &got, &err), MVM_E_UNSUPPORTED, &err,
                   "options that cannot be had, since what they depend on is set otherwise: "
                   "CONFIG_A=y (is n), CONFIG_B=n (is y)");
    parse("CONFIG_A=y\nCONFIG_D=\"x\"\nCONFIG_E=y\n", &same);
    assert_int_equal(kconfig_check_values(&wanted, &same, NULL), 0);
}

static void a_message_names_a_few(void **state)
{
    mvm_autovalue(strbuf) text = STRBUF_INIT(4096);
    mvm_autovalue(kconfig) wanted = { .items = NULL };
    mvm_autovalue(kconfig) got = { .items = NULL };
    mvm_autoerror mvm_error *err = NULL;

    (void) state;
    for (unsigned i = 0; i <= KCONFIG_NAMED_MAX; i++)
        strbuf_addf(&text, "CONFIG_%u=y\n", i);
    parse(strbuf_str(&text), &wanted);
    assert_int_equal(kconfig_check_values(&wanted, &got, &err), MVM_E_UNSUPPORTED);
    assert_non_null(strstr(mvm_error_message(err), "CONFIG_7=y (is n) and 1 more"));
}

/* An image with @config inside, as CONFIG_IKCONFIG puts it there. */
static int check_image_with(const char *config, mvm_error **err)
{
    mvm_autovalue(image) packed = image_pack("gzip", config, strlen(config));
    mvm_autovalue(image) whole = image_new(packed.len + 256);

    memcpy(whole.data + 100, "IKCFG_ST", 8);
    memcpy(whole.data + 108, packed.data, packed.len);
    memcpy(whole.data + 108 + packed.len, "IKCFG_ED", 8);
    return kernel_needs_check_bytes(whole.data, whole.len, err);
}

#define ENOUGH                                                                                    \
    "CONFIG_BLK_DEV_INITRD=y\nCONFIG_BINFMT_ELF=y\nCONFIG_VIRTIO_MMIO=m\nCONFIG_VIRTIO_BLK=y\n"   \
    "CONFIG_VIRTIO_VSOCKETS=y\nCONFIG_EROFS_FS=y\nCONFIG_OVERLAY_FS=y\n"                          \
    "CONFIG_DEVTMPFS=y\nCONFIG_PROC_FS=y\nCONFIG_SYSFS=y\nCONFIG_TMPFS=y\nCONFIG_UNIX98_PTYS=y\n" \
    "CONFIG_INET=y\n"

static void what_a_kernel_lacks_is_named_where_it_tells(void **state)
{
    mvm_autoerror mvm_error *err = NULL;

    (void) state;
    assert_int_equal(check_image_with(ENOUGH, NULL), 0);
    assert_message(check_image_with(ENOUGH "CONFIG_EROFS_FS=n\n# CONFIG_TMPFS is not set\n", &err),
                   MVM_E_UNSUPPORTED, &err,
                   "guests need what it lacks: CONFIG_EROFS_FS (the image's file system), "
                   "CONFIG_TMPFS (the writable layer, /dev/shm)");
}

static void a_config_that_cannot_be_read_tells_nothing(void **state)
{
    static const char *const images[] = { "", "IKCFG_ST", "IKCFG_STIKCFG_ED", "IKCFG_STxIKCFG_ED",
                                          "IKCFG_ST\x1f\x8b\x08IKCFG_ED" };

    (void) state;
    for (size_t i = 0; i < ARRAY_SIZE(images); i++)
        assert_int_equal(kernel_needs_check_bytes(images[i], strlen(images[i]), NULL), 0);
    assert_int_equal(check_image_with("no options\n", NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_are_read_and_the_last_of_a_name_wins),
        cmocka_unit_test(lines_that_are_no_option_are_named),
        cmocka_unit_test(sizes_and_counts_are_limited),
        cmocka_unit_test(options_that_a_source_has_not_are_named),
        cmocka_unit_test(options_that_were_not_met_are_named),
        cmocka_unit_test(a_message_names_a_few),
        cmocka_unit_test(what_a_kernel_lacks_is_named_where_it_tells),
        cmocka_unit_test(a_config_that_cannot_be_read_tells_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
