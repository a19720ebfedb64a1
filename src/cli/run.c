/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"

#include "base/mem.h"
#include "cli/input.h"
#include "cli/run-options.h"
#include "cli/terminal.h"

#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>

/* Signals that ask for an end, after which the VM is ended whether the program heeds them or not.
 */
#define RUN_IMPATIENT_AFTER 3

/* A program that runs, and what it is attached to. */
struct attached {
    mvm_vm *vm; /* owned */
    struct loop *loop;
    struct input input;
    struct terminal terminal;
    unsigned asked; /* signals that asked for an end */
};

static void attached_deinit(struct attached *a)
{
    terminal_restore(&a->terminal);
    input_deinit(&a->input);
    loop_free(a->loop);
    mvm_vm_free(a->vm);
}
MVM_DEFINE_AUTOVALUE(attached, attached_deinit)

/* Passes a signal on; the third one that asks for an end gets it. */
static void pass_signal(struct attached *a, int number)
{
    uint16_t rows = 0, cols = 0;

    /* Who stopped us had the terminal meanwhile, and it may have another size now. */
    if (number == SIGCONT)
        terminal_resume(&a->terminal);
    /* A VM that has just ended cannot be told, and the loop sees its end next. */
    if (number == SIGWINCH || number == SIGCONT) {
        if (terminal_size(&rows, &cols))
            (void) mvm_vm_resize(a->vm, rows, cols, NULL);
    } else if ((number == SIGINT || number == SIGTERM) && ++a->asked >= RUN_IMPATIENT_AFTER) {
        (void) mvm_vm_stop(a->vm, 0, NULL);
    } else {
        (void) mvm_vm_signal(a->vm, number, NULL);
    }
}

static void on_signal(void *user, uint32_t events)
{
    struct attached *a = user;
    int number;

    (void) events;
    while ((number = cli_next_signal()))
        pass_signal(a, number);
}

static void on_vm(void *user, uint32_t events)
{
    struct attached *a = user;

    (void) events;
    loop_stop(a->loop);
}

static int wait_for_end(struct attached *a, mvm_error **err)
{
    struct loop_source *vm = NULL, *signals = NULL;
    int status = 0, r;

    r = loop_new(&a->loop, err);
    if (r == 0)
        r = loop_add_fd(a->loop, mvm_vm_fd(a->vm), EPOLLIN, on_vm, a, &vm, err);
    if (r == 0)
        r = loop_add_fd(a->loop, cli_signal_fd(), EPOLLIN, on_signal, a, &signals, err);
    if (r == 0)
        r = input_connect(&a->input, a->loop, err);
    if (r < 0)
        return r;
    while ((r = mvm_vm_wait(a->vm, 0, &status, err)) == MVM_E_TIMEOUT) {
        r = loop_run(a->loop, err);
        if (r < 0)
            return r;
        input_settle(&a->input);
    }
    return r < 0 ? r : status;
}

/* A signal until the program runs ends the VM, as it does without -d. */
static int leave_running(mvm_vm *vm, mvm_error **err)
{
    int status = 0, r;
    bool started;

    for (;;) {
        struct pollfd p[2] = { { .fd = mvm_vm_fd(vm), .events = POLLIN },
                               { .fd = cli_signal_fd(), .events = POLLIN } };

        r = mvm_vm_wait_started(vm, 0, err);
        if (r != MVM_E_TIMEOUT)
            break;
        if (poll(p, ARRAY_SIZE(p), -1) < 0 && errno != EINTR)
            return mvm_fail(err, MVM_E_SYS, errno, "wait");
        for (int number; (number = cli_next_signal());)
            (void) mvm_vm_signal(vm, number, NULL); /* one that cannot be told has ended */
    }
    /* One that ended before its program ran has a status as well, that of the signal which ended
     * it; a program that is not there has "run". */
    started = r == 0;
    r = mvm_vm_wait(vm, 0, &status, err);
    if (r == 0 && (!started || *mvm_vm_message(vm))) {
        if (*mvm_vm_message(vm))
            cli_print_line(mvm_vm_message(vm));
        return status;
    }
    if (r < 0 && r != MVM_E_TIMEOUT)
        return r;
    printf("%s\n", mvm_vm_name(vm));
    return 0;
}

static int start_and_wait(const char *image, struct run_request *q, struct cli_progress *progress,
                          mvm_error **err)
{
    mvm_autovalue(attached) a = { .input = INPUT_NONE, .terminal = { .fd = -1 } };
    int r = 0;

    if (q->interactive)
        r = input_open(STDIN_FILENO, &a.input, err);
    if (r < 0)
        return r;
    (void) mvm_options_set_stdio(q->options, a.input.runner_fd, STDOUT_FILENO, STDERR_FILENO);
    r = mvm_run(image, q->options, &a.vm, err);
    cli_progress_clear(progress);
    if (r < 0)
        return r;
    if (q->detached)
        return leave_running(a.vm, err);
    if (q->tty && q->interactive)
        terminal_enter_raw(&a.terminal, STDIN_FILENO);
    r = wait_for_end(&a, err);
    terminal_restore(&a.terminal);
    if (r >= 0 && *mvm_vm_message(a.vm))
        cli_print_line(mvm_vm_message(a.vm));
    return r;
}

static int run(const char *image, struct run_request *q)
{
    mvm_autoerror mvm_error *err = NULL;
    struct cli_progress progress;
    uint16_t rows = 0, cols = 0;
    int r;

    if (cli_signal_fd() < 0)
        return cli_usage_error("signals: %s", strerror(errno));
    cli_progress_init(&progress);
    mvm_options_set_progress(q->options, cli_progress_update, &progress);
    /* A program's stderr that somebody collects stays the program's alone. */
    mvm_options_set_log(q->options, cli_log, NULL,
                        q->debug            ? MVM_LOG_DEBUG
                        : progress.terminal ? MVM_LOG_WARNING
                                            : MVM_LOG_ERROR);
    if (q->tty) {
        (void) terminal_size(&rows, &cols);
        (void) mvm_options_set_tty(q->options, rows, cols);
    }
    r = start_and_wait(image, q, &progress, &err);
    if (r == MVM_E_CANCELLED && progress.stopped_by)
        return 128 + progress.stopped_by;
    return r < 0 ? cli_fail(err) : r;
}

int cli_run(int argc, char **argv)
{
    mvm_autovalue(run_request) q = { .options = mvm_options_new() };
    int status;

    if (!q.options)
        return cli_usage_error("out of memory");
    status = run_options_take(argc, argv, &q);
    return status < 0 ? run(argv[optind], &q) : status;
}
