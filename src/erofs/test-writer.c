/* SPDX-License-Identifier: Apache-2.0 */
#include "erofs/test-trees.h"

#include "base/io.h"

static const char text[8192] = "text";

static void nothing_at_all_is_a_root(void **state)
{
    struct trees t;

    (void) state;
    trees_begin(&t);
    trees_next_layer(&t, 0);
    trees_write(&t);
    assert_int_equal(t.sum.size, 2 * EROFS_BLOCK);
    assert_int_equal(trees_look(&t, "").mode, S_IFDIR | 0755);
    assert_int_equal(trees_look(&t, "").links, 2);
    trees_end(&t);
}

static void every_kind_is_there(void **state)
{
    struct layer_record r;
    struct trees t;

    (void) state;
    trees_begin(&t);
    r = trees_record(LAYER_DIR, "");
    r.mode = 01777;
    trees_add(&t, &r);
    r = trees_record(LAYER_DIR, "d/empty");
    r.mode = 07000;
    trees_add(&t, &r);
    trees_add_content(&t, "d/file", "hello", 5);
    trees_add_content(&t, "d/nothing", "", 0);
    trees_add_link(&t, LAYER_HARDLINK, "other", "d/file");
    trees_add_link(&t, LAYER_SYMLINK, "l", "../d//x");
    r = trees_record(LAYER_CHAR, "c");
    r.device = makedev(LAYER_DEVICE_MAJOR_MAX, LAYER_DEVICE_MINOR_MAX);
    trees_add(&t, &r);
    r = trees_record(LAYER_BLOCK_DEVICE, "b");
    r.device = makedev(8, 256);
    r.mode = 06600;
    trees_add(&t, &r);
    r = trees_record(LAYER_FIFO, "p");
    r.mtime_s = -5;
    r.mtime_ns = 999999999;
    trees_add(&t, &r);
    trees_next_layer(&t, 0);
    trees_write(&t);
    assert_int_equal(trees_look(&t, "").links, 3);
    assert_int_equal(trees_look(&t, "").mode, S_IFDIR | 01777);
    assert_int_equal(trees_look(&t, "d/file").at, trees_look(&t, "other").at);
    assert_int_equal(trees_look(&t, "other").links, 2);
    assert_int_equal(trees_look(&t, "p").mtime_s, -5);
    assert_int_equal(trees_look(&t, "c").address, 0xffffffffu);
    trees_end(&t);
}

/* "." and ".." are no first names where others sort before them. */
static void names_are_sorted_bytewise(void **state)
{
    static const char *const names[] = { "-", "\x01", "...",   "..a",   ".-",   ".a",
                                         "A", "a",    "a\xff", "a\x01", "\xff", " " };
    struct trees t;
    char longest[LAYER_NAME_MAX + 1];

    (void) state;
    trees_begin(&t);
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        trees_add_content(&t, names[i], names[i], strlen(names[i]));
    memset(longest, '.', LAYER_NAME_MAX);
    longest[LAYER_NAME_MAX] = '\0';
    trees_add_content(&t, longest, "x", 1);
    trees_next_layer(&t, 0);
    trees_write(&t);
    assert_int_equal(trees_look(&t, longest).size, 1);
    assert_int_equal(trees_look(&t, "a\xff").size, 2);
    trees_end(&t);
}

#define DOTS_LEN (12u + 1 + 12 + 2)

/* A directory "d" of that many bytes, at most two blocks. */
static void make_directory(struct trees *t, size_t bytes)
{
    size_t left = bytes - DOTS_LEN;
    char path[2 + LAYER_NAME_MAX + 1] = "d/";
    const struct layer_record d = trees_record(LAYER_DIR, "d");

    trees_begin(t);
    trees_add(t, &d);
    for (unsigned i = 0; left > 0; i++) {
        /* What remains must not be too little for an entry. */
        const size_t take = left <= 12 + LAYER_NAME_MAX ? left : left < 300 ? 200 : 220;

        memset(path + 2, 'n', take - 12);
        path[take - 12 + 2] = '\0';
        path[2] = (char) ('a' + i % 26);
        path[3] = (char) ('a' + i / 26);
        trees_add_content(t, path, "", 0);
        left -= take;
    }
    trees_next_layer(t, 0);
    trees_write(t);
}

