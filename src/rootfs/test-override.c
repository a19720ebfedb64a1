/* SPDX-License-Identifier: Apache-2.0 */
#include "rootfs/override.h"

#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <cmocka.h>

static const struct {
    const char *text;
    struct override_stat value;
} pairs[] = {
    { "0:0:0100644", { .mode = S_IFREG | 0644 } },
    { "1000:1000:040755", { .uid = 1000, .gid = 1000, .mode = S_IFDIR | 0755 } },
    { "1:2:0104755", { .uid = 1, .gid = 2, .mode = S_IFREG | 04755 } },
    { "0:0:0120777", { .mode = S_IFLNK | 0777 } },
    { "0:0:010600", { .mode = S_IFIFO | 0600 } },
    { "0:0:0140000", { .mode = S_IFSOCK } },
    { "0:0:020666:char-1-3", { .mode = S_IFCHR | 0666, .device = 0x103 } },
    { "4294967294:4294967294:0067777:block-4095-1048575",
      { .uid = UINT32_MAX - 1, .gid = UINT32_MAX - 1, .mode = S_IFBLK | 07777 } },
};

static void values_are_as_others_write_them(void **state)
{
    (void) state;
    for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
        struct override_stat want = pairs[i].value, got;
        char text[OVERRIDE_STAT_MAX];
        size_t len;

        if (S_ISBLK(want.mode))
            want.device = makedev(4095, 1048575);
        assert_int_equal(override_stat_decode(pairs[i].text, strlen(pairs[i].text), &got, NULL), 0);
        assert_int_equal(got.uid, want.uid);
        assert_int_equal(got.gid, want.gid);
        assert_int_equal(got.mode, want.mode);
        assert_int_equal(got.device, want.device);
        len = override_stat_encode(&want, text);
        assert_int_equal(len, strlen(text));
        /* One of them has more zeros than we write. */
        if (!S_ISBLK(want.mode))
            assert_string_equal(text, pairs[i].text);
        assert_int_equal(override_stat_decode(text, strlen(text), &got, NULL), 0);
        assert_int_equal(got.device, want.device);
    }
}

static void the_type_may_be_left_out(void **state)
{
    struct override_stat got;

    (void) state;
    assert_int_equal(override_stat_decode("7:8:0755", 8, &got, NULL), 0);
    assert_int_equal(got.mode, 0755);
}

static void other_values_are_refused(void **state)
{
    static const char *const bad[] = {
        "",
        "0:0",
        "0:0:",
        "0:0:644",
        "0:0:0100648",
        "0:0:0200000",
        "0:0:0170000",
        "0:0:00100644",
        "0:0:0100644:",
        "0:0:0100644:file",
        "-1:0:0100644",
        "4294967295:0:0100644",
        "0:4294967295:0100644",
        " 0:0:0100644",
        "0:0:0100644 ",
        "0:0:020666",
        "0:0:020666:char-1",
        "0:0:020666:char-1-3-4",
        "0:0:020666:block-1-3",
        "0:0:020666:char-4096-0",
        "0:0:020666:char-0-1048576",
        "0:0:020666:char-1-3:0",
    };

    (void) state;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct override_stat got = { .uid = 77 };

        if (override_stat_decode(bad[i], strlen(bad[i]), &got, NULL) != MVM_E_FORMAT ||
            got.uid != 77)
            fail_msg("'%s' is taken", bad[i]);
    }
    /* A NUL is not the end. */
    assert_int_equal(override_stat_decode("0:0:0644\0", 9, &(struct override_stat){ 0 }, NULL),
                     MVM_E_FORMAT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_as_others_write_them),
        cmocka_unit_test(the_type_may_be_left_out),
        cmocka_unit_test(other_values_are_refused),
    };

    return cmocka_run_group_tests_name("rootfs-override", tests, NULL, NULL);
}
