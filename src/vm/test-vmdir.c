/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/vmdir.h"

#include "base/file.h"
#include "base/path.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <cmocka.h>

static char root[] = "/tmp/test-vmdir-XXXXXX";
static char *vms;

static int setup(void **state)
{
    (void) state;
    memcpy(root, "/tmp/test-vmdir-XXXXXX", sizeof(root));
    if (!mkdtemp(root))
        return -1;
    vms = path_join(root, "state/vms");
    return vms ? 0 : -1;
}

static int teardown(void **state)
{
    mvm_autoclose int fd = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    (void) state;
    free(vms);
    return path_remove_tree(fd, root + strlen("/tmp/"), NULL);
}

static bool exists(const char *name)
{
    mvm_autofree char *path = path_join(vms, name);

    return access(path, F_OK) == 0;
}

static int write_state(const struct vmdir *d, const char *digest, int status)
{
    struct vm_state s = { .name = d->name,
                          .image = (char *) "i",
                          .digest = (char *) digest,
                          .remove = d->remove,
                          .started_s = 1,
                          .ended_s = status < 0 ? 0 : 2,
                          .status = status };

    memcpy(s.id, d->id, sizeof(s.id));
    return vm_state_write(d->fd, &s, NULL);
}

static void a_running_name_is_refused_and_a_free_one_is_taken_again(void **state)
{
    mvm_autovalue(vmdir) first = VMDIR_NONE;
    mvm_autovalue(vmdir) second = VMDIR_NONE;
    mvm_autoerror mvm_error *err = NULL;

    (void) state;
    assert_int_equal(vmdir_take(vms, "web", false, &first, NULL), 0);
    assert_string_equal(first.name, "web");
    assert_int_equal(file_write(first.fd, "console.log", "old", 3, 0600, NULL), 0);
    assert_int_equal(vmdir_take(vms, "web", false, &second, &err), MVM_E_BUSY);
    assert_non_null(strstr(mvm_error_message(err), "'web'"));
    vmdir_deinit(&first);
    assert_int_equal(vmdir_take(vms, "web", false, &second, NULL), 0);
    assert_false(exists("web/console.log"));
}

/* The lock belongs to the open file description: a copy that another process holds keeps it. */
static void the_lock_lives_as_long_as_any_copy(void **state)
{
    mvm_autovalue(vmdir) first = VMDIR_NONE;
    mvm_autovalue(vmdir) second = VMDIR_NONE;
    mvm_autoclose int copy = -EBADF;

    (void) state;
    assert_int_equal(vmdir_take(vms, "web", false, &first, NULL), 0);
    assert_int_equal(write_state(&first, "sha256:0", -1), 0);
    copy = fcntl(first.lock_fd, F_DUPFD_CLOEXEC, 3);
    (void) close(steal_fd(&first.lock_fd));
    assert_int_equal(vmdir_take_back(&first, 20, NULL), MVM_E_BUSY);
    assert_int_equal(vmdir_take(vms, "web", false, &second, NULL), MVM_E_BUSY);
    (void) close(steal_fd(&copy));
    assert_int_equal(vmdir_take_back(&first, 1000, NULL), 0);
}

static void unnamed_vms_get_names_of_their_own(void **state)
{
    mvm_autovalue(vmdir) first = VMDIR_NONE;
    mvm_autovalue(vmdir) second = VMDIR_NONE;

    (void) state;
    assert_int_equal(vmdir_take(vms, NULL, true, &first, NULL), 0);
    assert_int_equal(vmdir_take(vms, NULL, true, &second, NULL), 0);
    assert_string_not_equal(first.name, second.name);
    assert_true(exists(first.name));
    assert_int_equal(vmdir_remove(&first, NULL), 0);
    assert_false(exists(first.name));
}