static void directories_end_at_any_byte_of_a_block(void **state)
{
    static const struct {
        size_t bytes, size;
        unsigned layout;
    } cases[] = {
        { DOTS_LEN + 14, DOTS_LEN + 14, 2 }, { 4096 - 32, 4096 - 32, 2 }, /* fills the block
                                                                             together with its inode
                                                                           */
        { 4096 - 31, 4096 - 31, 0 },         { 4095, 4095, 0 },           { 4096, 4096, 0 },
    };

    (void) state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct trees t;
        struct view_inode n;

        make_directory(&t, cases[i].bytes);
        n = trees_look(&t, "d");
        assert_int_equal(n.size, cases[i].size);
        assert_int_equal(n.layout, cases[i].layout);
        trees_end(&t);
    }
}

static void one_entry_more_begins_a_block(void **state)
{
    struct trees t;
    struct view_inode n;
    char path[2 + LAYER_NAME_MAX + 1] = "d/";

    (void) state;
    trees_begin(&t);
    /* 15 names of 255 bytes and one of 52 fill the first block; the order is that of the digits. */
    for (unsigned i = 0; i < 17; i++) {
        const size_t len = i < 15 ? 255 : i == 15 ? 52 : 2;

        memset(path + 2, 'n', len);
        path[2 + len] = '\0';
        path[2] = (char) ('a' + i);
        trees_add_content(&t, path, "", 0);
    }
    trees_next_layer(&t, 0);
    trees_write(&t);
    n = trees_look(&t, "d");
    assert_int_equal(n.size, 4096 + 14);
    assert_int_equal(n.layout, 0);
    trees_end(&t);
}

static void files_are_kept_inline_up_to_the_layers_limit(void **state)
{
    struct layer_record r = trees_record(LAYER_FILE, "large");
    struct trees t;

    (void) state;
    trees_begin(&t);
    trees_add_content(&t, "small", text, LAYER_INLINE_MAX);
    r.size = LAYER_INLINE_MAX + 1;
    r.data_block = 6;
    trees_add(&t, &r);
    trees_next_layer(&t, 7);
    trees_write(&t);
    assert_int_equal(trees_look(&t, "small").layout, 2);
    assert_int_equal(trees_look(&t, "large").layout, 0);
    assert_int_equal(trees_look(&t, "large").address, t.sum.size / EROFS_BLOCK + 6);
    trees_end(&t);
}

static void layers_follow_in_their_order(void **state)
{
    static const uint64_t blocks[] = { 3, 0, 5 };
    static const char *const paths[] = { "a", NULL, "c" };
    struct trees t;

    (void) state;
    trees_begin(&t);
    for (size_t i = 0; i < ARRAY_SIZE(blocks); i++) {
        struct layer_record r = trees_record(LAYER_FILE, paths[i] ? paths[i] : "");

        r.size = 5000;
        r.data_block = 1;
        if (paths[i])
            trees_add(&t, &r);
        trees_next_layer(&t, blocks[i]);
    }
    trees_write(&t);
    assert_int_equal(trees_look(&t, "a").address, t.sum.size / EROFS_BLOCK + 1);
    assert_int_equal(trees_look(&t, "c").address, t.sum.size / EROFS_BLOCK + 3 + 1);
    trees_end(&t);
}

static void symlinks_fit_beside_their_inode_or_get_a_block(void **state)
{
    static const struct {
        size_t len;
        unsigned layout;
    } cases[] = { { 1, 2 }, { 4096 - 32, 2 }, { 4096 - 31, 0 }, { LAYER_SYMLINK_MAX, 0 } };

    (void) state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char target[LAYER_SYMLINK_MAX + 1];
        struct trees t;

        memset(target, 'x', cases[i].len);
        target[cases[i].len] = '\0';
        trees_begin(&t);
        trees_add_link(&t, LAYER_SYMLINK, "a", "b");
        trees_add_link(&t, LAYER_SYMLINK, "l", target);
        trees_next_layer(&t, 0);
        trees_write(&t);
        assert_int_equal(trees_look(&t, "l").size, cases[i].len);
        assert_int_equal(trees_look(&t, "l").layout, cases[i].layout);
        trees_end(&t);
    }
}

