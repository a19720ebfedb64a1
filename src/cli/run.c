/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"

#include "base/mem.h"
#include "base/scan.h"
#include "cli/env.h"
#include "cli/input.h"
#include "cli/terminal.h"

#include <getopt.h>
#include <signal.h>
#include <sys/epoll.h>

/* Signals that ask for an end, after which the VM is ended whether the program heeds them or not.
 */
#define RUN_IMPATIENT_AFTER 3

struct run_request {
    mvm_options *options; /* owned */
    bool interactive;
    bool tty;
    bool debug;
};

static void request_deinit(struct run_request *q)
{
    mvm_options_free(q->options);
}
MVM_DEFINE_AUTOVALUE(run_request, request_deinit)

enum {
    OPT_ENTRYPOINT = 256,
    OPT_ENV_FILE,
    OPT_NAME,
    OPT_RM,
    OPT_PULL,
    OPT_KERNEL,
    OPT_ACCEL,
    OPT_TIMEOUT,
    OPT_PLATFORM,
    OPT_DATA_DIR,
    OPT_DEBUG,
    OPT_HELP
};

static const struct option run_table[] = {
    { "cpus", required_argument, NULL, 'c' },
    { "memory", required_argument, NULL, 'm' },
    { "env", required_argument, NULL, 'e' },
    { "env-file", required_argument, NULL, OPT_ENV_FILE },
    { "workdir", required_argument, NULL, 'w' },
    { "user", required_argument, NULL, 'u' },
    { "entrypoint", required_argument, NULL, OPT_ENTRYPOINT },
    { "interactive", no_argument, NULL, 'i' },
    { "tty", no_argument, NULL, 't' },
    { "name", required_argument, NULL, OPT_NAME },
    { "rm", no_argument, NULL, OPT_RM },
    { "pull", required_argument, NULL, OPT_PULL },
    { "kernel", required_argument, NULL, OPT_KERNEL },
    { "accel", required_argument, NULL, OPT_ACCEL },
    { "timeout", required_argument, NULL, OPT_TIMEOUT },
    { "platform", required_argument, NULL, OPT_PLATFORM },
    { "data-dir", required_argument, NULL, OPT_DATA_DIR },
    { "debug", no_argument, NULL, OPT_DEBUG },
    { "help", no_argument, NULL, OPT_HELP },
    { NULL, 0, NULL, 0 },
};

static void print_help(void)
{
    printf(
        "Usage: microvm run [OPTIONS] IMAGE [COMMAND...]\n\n"
        "Runs a program in a VM made from an image. The exit status is the program's; 125 when microvm\n"
        "itself failed, 126 when the program may not be executed, 127 when it is not there, 124 after\n"
        "--timeout.\n\n"
        "  -c, --cpus N           virtual CPUs (1)\n"
        "  -m, --memory SIZE      memory: 512m, 2g; a bare number counts MiB (512m)\n"
        "  -e, --env NAME[=VALUE] a variable; without a value our own\n"
        "      --env-file FILE    variables, one a line\n"
        "  -w, --workdir DIR      working folder\n"
        "  -u, --user USER[:GROUP]\n"
        "      --entrypoint FILE  in place of the image's entrypoint and command\n"
        "  -i, --interactive      pass stdin on\n"
        "  -t, --tty              give the program a terminal\n"
        "      --name NAME        keep the VM's logs under this name\n"
        "      --rm               remove them at the end (always so without --name)\n"
        "      --pull missing|always|never\n"
        "      --platform OS/ARCH[/VARIANT]\n"
        "      --kernel FILE      a vmlinux or bzImage\n"
        "      --accel auto|kvm|tcg\n"
        "      --timeout TIME     end it after 90, 1.5s, 5m, 1h30m\n"
        "      --data-dir DIR     images, kernels and VMs live there\n"
        "      --debug            tell each step, those of the guest on its console\n");
}

static int bad_value(const char *option, const char *value, const char *wanted, mvm_error **err)
{
    return mvm_fail(err, MVM_E_ARG, 0, "run: %s '%s': %s", option, value, wanted);
}

static int take_memory(mvm_options *o, const char *text, mvm_error **err)
{
    uint64_t bytes = 0;

    if (!scan_size(text, strlen(text), 1 << 20, &bytes) || bytes >> 20 > UINT32_MAX)
        return bad_value("--memory", text, "a size such as 512m or 2g is wanted", err);
    if (mvm_options_set_memory_mib(o, (uint32_t) (bytes >> 20)) < 0)
        return bad_value("--memory", text, "64 MiB is the least", err);
    return 0;
}

