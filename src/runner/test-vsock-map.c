/* SPDX-License-Identifier: Apache-2.0 */
#include "runner/listener.h"
#include "runner/vsock-map.h"

#include "agent/agent-limits.h"
#include "base/test-sandbox.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>

static void assert_added(struct vsock_map *v, uint32_t port, const char *path, int want,
                         const char *part)
{
    mvm_autoerror mvm_error *err = NULL;
    int r = vsock_map_add(v, port, path, false, &err);

    if (r != want || !strstr(mvm_error_message(err), part))
        fail_msg("port %u '%s': %d '%s'", port, path, r, mvm_error_message(err));
}

static void add_keeps_the_order(void **state)
{
    mvm_autovalue(vsock_map) v = { .n = 0 };

    (void) state;
    assert_added(&v, 2048, "/b", 0, "");
    assert_added(&v, 1, "/a", 0, "");
    assert_added(&v, UINT32_MAX - 1, "/c", 0, "");
    assert_int_equal(v.n, 3);
    assert_int_equal(v.items[0].port, 2048);
    assert_int_equal(v.items[1].port, 1);
    assert_string_equal(v.items[2].socket_path, "/c");
}

static void add_refuses_ports_that_are_none_or_taken(void **state)
{
    mvm_autovalue(vsock_map) v = { .n = 0 };

    (void) state;
    assert_added(&v, 0, "/a", MVM_E_ARG, "port 0");
    assert_added(&v, UINT32_MAX, "/a", MVM_E_ARG, "port 4294967295");
    assert_added(&v, AGENT_VSOCK_PORT, "/a", MVM_E_ARG, "agent");
    assert_added(&v, 5, "/a", 0, "");
    assert_added(&v, 5, "/b", MVM_E_EXISTS, "port 5 was given before");
    assert_int_equal(v.n, 1);
}

static void add_refuses_paths_that_no_socket_can_have(void **state)
{
    mvm_autovalue(vsock_map) v = { .n = 0 };
    char path[VSOCK_PATH_MAX + 2];

    (void) state;
    memset(path, 'x', sizeof(path));
    path[0] = '/';
    path[VSOCK_PATH_MAX + 1] = '\0';
    assert_added(&v, 1, path, MVM_E_ARG, "108 bytes: 107 are possible");
    path[VSOCK_PATH_MAX] = '\0';
    assert_added(&v, 1, path, 0, "");
    assert_added(&v, 2, "run/app.sock", MVM_E_ARG, "not absolute");
    assert_added(&v, 2, "", MVM_E_ARG, "not absolute");
    path[VSOCK_HYBRID_PATH_MAX + 1] = '\0';
    assert_int_equal(vsock_uds_check(path, NULL), MVM_E_ARG);
    path[VSOCK_HYBRID_PATH_MAX] = '\0';
    assert_int_equal(vsock_uds_check(path, NULL), 0);
}

static void add_has_a_limit(void **state)
{
    mvm_autovalue(vsock_map) v = { .n = 0 };

    (void) state;
    for (uint32_t i = 1; i <= VSOCK_MAP_MAX; i++)
        assert_added(&v, i, "/a", 0, "");
    assert_added(&v, VSOCK_MAP_MAX + 1, "/a", MVM_E_LIMIT, "more than");
}

static void check_host_refuses_what_is_no_socket(void **state)
{
    struct sandbox *sb = *state;
    mvm_autovalue(vsock_map) v = { .n = 0 };
    mvm_autovalue(listener) l = LISTENER_NONE;
    mvm_autoerror mvm_error *err = NULL;
    char file[96], socket_path[96], none[96];

    sandbox_write(sb->fd, "file", "x");
    (void) snprintf(file, sizeof(file), "%s/file", sb->path);
    (void) snprintf(socket_path, sizeof(socket_path), "%s/socket", sb->path);
    (void) snprintf(none, sizeof(none), "%s/none", sb->path);
    assert_int_equal(listener_open(socket_path, SOCK_STREAM, &l, NULL), 0);
    assert_added(&v, 1, socket_path, 0, "");
    assert_added(&v, 2, none, 0, "");
    assert_int_equal(vsock_map_check_host(&v, none, NULL), 0);
    assert_added(&v, 3, file, 0, "");
    assert_int_equal(vsock_map_check_host(&v, NULL, &err), MVM_E_ARG);
    assert_non_null(strstr(mvm_error_message(err), "vsock port 3"));
    assert_int_equal(vsock_map_check_host(&(struct vsock_map){ .n = 0 }, file, NULL), MVM_E_ARG);
}

