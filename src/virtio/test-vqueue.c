/* SPDX-License-Identifier: Apache-2.0 */
#include "virtio/vqueue.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "virtio/test-ring.h"

#define MEMORY (1u << 20)
#define SIZE 8

struct fixture {
    struct test_memory memory;
    struct gmem gm;
    struct test_ring ring;
    struct vqueue vq;
    struct iovec iov[4];
    struct vchain chain;
};

static void start(struct fixture *f, uint64_t features)
{
    const struct vqueue_place place = test_ring_place(&f->ring);

    assert_int_equal(vqueue_start(&f->vq, &f->gm, &place, 0, features, NULL), 0);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct gmem_spec spec;

    assert_non_null(f);
    assert_int_equal(test_memory_init(&f->memory, MEMORY), 0);
    spec = test_memory_spec(&f->memory);
    assert_int_equal(gmem_map(&f->gm, &spec, 1, NULL), 0);
    f->ring = (struct test_ring){ .memory = &f->memory, .at = 4096, .size = SIZE };
    f->chain = (struct vchain){ .iov = f->iov, .max = ARRAY_SIZE(f->iov) };
    start(f, 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    gmem_deinit(&f->gm);
    test_memory_deinit(&f->memory);
    free(f);
    return 0;
}

static void chain_comes_with_its_buffers_in_order(void **state)
{
    struct fixture *f = *state;
    uint32_t head, len;

    assert_int_equal(vqueue_peek(&f->vq, 0, &f->chain), 0);
    test_ring_desc(&f->ring, 5, TEST_BASE + 100, 44, TEST_F_NEXT, 2);
    test_ring_desc(&f->ring, 2, TEST_BASE + MEMORY - 7, 7, TEST_F_WRITE, 0);
    test_ring_offer(&f->ring, 5);
    assert_int_equal(vqueue_peek(&f->vq, 0, &f->chain), 1);
    assert_int_equal(f->chain.n_out, 1);
    assert_int_equal(f->chain.n_in, 1);
    assert_int_equal(f->iov[0].iov_len, 44);
    assert_ptr_equal(f->iov[1].iov_base, f->gm.regions[0].host + MEMORY - 7);
    assert_int_equal(vqueue_peek(&f->vq, 1, &f->chain), 0);
    vqueue_take(&f->vq);
    vqueue_put(&f->vq, 5, 7);
    assert_false(test_ring_take(&f->ring, &head, &len));
    assert_true(vqueue_publish(&f->vq));
    assert_true(test_ring_take(&f->ring, &head, &len));
    assert_int_equal(head, 5);
    assert_int_equal(len, 7);
    assert_false(vqueue_publish(&f->vq)); /* nothing new */
}

static void assert_broken(struct fixture *f, int code)
{
    test_ring_offer(&f->ring, 0);
    assert_int_equal(vqueue_peek(&f->vq, 0, &f->chain), code);
    test_ring_desc(&f->ring, 0, TEST_BASE, 1, 0, 0);
    assert_true(vqueue_peek(&f->vq, 0, &f->chain) < 0); /* it stays so */
    start(f, 0);
    test_ring_set_avail(&f->ring, 0);
}

static void chains_against_the_rules_break_the_ring(void **state)
{
    struct fixture *f = *state;

    test_ring_desc(&f->ring, 0, TEST_BASE + MEMORY - 7, 8, 0, 0); /* one byte beyond */
    assert_broken(f, MVM_E_FORMAT);
    test_ring_desc(&f->ring, 0, TEST_BASE - 1, 8, 0, 0);
    assert_broken(f, MVM_E_FORMAT);
    test_ring_desc(&f->ring, 0, UINT64_MAX - 3, 8, 0, 0);
    assert_broken(f, MVM_E_FORMAT);
    test_ring_desc(&f->ring, 0, TEST_BASE, 8, TEST_F_NEXT, SIZE);
    assert_broken(f, MVM_E_FORMAT);
    test_ring_desc(&f->ring, 0, TEST_BASE, 8, TEST_F_NEXT, 0); /* itself */
    assert_broken(f, MVM_E_LIMIT);
    test_ring_desc(&f->ring, 1, TEST_BASE, 8, 0, 0);
    test_ring_desc(&f->ring, 0, TEST_BASE, 8, TEST_F_NEXT | TEST_F_WRITE, 1);
    assert_broken(f, MVM_E_FORMAT); /* readable after writable */
    test_ring_desc(&f->ring, 0, TEST_BASE, 16, TEST_F_INDIRECT, 0);
    assert_broken(f, MVM_E_FORMAT);  /* not offered */
    test_ring_offer(&f->ring, SIZE); /* no such descriptor */
    assert_int_equal(vqueue_peek(&f->vq, 0, &f->chain), MVM_E_FORMAT);
}

static void as_many_buffers_as_the_caller_takes_are_the_most(void **state)
{
    struct fixture *f = *state;

    for (unsigned i = 0; i < 4; i++)
        test_ring_desc(&f->ring, i, TEST_BASE, 1, i < 3 ? TEST_F_NEXT : 0, i + 1);
    test_ring_offer(&f->ring, 0);
    assert_int_equal(vqueue_peek(&f->vq, 0, &f->chain), 1);
    assert_int_equal(f->chain.n_out, 4);
    test_ring_desc(&f->ring, 3, TEST_BASE, 1, TEST_F_NEXT, 4);
    test_ring_desc(&f->ring, 4, TEST_BASE, 1, 0, 0);
    assert_int_equal(vqueue_peek(&f->vq, 0, &f->chain), MVM_E_LIMIT);
}

static void more_available_than_the_ring_has_breaks_it(void **state)
{
    struct fixture *f = *state;

    test_ring_desc(&f->ring, 0, TEST_BASE, 1, 0, 0);
    test_ring_set_avail(&f->ring, SIZE);
    assert_int_equal(vqueue_peek(&f->vq, SIZE - 1, &f->chain), 1);
    assert_int_equal(vqueue_peek(&f->vq, SIZE, &f->chain), 0);
    start(f, 0);
    test_ring_set_avail(&f->ring, SIZE + 1);
    assert_int_equal(vqueue_peek(&f->vq, 0, &f->chain), MVM_E_FORMAT);
}

static void indirect_tables_are_followed_once_where_they_were_offered(void **state)
{
    struct fixture *f = *state;
    uint8_t *table = f->memory.mem + 65536;

    start(f, VIRTIO_BIT(VIRTIO_RING_F_INDIRECT_DESC));
    test_put_desc(table, 0, TEST_BASE, 3, TEST_F_NEXT, 1);
    test_put_desc(table, 1, TEST_BASE, 4, TEST_F_WRITE, 0);
    test_ring_desc(&f->ring, 0, TEST_BASE + 65536, 32, TEST_F_INDIRECT, 0);
    test_ring_offer(&f->ring, 0);
    assert_int_equal(vqueue_peek(&f->vq, 0, &f->chain), 1);
    assert_int_equal(f->chain.n_out + f->chain.n_in, 2);
    assert_int_equal(f->iov[1].iov_len, 4);
    test_put_desc(table, 0, TEST_BASE, 3, TEST_F_NEXT, 2); /* behind the table */
    assert_int_equal(vqueue_peek(&f->vq, 0, &f->chain), MVM_E_FORMAT);
    for (unsigned i = 0; i < 4; i++) {
        const struct {
            uint32_t len;
            unsigned outer, inner;
        } bad[] = { { 24, TEST_F_INDIRECT, 0 },
                    { 0, TEST_F_INDIRECT, 0 },
                    { 16 * (SIZE + 1), TEST_F_INDIRECT, 0 },
                    { 32, TEST_F_INDIRECT, TEST_F_INDIRECT } };

        start(f, VIRTIO_BIT(VIRTIO_RING_F_INDIRECT_DESC));
        test_put_desc(table, 0, TEST_BASE + 65536, 16, bad[i].inner, 0);
        test_ring_desc(&f->ring, 0, TEST_BASE + 65536, bad[i].len, bad[i].outer, 0);
        assert_int_equal(vqueue_peek(&f->vq, 0, &f->chain), MVM_E_FORMAT);
    }
}

/* One chain put back at @from; whether the driver is to be notified that asked for @event. */
static bool told(struct fixture *f, uint16_t from, uint16_t event, unsigned n)
{
    f->vq.used_idx = f->vq.shown_idx = from;
    test_ring_want(&f->ring, event);
    for (unsigned i = 0; i < n; i++)
        vqueue_put(&f->vq, 0, 0);
    return vqueue_publish(&f->vq);
}

static void notifications_follow_the_event_index_across_its_wrap(void **state)
{
    struct fixture *f = *state;

    start(f, VIRTIO_BIT(VIRTIO_RING_F_EVENT_IDX));
    assert_true(told(f, 10, 10, 1));
    assert_false(told(f, 10, 11, 1));
    assert_true(told(f, 10, 12, 3));
    assert_false(told(f, 10, 13, 3));
    assert_false(told(f, 10, 9, 3));
    assert_true(told(f, 65535, 65535, 2));
    assert_true(told(f, 65535, 0, 2));
    assert_false(told(f, 65535, 1, 2));
}

static void without_the_event_index_the_flag_decides(void **state)
{
    struct fixture *f = *state;

    assert_true(told(f, 10, 9, 1));
    le16_put(test_ring_avail(&f->ring), 1);
    assert_false(told(f, 10, 10, 1));
}

static void waiting_asks_for_the_next_chain_and_sees_one_that_came_meanwhile(void **state)
{
    struct fixture *f = *state;

    start(f, VIRTIO_BIT(VIRTIO_RING_F_EVENT_IDX));
    test_ring_desc(&f->ring, 0, TEST_BASE, 1, 0, 0);
    assert_true(vqueue_wait(&f->vq));
    assert_int_equal(test_ring_wanted(&f->ring), 0);
    test_ring_offer(&f->ring, 0);
    assert_false(vqueue_wait(&f->vq));
    assert_int_equal(vqueue_peek(&f->vq, 0, &f->chain), 1);
    assert_true(vqueue_wait(&f->vq)); /* also while one is not taken yet */
    assert_int_equal(test_ring_wanted(&f->ring), 1);
}

static void rings_that_do_not_fit_are_refused(void **state)
{
    struct fixture *f = *state;
    const struct vqueue_place good = test_ring_place(&f->ring);
    struct vqueue_place bad[] = { good, good, good, good, good, good };

    bad[0].size = 0;
    bad[1].size = 12;
    bad[2].desc = TEST_USER + MEMORY - 16 * SIZE + 16;
    bad[3].avail = TEST_USER - 2;
    bad[4].used = TEST_USER + MEMORY - 8;
    bad[5].desc += 8;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_int_equal(vqueue_start(&f->vq, &f->gm, &bad[i], 0, 0, NULL), MVM_E_FORMAT);
    assert_int_equal(vqueue_peek(&f->vq, 0, &f->chain), 0); /* no ring, no chain */
}

static void memory_regions_are_checked(void **state)
{
    struct fixture *f = *state;
    const struct gmem_spec good = test_memory_spec(&f->memory);
    struct gmem_spec bad[] = { good, good, good, good, good, good, good };
    struct gmem_spec many[GMEM_REGIONS_MAX + 1];
    struct gmem gm = { .count = 0 };

    bad[0].size = 0;
    bad[1].size = MEMORY + 4096; /* beyond its file */
    bad[2].offset = 4096;
    bad[3].base += 100;
    bad[4].user = UINT64_MAX - 4095;
    bad[5].size = UINT64_MAX - 4095;
    bad[6].fd = -1;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        assert_true(gmem_map(&gm, &bad[i], 1, NULL) < 0);
        assert_int_equal(gm.count, 0);
    }
    for (size_t i = 0; i < ARRAY_SIZE(many); i++) {
        many[i] = good;
        many[i].size = 4096;
        many[i].base += 4096 * i;
        many[i].user += 4096 * i;
    }
    assert_int_equal(gmem_map(&gm, many, GMEM_REGIONS_MAX, NULL), 0);
    assert_null(gmem_slice(&gm, TEST_BASE + 4090, 8)); /* no slice across two regions */
    assert_non_null(gmem_slice(&gm, TEST_BASE + 4090, 6));
    assert_int_equal(gmem_map(&gm, many, GMEM_REGIONS_MAX + 1, NULL), MVM_E_LIMIT);
    many[1].base = many[0].base;
    assert_int_equal(gmem_map(&gm, many, 2, NULL), MVM_E_FORMAT);
    many[1].base = many[0].base + 4096;
    many[1].user = many[0].user;
    assert_int_equal(gmem_map(&gm, many, 2, NULL), MVM_E_FORMAT);
    gmem_deinit(&gm);
}

