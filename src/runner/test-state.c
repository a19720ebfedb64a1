/* SPDX-License-Identifier: Apache-2.0 */
#include "runner/state.h"

#include "base/test-sandbox.h"

static const char an_id[] = "0123456789abcdef0123456789abcdef";

static struct vm_state running(void)
{
    struct vm_state s = { .name = (char *) "web",
                          .image = (char *) "alpine",
                          .digest = (char *) "sha256:0",
                          .started_s = 1700000000,
                          .status = -1 };

    memcpy(s.id, an_id, sizeof(s.id));
    return s;
}

static void state_is_read_back_with_how_it_ended(void **state)
{
    struct sandbox *sb = *state;
    const struct vm_state s = running();
    mvm_autovalue(vm_state) back = VM_STATE_NONE;
    mvm_autovalue(vm_state) ended = VM_STATE_NONE;

    assert_int_equal(vm_state_write(sb->root_fd, &s, NULL), 0);
    assert_int_equal(vm_state_read(sb->root_fd, &back, NULL), 0);
    assert_string_equal(back.id, an_id);
    assert_string_equal(back.image, "alpine");
    assert_int_equal(back.started_s, 1700000000);
    assert_int_equal(back.ended_s, 0);
    assert_int_equal(back.status, -1);
    assert_int_equal(vm_state_end(sb->root_fd, 0, "", NULL), 0);
    assert_int_equal(vm_state_read(sb->root_fd, &ended, NULL), 0);
    assert_int_equal(ended.status, 0);
    assert_true(ended.ended_s > 1700000000);
    assert_int_equal(ended.started_s, 1700000000);
    assert_null(ended.message);
}

static void end_keeps_why_there_is_no_status(void **state)
{
    struct sandbox *sb = *state;
    const struct vm_state s = running();
    mvm_autovalue(vm_state) ended = VM_STATE_NONE;

    assert_int_equal(vm_state_end(sb->root_fd, 1, "", NULL), MVM_E_NOT_FOUND);
    assert_int_equal(vm_state_write(sb->root_fd, &s, NULL), 0);
    assert_int_equal(vm_state_end(sb->root_fd, -1, "the guest stopped", NULL), 0);
    assert_int_equal(vm_state_read(sb->root_fd, &ended, NULL), 0);
    assert_int_equal(ended.status, -1);
    assert_string_equal(ended.message, "the guest stopped");
}

static void assert_refused(struct sandbox *sb, const char *text)
{
    struct vm_state s = VM_STATE_NONE;

    sandbox_write(sb->root_fd, VM_STATE_FILE, text);
    if (vm_state_read(sb->root_fd, &s, NULL) >= 0)
        fail_msg("'%s' was taken", text);
    assert_null(s.name);
}

static void read_refuses_what_is_no_state(void **state)
{
    struct sandbox *sb = *state;

    sandbox_write(sb->root_fd, VM_STATE_FILE, ""); /* after a crash of the system */
    assert_int_equal(vm_state_read(sb->root_fd, &(struct vm_state) VM_STATE_NONE, NULL),
                     MVM_E_NOT_FOUND);
    assert_refused(sb, "[]");
    assert_refused(sb, "{}");
    assert_refused(sb, "{\"id\":\"short\"}");
    assert_refused(sb, "{\"id\":\"0123456789abcdef0123456789abcdef\",\"name\":1}");
    assert_refused(sb,
                   "{\"id\":\"0123456789abcdef0123456789abcdef\",\"name\":\"a\",\"status\":256}");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, sandbox_setup, sandbox_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(state_is_read_back_with_how_it_ended),
        TEST(end_keeps_why_there_is_no_status),
        TEST(read_refuses_what_is_no_state),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