static int take_cpus(mvm_options *o, const char *text, mvm_error **err)
{
    uint64_t n = 0;

    if (!scan_u64(text, strlen(text), 255, &n) || mvm_options_set_cpus(o, (uint32_t) n) < 0)
        return bad_value("--cpus", text, "1 to 255 is wanted", err);
    return 0;
}

static int take_timeout(mvm_options *o, const char *text, mvm_error **err)
{
    uint64_t ms = 0;

    if (!scan_duration_ms(text, strlen(text), &ms) || ms == 0 ||
        mvm_options_set_timeout_ms(o, ms) < 0)
        return bad_value("--timeout", text, "a time above 0 such as 90, 1.5s, 5m is wanted", err);
    return 0;
}

/* The place of @text in a NULL-ended list of words; -1 when it is none of them. */
static int word_index(const char *text, const char *const *words)
{
    for (int i = 0; words[i]; i++)
        if (strcmp(text, words[i]) == 0)
            return i;
    return -1;
}

static int take_choice(int c, mvm_options *o, const char *text, mvm_error **err)
{
    static const char *const pulls[] = { "missing", "always", "never", NULL };
    static const char *const accels[] = { "auto", "kvm", "tcg", NULL };

    if (c == OPT_PULL)
        return mvm_options_set_pull_policy(o, word_index(text, pulls)) < 0
                   ? bad_value("--pull", text, "missing, always or never is wanted", err)
                   : 0;
    return mvm_options_set_accel(o, word_index(text, accels)) < 0
               ? bad_value("--accel", text, "auto, kvm or tcg is wanted", err)
               : 0;
}

static int take_text(int c, struct run_request *q, const char *text, mvm_error **err)
{
    mvm_options *o = q->options;

    switch (c) {
    case 'w':
        return mvm_options_set_workdir(o, text) < 0
                   ? bad_value("--workdir", text, "an absolute path is wanted", err)
                   : 0;
    case 'u':
        return mvm_options_set_user(o, text);
    case OPT_NAME:
        return mvm_options_set_name(o, text) < 0
                   ? bad_value("--name", text,
                               "1 to 64 letters, digits, '_', '.' and '-' are wanted", err)
                   : 0;
    case OPT_ENTRYPOINT:
        return mvm_options_set_entrypoint(o, text);
    case OPT_KERNEL:
        return mvm_options_set_kernel(o, text);
    case OPT_PLATFORM:
        return mvm_options_set_platform(o, text);
    default:
        return mvm_options_set_data_dir(o, text) < 0
                   ? bad_value("--data-dir", text, "a path is wanted", err)
                   : 0;
    }
}

static int take_option(int c, struct run_request *q, mvm_error **err)
{
    switch (c) {
    case 'c':
        return take_cpus(q->options, optarg, err);
    case 'm':
        return take_memory(q->options, optarg, err);
    case 'e':
        return env_add(q->options, optarg, err);
    case OPT_ENV_FILE:
        return env_add_file(q->options, optarg, err);
    case OPT_TIMEOUT:
        return take_timeout(q->options, optarg, err);
    case OPT_PULL:
    case OPT_ACCEL:
        return take_choice(c, q->options, optarg, err);
    case OPT_RM:
        return mvm_options_set_remove(q->options, 1);
    case OPT_DEBUG:
        q->debug = true;
        return 0;
    case 'i':
        q->interactive = true;
        return 0;
    case 't':
        q->tty = true;
        return 0;
    default:
        return take_text(c, q, optarg, err);
    }
}

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
    mvm_autoerror mvm_error *err = NULL;
    int c;

    if (!q.options)
        return cli_usage_error("out of memory");
    /* "+": what follows IMAGE is the program's, dashes included. */
    while ((c = getopt_long(argc, argv, "+:c:m:e:w:u:it", run_table, NULL)) != -1) {
        if (c == OPT_HELP) {
            print_help();
            return 0;
        }
        if (c == '?' || c == ':')
            return cli_option_error("run", c, run_table, argv);
        if (take_option(c, &q, &err) < 0)
            return err ? cli_fail(err) : cli_usage_error("run: out of memory");
    }
    if (optind == argc)
        return cli_usage_error("run: an image is wanted; 'microvm run --help' tells");
    for (int i = optind + 1; i < argc; i++)
        if (mvm_options_add_argument(q.options, argv[i]) < 0)
            return cli_usage_error("run: out of memory");
    return run(argv[optind], &q);
}