static void listener_is_private_and_goes_with_its_owner(void **state)
{
    struct sandbox *sb = *state;
    struct listener l = LISTENER_NONE;
    char path[96];
    struct stat st;

    (void) snprintf(path, sizeof(path), "%s/socket", sb->path);
    assert_int_equal(listener_open(path, SOCK_STREAM, &l, NULL), 0);
    assert_int_equal(lstat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    listener_deinit(&l);
    assert_false(sandbox_has(sb->fd, "socket"));
    listener_deinit(&l);
}

static void listener_spares_what_is_in_use(void **state)
{
    struct sandbox *sb = *state;
    mvm_autovalue(listener) first = LISTENER_NONE;
    struct listener second = LISTENER_NONE;
    mvm_autoerror mvm_error *err = NULL;
    char path[96];

    (void) snprintf(path, sizeof(path), "%s/socket", sb->path);
    assert_int_equal(listener_open(path, SOCK_STREAM, &first, NULL), 0);
    assert_int_equal(listener_open(path, SOCK_STREAM, &second, &err), MVM_E_BUSY);
    assert_non_null(strstr(mvm_error_message(err), "in use"));
    listener_deinit(&second);
    assert_true(sandbox_has(sb->fd, "socket"));
    sandbox_write(sb->fd, "file", "x");
    (void) snprintf(path, sizeof(path), "%s/file", sb->path);
    assert_int_equal(listener_open(path, SOCK_STREAM, &second, NULL), MVM_E_BUSY);
    assert_true(sandbox_has(sb->fd, "file"));
}

static void listener_replaces_what_a_dead_vm_left(void **state)
{
    struct sandbox *sb = *state;
    struct listener dead = LISTENER_NONE, next = LISTENER_NONE;
    char path[96];

    (void) snprintf(path, sizeof(path), "%s/socket", sb->path);
    assert_int_equal(listener_open(path, SOCK_SEQPACKET, &dead, NULL), 0);
    (void) close(dead.fd); /* as the kernel does when its process is killed */
    dead.fd = -EBADF;
    assert_int_equal(listener_open(path, SOCK_SEQPACKET, &next, NULL), 0);
    listener_deinit(&dead); /* what is there now is not its own any more */
    assert_true(sandbox_has(sb->fd, "socket"));
    listener_deinit(&next);
    assert_false(sandbox_has(sb->fd, "socket"));
}

/* Of many who find the same stale socket, one listens and the others are told. */
static void listener_is_one_of_many_on_a_stale_path(void **state)
{
    enum {
        RACERS = 8
    };
    struct sandbox *sb = *state;
    struct listener dead = LISTENER_NONE;
    unsigned won = 0;
    pid_t pids[RACERS];
    int go[2], stay[2];
    char path[96];

    (void) snprintf(path, sizeof(path), "%s/socket", sb->path);
    assert_int_equal(listener_open(path, SOCK_STREAM, &dead, NULL), 0);
    (void) close(steal_fd(&dead.fd));
    assert_int_equal(pipe2(go, O_CLOEXEC) + pipe2(stay, O_CLOEXEC), 0);
    for (size_t i = 0; i < RACERS; i++) {
        pids[i] = fork();
        if (pids[i] == 0) {
            struct listener l = LISTENER_NONE;
            char c;
            int r;

            (void) close(go[1]);
            (void) close(stay[1]);
            (void) !read(go[0], &c, 1); /* until all are there */
            r = listener_open(path, SOCK_STREAM, &l, NULL);
            if (r == 0)
                (void) !read(stay[0], &c, 1); /* keeps it until all have tried */
            _exit(r == 0 ? 0 : r == MVM_E_BUSY ? 1 : 2);
        }
    }
    (void) close(go[1]);
    (void) poll(NULL, 0, 300);
    (void) close(stay[1]);
    for (size_t i = 0; i < RACERS; i++) {
        int status = 0;

        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) <= 1);
        won += WEXITSTATUS(status) == 0;
    }
    assert_int_equal(won, 1);
    free(dead.path);
    (void) close(go[0]);
    (void) close(stay[0]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, sandbox_setup, sandbox_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(add_keeps_the_order),
        cmocka_unit_test(add_refuses_ports_that_are_none_or_taken),
        cmocka_unit_test(add_refuses_paths_that_no_socket_can_have),
        cmocka_unit_test(add_has_a_limit),
        TEST(check_host_refuses_what_is_no_socket),
        TEST(listener_is_private_and_goes_with_its_owner),
        TEST(listener_spares_what_is_in_use),
        TEST(listener_replaces_what_a_dead_vm_left),
        TEST(listener_is_one_of_many_on_a_stale_path),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