static void compact_inodes_hold_what_16_and_32_bits_can(void **state)
{
    static const struct {
        uint32_t uid, gid;
        uint64_t size;
        bool extended;
    } cases[] = {
        { 65535, 65535, 0, false },
        { 65536, 0, 0, true },
        { 0, 65536, 0, true },
        { UINT32_MAX - 1, UINT32_MAX - 1, 0, true },
        { 0, 0, UINT32_MAX, false },
        { 0, 0, UINT64_C(1) << 32, true },
        { 0, 0, (UINT64_C(1) << 32) + 1, true },
    };
    static const char *const paths[] = { "a", "b", "c", "d", "e", "f", "g" };
    struct trees t;

    (void) state;
    trees_begin(&t);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct layer_record r = trees_record(LAYER_FILE, paths[i]);

        r.uid = cases[i].uid;
        r.gid = cases[i].gid;
        r.size = cases[i].size;
        trees_add(&t, &r);
    }
    trees_next_layer(&t, (1u << 20) + 1);
    trees_write(&t);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        assert_int_equal(trees_look(&t, paths[i]).extended, cases[i].extended);
        assert_int_equal(trees_look(&t, paths[i]).size, cases[i].size);
    }
    trees_end(&t);
}

static void links_beyond_16_bits_make_an_extended_inode(void **state)
{
    (void) state;
    for (uint32_t links = 65535; links <= 65536; links++) {
        struct trees t;

        trees_begin(&t);
        trees_add_content(&t, "file", "x", 1);
        trees_add_content(&t, "of-the-same-time", "x", 1);
        for (uint32_t i = 1; i < links; i++) {
            char path[16];

            (void) snprintf(path, sizeof(path), "l%u", i);
            trees_add_link(&t, LAYER_HARDLINK, path, "file");
        }
        trees_next_layer(&t, 0);
        trees_write(&t);
        assert_int_equal(trees_look(&t, "l1").links, links);
        assert_int_equal(trees_look(&t, "file").extended, links > 65535);
        trees_end(&t);
    }
}

static void subdirectories_beyond_16_bits_make_an_extended_inode(void **state)
{
    (void) state;
    for (uint32_t links = 65535; links <= 65536; links++) {
        struct layer_record r = trees_record(LAYER_DIR, "");
        struct trees t;

        trees_begin(&t);
        trees_add(&t, &r);
        for (uint32_t i = 2; i < links; i++) {
            char path[16];

            (void) snprintf(path, sizeof(path), "d%u", i);
            r = trees_record(LAYER_DIR, path);
            trees_add(&t, &r);
        }
        trees_next_layer(&t, 0);
        trees_write(&t);
        assert_int_equal(trees_look(&t, "").links, links);
        assert_int_equal(trees_look(&t, "").extended, links > 65535);
        trees_end(&t);
    }
}

static void the_commonest_time_is_the_compact_inodes(void **state)
{
    struct trees t;
    char path[16];

    (void) state;
    trees_begin(&t);
    for (unsigned i = 0; i < 20000; i++) {
        struct layer_record r = trees_record(LAYER_FIFO, path);

        (void) snprintf(path, sizeof(path), "f%u", i);
        r = trees_record(LAYER_FIFO, path);
        r.mtime_s = i % 4 == 0 ? 77 : (int64_t) i;
        r.mtime_ns = i % 4 == 0 ? 5 : i;
        trees_add(&t, &r);
    }
    trees_next_layer(&t, 0);
    trees_write(&t);
    assert_false(trees_look(&t, "f19996").extended);
    assert_true(trees_look(&t, "f19997").extended);
    assert_int_equal(trees_look(&t, "f19997").mtime_ns, 19997);
    trees_end(&t);
}

static void the_same_tree_gives_the_same_bytes(void **state)
{
    struct trees a, b;
    struct trees *const both[] = { &a, &b };

    (void) state;
    for (size_t i = 0; i < 2; i++) {
        trees_begin(both[i]);
        trees_add_content(both[i], "x/y", text, 2000);
        trees_add_link(both[i], LAYER_SYMLINK, "z", "x");
        trees_next_layer(both[i], 9);
        trees_write(both[i]);
    }
    assert_int_equal(a.sum.size, b.sum.size);
    assert_int_equal(a.sum.crc, b.sum.crc);
    assert_memory_equal(a.view.p, b.view.p, a.sum.size);
    trees_end(&a);
    trees_end(&b);
}

