/* SPDX-License-Identifier: Apache-2.0 */
#include "image/hash-thread.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>

#include <cmocka.h>

#define PIECE 3000u
#define PIECES (5 * HASH_JOBS_MAX)

static void pieces_are_hashed_in_order(void **state)
{
    mvm_autofree unsigned char *data = malloc(PIECE * PIECES);
    mvm_auto(digest_stream) a = NULL;
    mvm_auto(digest_stream) b = NULL;
    mvm_auto(hash_thread) h = NULL;
    struct digest got, want;
    hash_job last = 0;

    (void) state;
    for (size_t i = 0; i < PIECE * PIECES; i++)
        data[i] = (unsigned char) (i * 7 + i / 1000);
    assert_int_equal(digest_stream_new(DIGEST_SHA256, &a, NULL), 0);
    assert_int_equal(digest_stream_new(DIGEST_SHA512, &b, NULL), 0);
    assert_int_equal(hash_thread_new(&h, NULL), 0);
    hash_thread_wait(h, 0);
    for (size_t i = 0; i < PIECES; i++) {
        (void) hash_thread_push(h, a, data + i * PIECE, PIECE);
        last = hash_thread_push(h, b, data + i * PIECE, PIECE);
    }
    assert_int_equal(last, 2 * PIECES);
    hash_thread_wait(h, last);
    assert_int_equal(digest_stream_finish(a, &got, NULL), 0);
    assert_int_equal(digest_of(DIGEST_SHA256, data, PIECE * PIECES, &want, NULL), 0);
    assert_true(digest_equal(&got, &want));
    assert_int_equal(digest_stream_finish(b, &got, NULL), 0);
    assert_int_equal(digest_of(DIGEST_SHA512, data, PIECE * PIECES, &want, NULL), 0);
    assert_true(digest_equal(&got, &want));
}

static void buffer_is_free_again_after_the_wait(void **state)
{
    mvm_auto(digest_stream) s = NULL;
    mvm_auto(hash_thread) h = NULL;
    struct digest got, want;
    char buffer[3];

    (void) state;
    assert_int_equal(digest_stream_new(DIGEST_SHA256, &s, NULL), 0);
    assert_int_equal(hash_thread_new(&h, NULL), 0);
    for (const char *text = "abcdefghi"; *text; text += 3) {
        memcpy(buffer, text, 3);
        hash_thread_wait(h, hash_thread_push(h, s, buffer, 3));
    }
    assert_int_equal(digest_stream_finish(s, &got, NULL), 0);
    assert_int_equal(digest_of(DIGEST_SHA256, "abcdefghi", 9, &want, NULL), 0);
    assert_true(digest_equal(&got, &want));
}

static void end_does_what_was_pushed(void **state)
{
    mvm_auto(digest_stream) s = NULL;
    struct hash_thread *h = NULL;
    struct digest got, want;

    (void) state;
    assert_int_equal(digest_stream_new(DIGEST_SHA256, &s, NULL), 0);
    assert_int_equal(hash_thread_new(&h, NULL), 0);
    (void) hash_thread_push(h, s, "abc", 3);
    (void) hash_thread_push(h, s, "def", 3);
    hash_thread_free(h);
    assert_int_equal(digest_stream_finish(s, &got, NULL), 0);
    assert_int_equal(digest_of(DIGEST_SHA256, "abcdef", 6, &want, NULL), 0);
    assert_true(digest_equal(&got, &want));
}

static void caller_keeps_its_signal_mask(void **state)
{
    mvm_auto(hash_thread) h = NULL;
    sigset_t before, after;

    (void) state;
    assert_int_equal(sigprocmask(SIG_BLOCK, NULL, &before), 0);
    assert_int_equal(hash_thread_new(&h, NULL), 0);
    assert_int_equal(sigprocmask(SIG_BLOCK, NULL, &after), 0);
    for (int number = 1; number < NSIG; number++)
        assert_int_equal(sigismember(&before, number), sigismember(&after, number));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_are_hashed_in_order),
        cmocka_unit_test(buffer_is_free_again_after_the_wait),
        cmocka_unit_test(end_does_what_was_pushed),
        cmocka_unit_test(caller_keeps_its_signal_mask),
    };

    return cmocka_run_group_tests_name("image-hash-thread", tests, NULL, NULL);
}
