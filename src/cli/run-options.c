/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/run-options.h"

#include "base/scan.h"
#include "cli/env.h"
#include "cli/registry-flags.h"
#include "vm/options-internal.h"

enum {
    OPT_ENTRYPOINT = 256,
    OPT_ENV_FILE,
    OPT_NAME,
    OPT_RM,
    OPT_PULL,
    OPT_KERNEL,
    OPT_ACCEL,
    OPT_TIMEOUT,
    OPT_DISK_SIZE,
    OPT_TMPFS_ROOT,
    OPT_READ_ONLY,
    OPT_PLATFORM,
    OPT_SOURCE,
    OPT_DATA_DIR,
    OPT_VSOCK,
    OPT_VSOCK_UDS,
    OPT_NO_SSH,
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
    { "disk-size", required_argument, NULL, OPT_DISK_SIZE },
    { "tmpfs-root", no_argument, NULL, OPT_TMPFS_ROOT },
    { "read-only", no_argument, NULL, OPT_READ_ONLY },
    { "timeout", required_argument, NULL, OPT_TIMEOUT },
    { "platform", required_argument, NULL, OPT_PLATFORM },
    { "source", required_argument, NULL, OPT_SOURCE },
    { "data-dir", required_argument, NULL, OPT_DATA_DIR },
    { "detach", no_argument, NULL, 'd' },
    { "vsock", required_argument, NULL, OPT_VSOCK },
    { "vsock-uds", required_argument, NULL, OPT_VSOCK_UDS },
    { "no-ssh", no_argument, NULL, OPT_NO_SSH },
    REGISTRY_FLAGS_TABLE,
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
        "  -d, --detach           print the VM's name once its program runs, and leave it running\n"
        "  -i, --interactive      pass stdin on\n"
        "  -t, --tty              give the program a terminal\n"
        "      --name NAME        keep the VM's logs under this name\n"
        "      --rm               remove them at the end (always so without --name and -d)\n"
        "      --pull missing|always|never\n"
        "      --platform OS/ARCH[/VARIANT]\n"
        "      --source registry-only|local-first|registry-first|local-only\n"
        "                         where a reference is looked for; local: the container engine\n" REGISTRY_FLAGS_HELP
        "      --kernel KERNEL    a vmlinux or bzImage; own, stock or a release of 'microvm kernel ls'\n"
        "      --accel auto|kvm|tcg\n"
        "      --disk-size SIZE   what may be written to the root: 16m to 8t (10g)\n"
        "      --tmpfs-root       what is written to the root is kept in memory\n"
        "      --read-only        nothing is written to the root\n"
        "      --timeout TIME     end it after 90, 1.5s, 5m, 1h30m\n"
        "      --data-dir DIR     images, kernels and VMs live there\n"
        "      --vsock PORT:SOCKET[:listen]\n"
        "                         the guest reaches the program that listens on the UNIX socket SOCKET\n"
        "                         at CID 2, PORT; listen: SOCKET is made, and leads to PORT in the guest\n"
        "      --vsock-uds SOCKET one socket for all ports: clients write \"CONNECT PORT\"\n"
        "      --no-ssh           the guest starts no SSH server\n"
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

static int take_disk_size(mvm_options *o, const char *text, mvm_error **err)
{
    uint64_t bytes = 0;

    if (!scan_size(text, strlen(text), 1 << 20, &bytes))
        return bad_value("--disk-size", text, "a size such as 512m or 20g is wanted", err);
    if (bytes == 0 || mvm_options_set_disk_size(o, bytes) < 0)
        return bad_value("--disk-size", text, "16m to 8t are possible", err);
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

    if (c == OPT_SOURCE)
        return cli_set_source(o, text) < 0
                   ? bad_value("--source", text,
                               "registry-only, local-first, registry-first or local-only is wanted",
                               err)
                   : 0;
    if (c == OPT_PULL)
        return mvm_options_set_pull_policy(o, word_index(text, pulls)) < 0
                   ? bad_value("--pull", text, "missing, always or never is wanted", err)
                   : 0;
    return mvm_options_set_accel(o, word_index(text, accels)) < 0
               ? bad_value("--accel", text, "auto, kvm or tcg is wanted", err)
               : 0;
}

#define LISTEN_SUFFIX ":listen"

/* PORT:SOCKET[:listen] */
static int take_vsock(mvm_options *o, const char *text, mvm_error **err)
{
    size_t digits = strcspn(text, ":"), len = strlen(text), suffix = sizeof(LISTEN_SUFFIX) - 1;
    bool listen = len > suffix && strcmp(text + len - suffix, LISTEN_SUFFIX) == 0;
    mvm_autofree char *path = NULL;
    uint64_t port = 0;
    int r;

    if (text[digits] != ':' || !scan_u64(text, digits, UINT32_MAX, &port))
        return bad_value("--vsock", text, "PORT:SOCKET or PORT:SOCKET:listen is wanted", err);
    path = strndup(text + digits + 1, len - digits - 1 - (listen ? suffix : 0));
    if (!path)
        return mvm_fail_nomem(err);
    r = vsock_map_add(&o->vsock_ports, (uint32_t) port, path, listen, err);
    return r < 0 ? mvm_context(err, r, "run: --vsock '%s'", text) : 0;
}

static int take_vsock_uds(mvm_options *o, const char *text, mvm_error **err)
{
    int r = vsock_uds_check(text, err);

    return r < 0 ? mvm_context(err, r, "run: --vsock-uds '%s'", text)
                 : mvm_options_set_vsock_uds(o, text);
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
    int r = registry_flag_take("run", c, q->options, optarg, err);

    if (r <= 0)
        return r;
    switch (c) {
    case 'c':
        return take_cpus(q->options, optarg, err);
    case 'm':
        return take_memory(q->options, optarg, err);
    case 'e':
        return env_add(q->options, optarg, err);
    case OPT_ENV_FILE:
        return env_add_file(q->options, optarg, err);
    case OPT_DISK_SIZE:
        return take_disk_size(q->options, optarg, err);
    case OPT_TMPFS_ROOT:
        return mvm_options_set_tmpfs_root(q->options, 1);
    case OPT_READ_ONLY:
        return mvm_options_set_read_only(q->options, 1);
    case OPT_TIMEOUT:
        return take_timeout(q->options, optarg, err);
    case OPT_PULL:
    case OPT_SOURCE:
    case OPT_ACCEL:
        return take_choice(c, q->options, optarg, err);
    case OPT_VSOCK:
        return take_vsock(q->options, optarg, err);
    case OPT_VSOCK_UDS:
        return take_vsock_uds(q->options, optarg, err);
    case OPT_NO_SSH:
        return mvm_options_disable_ssh(q->options);
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
    case 'd':
        q->detached = true;
        return mvm_options_set_detached(q->options, 1);
    default:
        return take_text(c, q, optarg, err);
    }
}

/* mvm_run() looks at them as well, but knows no option's name. */
static int check_sockets(const mvm_options *o, mvm_error **err)
{
    const struct vsock_map none = { .n = 0 };
    int r = vsock_map_check_host(&o->vsock_ports, NULL, err);

    if (r < 0)
        return mvm_context(err, r, "run: --vsock");
    r = vsock_map_check_host(&none, o->vsock_uds, err);
    return r < 0 ? mvm_context(err, r, "run: --vsock-uds") : 0;
}

int run_options_take(int argc, char **argv, struct run_request *q)
{
    mvm_autoerror mvm_error *err = NULL;
    int c;

    /* "+": what follows IMAGE is the program's, dashes included. */
    while ((c = getopt_long(argc, argv, "+:c:m:e:w:u:itd", run_table, NULL)) != -1) {
        if (c == OPT_HELP) {
            print_help();
            return 0;
        }
        if (c == '?' || c == ':')
            return cli_option_error("run", c, run_table, argv);
        if (take_option(c, q, &err) < 0)
            return err ? cli_fail(err) : cli_usage_error("run: out of memory");
    }
    if (q->detached && (q->interactive || q->tty))
        return cli_usage_error(
            "run: -d leaves the program without a terminal and stdin: not with %s",
            q->interactive ? "-i" : "-t");
    if (check_sockets(q->options, &err) < 0)
        return cli_fail(err);
    if (optind == argc)
        return cli_usage_error("run: an image is wanted; 'microvm run --help' tells");
    for (int i = optind + 1; i < argc; i++)
        if (mvm_options_add_argument(q->options, argv[i]) < 0)
            return cli_usage_error("run: out of memory");
    return -1;
}