static void buffers_are_copied_and_cut_across_their_borders(void **state)
{
    char a[4] = "abc", b[4] = "def", text[8] = { 0 };
    const struct iovec iov[] = { { a, 3 }, { NULL, 0 }, { b, 3 } };
    struct iovec cut[3];

    (void) state;
    assert_int_equal(iov_total(iov, 3), 6);
    assert_int_equal(iov_read(iov, 3, text, 7), 6);
    assert_string_equal(text, "abcdef");
    assert_int_equal(iov_slice(iov, 3, 2, 3, cut, 3), 2);
    assert_int_equal(cut[0].iov_len, 1);
    assert_ptr_equal(cut[1].iov_base, b);
    assert_int_equal(cut[1].iov_len, 2);
    assert_int_equal(iov_slice(iov, 3, 2, 3, cut, 1), 1);
    assert_int_equal(iov_slice(iov, 3, 6, 3, cut, 3), 0);
    assert_int_equal(iov_write(iov, 3, "12345", 5), 5);
    assert_memory_equal(b, "45f", 3);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(chain_comes_with_its_buffers_in_order),
        TEST(chains_against_the_rules_break_the_ring),
        TEST(as_many_buffers_as_the_caller_takes_are_the_most),
        TEST(more_available_than_the_ring_has_breaks_it),
        TEST(indirect_tables_are_followed_once_where_they_were_offered),
        TEST(notifications_follow_the_event_index_across_its_wrap),
        TEST(without_the_event_index_the_flag_decides),
        TEST(waiting_asks_for_the_next_chain_and_sees_one_that_came_meanwhile),
        TEST(rings_that_do_not_fit_are_refused),
        TEST(memory_regions_are_checked),
        TEST(buffers_are_copied_and_cut_across_their_borders),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