static void the_folder_is_for_its_owner_alone(void **state)
{
    mvm_autovalue(vmdir) d = VMDIR_NONE;
    struct stat st;

    (void) state;
    assert_int_equal(vmdir_take(vms, "web", false, &d, NULL), 0);
    assert_int_equal(fstat(d.fd, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
}

static void a_sweep_removes_the_dead_and_keeps_the_rest(void **state)
{
    mvm_autovalue(vmdir) running = VMDIR_NONE;
    mvm_autovalue(vmdir) kept = VMDIR_NONE;
    mvm_autovalue(vmdir) dead = VMDIR_NONE;
    mvm_autovalue(vmdir) early = VMDIR_NONE;

    (void) state;
    assert_int_equal(vmdir_take(vms, "running", true, &running, NULL), 0);
    assert_int_equal(write_state(&running, "sha256:0", -1), 0);
    assert_int_equal(vmdir_take(vms, "kept", false, &kept, NULL), 0);
    assert_int_equal(write_state(&kept, "sha256:0", 7), 0);
    vmdir_deinit(&kept);
    assert_int_equal(vmdir_take(vms, "dead", true, &dead, NULL), 0);
    assert_int_equal(write_state(&dead, "sha256:0", -1), 0);
    vmdir_deinit(&dead);
    assert_int_equal(vmdir_take(vms, "early", false, &early, NULL), 0);
    vmdir_deinit(&early);
    vmdir_sweep(running.vms_fd, NULL);
    assert_true(exists("running"));
    assert_true(exists("kept/state.json"));
    assert_false(exists("dead"));
    assert_false(exists("early"));
}

static void leave_disk(const struct vmdir *d)
{
    assert_int_equal(file_write(d->fd, VMDIR_UPPER, "ext4", 4, 0600, NULL), 0);
}

/* Logs may be kept; a disk never is. */
static void the_disk_of_a_dead_vm_goes_and_that_of_a_running_one_stays(void **state)
{
    mvm_autovalue(vmdir) running = VMDIR_NONE;
    mvm_autovalue(vmdir) kept = VMDIR_NONE;
    mvm_autovalue(vmdir) next = VMDIR_NONE;

    (void) state;
    assert_int_equal(vmdir_take(vms, "running", false, &running, NULL), 0);
    assert_int_equal(write_state(&running, "sha256:0", -1), 0);
    leave_disk(&running);
    assert_int_equal(vmdir_take(vms, "kept", false, &kept, NULL), 0);
    assert_int_equal(write_state(&kept, "sha256:0", 7), 0);
    leave_disk(&kept);
    vmdir_deinit(&kept);
    vmdir_sweep(running.vms_fd, NULL);
    assert_true(exists("running/" VMDIR_UPPER));
    assert_true(exists("kept/state.json"));
    assert_false(exists("kept/" VMDIR_UPPER));
    vmdir_remove_upper(&running);
    assert_false(exists("running/" VMDIR_UPPER));
    leave_disk(&running);
    vmdir_deinit(&running);
    assert_int_equal(vmdir_take(vms, "running", false, &next, NULL), 0);
    assert_false(exists("running/" VMDIR_UPPER));
}

/* The first one's process was stopped while the second one ran and ended. */
static void a_vm_leaves_the_folder_of_the_next_of_its_name_alone(void **state)
{
    mvm_autovalue(vmdir) first = VMDIR_NONE;
    mvm_autovalue(vmdir) second = VMDIR_NONE;
    mvm_autovalue(vmdir) third = VMDIR_NONE;
    mvm_autoerror mvm_error *err = NULL;

    (void) state;
    assert_int_equal(vmdir_take(vms, "web", true, &first, NULL), 0);
    assert_int_equal(write_state(&first, "sha256:0", -1), 0);
    (void) close(steal_fd(&first.lock_fd));
    assert_int_equal(vmdir_take(vms, "web", false, &second, NULL), 0);
    assert_string_not_equal(first.id, second.id);
    assert_int_equal(strspn(second.id, "0123456789abcdef"), VM_STATE_ID_LEN);
    assert_int_equal(write_state(&second, "sha256:1", 3), 0);
    (void) close(steal_fd(&second.lock_fd));
    assert_int_equal(vmdir_take_back(&first, 20, &err), MVM_E_NOT_FOUND);
    assert_non_null(strstr(mvm_error_message(err), "'web'"));
    assert_true(first.lock_fd < 0);
    /* Nor did it keep the lock. */
    assert_int_equal(vmdir_take_back(&second, 0, NULL), 0);
    vmdir_deinit(&second);
    /* One that was killed before it wrote its state is not the first one either. */
    assert_int_equal(vmdir_take(vms, "web", false, &third, NULL), 0);
    vmdir_deinit(&third);
    assert_int_equal(vmdir_take_back(&first, 20, NULL), MVM_E_NOT_FOUND);
    assert_true(exists("web"));
}

static void a_folder_that_is_no_vm_s_is_neither_taken_nor_swept(void **state)
{
    mvm_autovalue(vmdir) running = VMDIR_NONE;
    mvm_autovalue(vmdir) taken = VMDIR_NONE;
    mvm_autoerror mvm_error *err = NULL;
    mvm_autoclose int fd = -EBADF;

    (void) state;
    assert_int_equal(vmdir_take(vms, "running", true, &running, NULL), 0);
    assert_int_equal(path_make_dir_at(running.vms_fd, "photos", 0700, &fd, NULL), 0);
    assert_int_equal(file_write(fd, "console.log", "mine", 4, 0600, NULL), 0);
    vmdir_sweep(running.vms_fd, NULL);
    assert_true(exists("photos/console.log"));
    assert_int_equal(vmdir_take(vms, "photos", true, &taken, &err), MVM_E_EXISTS);
    assert_non_null(strstr(mvm_error_message(err), "'photos'"));
    assert_true(exists("photos/console.log"));
    assert_false(exists("photos/state.lock"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_running_name_is_refused_and_a_free_one_is_taken_again,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(the_lock_lives_as_long_as_any_copy, setup, teardown),
        cmocka_unit_test_setup_teardown(unnamed_vms_get_names_of_their_own, setup, teardown),
        cmocka_unit_test_setup_teardown(the_folder_is_for_its_owner_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(a_sweep_removes_the_dead_and_keeps_the_rest, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(the_disk_of_a_dead_vm_goes_and_that_of_a_running_one_stays,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(a_vm_leaves_the_folder_of_the_next_of_its_name_alone, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_folder_that_is_no_vm_s_is_neither_taken_nor_swept, setup,
                                        teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
