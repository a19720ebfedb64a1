/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "cli/cli.h"
#include "cli/terminal.h"

#include <poll.h>
#include <signal.h>

/* Signals that ask for an end, after which we go, heeded or not. */
#define EXEC_IMPATIENT_AFTER 3

struct exec_request {
    mvm_exec_options *options; /* owned */
    mvm_options *vm_options;   /* owned: where the VM is looked for */
    bool interactive;
    bool tty;
};

static void exec_request_deinit(struct exec_request *q)
{
    mvm_exec_options_free(q->options);
    mvm_options_free(q->vm_options);
}
MVM_DEFINE_AUTOVALUE(exec_request, exec_request_deinit)

static const struct option exec_table[] = {
    { "env", required_argument, NULL, 'e' },  { "workdir", required_argument, NULL, 'w' },
    { "user", required_argument, NULL, 'u' }, { "interactive", no_argument, NULL, 'i' },
    { "tty", no_argument, NULL, 't' },        { "data-dir", required_argument, NULL, 'D' },
    { "help", no_argument, NULL, 'h' },       { NULL, 0, NULL, 0 },
};

static void print_help(void)
{
    printf(
        "Usage: microvm exec [OPTIONS] VM COMMAND...\n\n"
        "Runs another program in a VM that runs. The exit status is the program's; 125 when microvm\n"
        "itself failed, 126 when the program may not be executed, 127 when it is not there.\n\n"
        "  -e, --env NAME[=VALUE] a variable; without a value our own\n"
        "  -w, --workdir DIR      working folder\n"
        "  -u, --user USER[:GROUP]\n"
        "  -i, --interactive      pass stdin on\n"
        "  -t, --tty              give the program a terminal\n"
        "      --data-dir DIR     images, kernels and VMs live there\n");
}

static int add_env(mvm_exec_options *o, const char *text, mvm_error **err)
{
    const char *value = strchr(text, '=') ? NULL : getenv(text);
    mvm_autofree char *entry = NULL;

    if (!strchr(text, '=') && !value)
        return 0; /* as with run: what we have not is not set */
    if (value && asprintf(&entry, "%s=%s", text, value) < 0) {
        entry = NULL;
        return mvm_fail_nomem(err);
    }
    if (mvm_exec_options_add_env(o, entry ? entry : text) < 0)
        return mvm_fail(err, MVM_E_ARG, 0, "exec: --env '%s': NAME or NAME=VALUE is wanted", text);
    return 0;
}

static int take_option(int c, struct exec_request *q, mvm_error **err)
{
    switch (c) {
    case 'e':
        return add_env(q->options, optarg, err);
    case 'w':
        if (mvm_exec_options_set_workdir(q->options, optarg) < 0)
            return mvm_fail(err, MVM_E_ARG, 0, "exec: --workdir '%s': an absolute path is wanted",
                            optarg);
        return 0;
    case 'u':
        return mvm_exec_options_set_user(q->options, optarg);
    case 'D':
        if (mvm_options_set_data_dir(q->vm_options, optarg) < 0)
            return mvm_fail(err, MVM_E_ARG, 0, "exec: --data-dir '%s': a path is wanted", optarg);
        return 0;
    case 'i':
        q->interactive = true;
        return 0;
    default:
        q->tty = true;
        return 0;
    }
}

/* Passes a signal on. False for the third that asks for an end: a guest that does not answer must
 * not keep us. */
static bool pass_signal(mvm_exec *exec, struct terminal *terminal, int number, unsigned *asked)
{
    uint16_t rows = 0, cols = 0;

    /* Who stopped us had the terminal meanwhile, and it may have another size now. */
    if (number == SIGCONT)
        terminal_resume(terminal);
    /* A program that has just ended cannot be told, and the loop sees its end next. */
    if (number != SIGWINCH && number != SIGCONT)
        (void) mvm_exec_signal(exec, number, NULL);
    else if (terminal_size(&rows, &cols))
        (void) mvm_exec_resize(exec, rows, cols, NULL);
    return (number != SIGINT && number != SIGTERM) || ++*asked < EXEC_IMPATIENT_AFTER;
}

static int wait_for_end(mvm_exec *exec, struct terminal *terminal, mvm_error **err)
{
    unsigned asked = 0;
    int status = 0, number, r;

    while ((r = mvm_exec_wait(exec, 0, &status, err)) == MVM_E_TIMEOUT) {
        struct pollfd p[2] = { { .fd = mvm_exec_fd(exec), .events = POLLIN },
                               { .fd = cli_signal_fd(), .events = POLLIN } };

        if (poll(p, ARRAY_SIZE(p), -1) < 0 && errno != EINTR)
            return mvm_fail(err, MVM_E_SYS, errno, "wait");
        while ((number = cli_next_signal()))
            if (!pass_signal(exec, terminal, number, &asked))
                return 128 + number;
    }
    return r < 0 ? r : status;
}

static int exec_in(mvm_vm *vm, struct exec_request *q, mvm_error **err)
{
    struct terminal terminal = { .fd = -1 };
    uint16_t rows = 0, cols = 0;
    mvm_exec *exec = NULL;
    int r;

    (void) mvm_exec_options_set_stdio(q->options, q->interactive ? STDIN_FILENO : -1, STDOUT_FILENO,
                                      STDERR_FILENO);
    if (q->tty) {
        (void) terminal_size(&rows, &cols);
        (void) mvm_exec_options_set_tty(q->options, rows, cols);
    }
    if (cli_signal_fd() < 0)
        return mvm_fail(err, MVM_E_SYS, errno, "listen to signals");
    r = mvm_vm_exec(vm, q->options, &exec, err);
    if (r < 0)
        return r;
    if (q->tty && q->interactive)
        terminal_enter_raw(&terminal, STDIN_FILENO);
    r = wait_for_end(exec, &terminal, err);
    terminal_restore(&terminal);
    if (r >= 0 && *mvm_exec_message(exec))
        cli_print_line(mvm_exec_message(exec));
    mvm_exec_free(exec);
    return r;
}

int cli_exec(int argc, char **argv)
{
    mvm_autovalue(exec_request)
        q = { .options = mvm_exec_options_new(), .vm_options = mvm_options_new() };
    mvm_autoerror mvm_error *err = NULL;
    mvm_vm *vm = NULL;
    int c, r;

    if (!q.options || !q.vm_options)
        return cli_usage_error("exec: out of memory");
    /* "+": what follows VM is the program's, dashes included. */
    while ((c = getopt_long(argc, argv, "+:e:w:u:ith", exec_table, NULL)) != -1) {
        if (c == 'h') {
            print_help();
            return 0;
        }
        if (c == '?' || c == ':')
            return cli_option_error("exec", c, exec_table, argv);
        if (take_option(c, &q, &err) < 0)
            return err ? cli_fail(err) : cli_usage_error("exec: out of memory");
    }
    if (argc - optind < 2)
        return cli_usage_error("exec: a VM and a command are wanted; 'microvm exec --help' tells");
    for (int i = optind + 1; i < argc; i++)
        if (mvm_exec_options_add_argument(q.options, argv[i]) < 0)
            return cli_usage_error("exec: out of memory");
    r = mvm_vm_open(argv[optind], q.vm_options, &vm, &err);
    if (r == 0)
        r = exec_in(vm, &q, &err);
    mvm_vm_free(vm);
    return r < 0 ? cli_fail(err) : r;
}