static void block_addresses_end_at_32_bits(void **state)
{
    (void) state;
    for (uint64_t over = 0; over < 2; over++) {
        mvm_autoerror mvm_error *e = NULL;
        mvm_autoclose int fd = trees_file("image");
        struct erofs_sum sum = { .size = 0 };
        struct trees t;

        trees_begin(&t);
        trees_next_layer(&t, UINT32_MAX - 2 + over); /* two blocks of metadata */
        trees_merge(&t);
        if (over == 0) {
            assert_int_equal(erofs_write(fd, t.tree, NULL, &sum, &e), 0);
            assert_int_equal(sum.size, 2 * EROFS_BLOCK);
        } else {
            assert_int_equal(erofs_write(fd, t.tree, NULL, &sum, &e), MVM_E_LIMIT);
            assert_non_null(strstr(mvm_error_message(e), "more than 4294967295 blocks"));
            assert_int_equal(sum.size, 0);
        }
        trees_end(&t);
    }
}

static void a_full_disk_is_an_error(void **state)
{
    mvm_autoclose int full = open("/dev/full", O_RDWR | O_CLOEXEC);
    mvm_autoerror mvm_error *e = NULL;
    struct erofs_sum sum;
    struct trees t;

    (void) state;
    trees_begin(&t);
    trees_next_layer(&t, 0);
    trees_merge(&t);
    assert_int_equal(erofs_write(full, t.tree, NULL, &sum, &e), MVM_E_SYS);
    assert_int_equal(mvm_error_errno(e), ENOSPC);
    trees_end(&t);
}

static int refuse(void *user, const struct image_progress *progress)
{
    (void) user;
    (void) progress;
    return 1;
}

static void the_caller_can_stop_it(void **state)
{
    struct image_tick tick = { .fn = refuse };
    mvm_autoclose int fd = trees_file("image");
    struct erofs_sum sum;
    struct trees t;

    (void) state;
    trees_begin(&t);
    trees_next_layer(&t, 0);
    trees_merge(&t);
    assert_int_equal(erofs_write(fd, t.tree, &tick, &sum, NULL), MVM_E_CANCELLED);
    trees_end(&t);
}

/* Whenever it may ask. */
static int count_ticks(void *user, const struct image_progress *progress)
{
    struct image_tick *tick = user;

    (void) progress;
    tick->last_ms = 0;
    tick->now.done++;
    return 0;
}

/* One directory of many names and few inodes. */
static void the_caller_is_asked_within_a_directory(void **state)
{
    const unsigned names = 20000, blocks = names / (4096 / (12 + 7));
    mvm_autoclose int fd = trees_file("image");
    struct image_tick tick = { .fn = count_ticks, .user = &tick };
    struct erofs_sum sum;
    struct trees t;

    (void) state;
    trees_begin(&t);
    trees_add_content(&t, "d/first", "", 0);
    for (unsigned i = 0; i < names; i++) {
        char path[16];

        (void) snprintf(path, sizeof(path), "d/%07u", i);
        trees_add_link(&t, LAYER_HARDLINK, path, "d/first");
    }
    trees_next_layer(&t, 0);
    trees_merge(&t);
    assert_int_equal(erofs_write(fd, t.tree, &tick, &sum, NULL), 0);
    if (tick.now.done < 3 * blocks)
        fail_msg("%llu times for %u blocks", (unsigned long long) tick.now.done, blocks);
    trees_end(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_at_all_is_a_root),
        cmocka_unit_test(every_kind_is_there),
        cmocka_unit_test(names_are_sorted_bytewise),
        cmocka_unit_test(directories_end_at_any_byte_of_a_block),
        cmocka_unit_test(one_entry_more_begins_a_block),
        cmocka_unit_test(files_are_kept_inline_up_to_the_layers_limit),
        cmocka_unit_test(layers_follow_in_their_order),
        cmocka_unit_test(symlinks_fit_beside_their_inode_or_get_a_block),
        cmocka_unit_test(compact_inodes_hold_what_16_and_32_bits_can),
        cmocka_unit_test(links_beyond_16_bits_make_an_extended_inode),
        cmocka_unit_test(subdirectories_beyond_16_bits_make_an_extended_inode),
        cmocka_unit_test(the_commonest_time_is_the_compact_inodes),
        cmocka_unit_test(the_same_tree_gives_the_same_bytes),
        cmocka_unit_test(block_addresses_end_at_32_bits),
        cmocka_unit_test(a_full_disk_is_an_error),
        cmocka_unit_test(the_caller_can_stop_it),
        cmocka_unit_test(the_caller_is_asked_within_a_directory),
    };

    return cmocka_run_group_tests_name("erofs-writer", tests, NULL, NULL);
}
