/* SPDX-License-Identifier: Apache-2.0 */
/* microvm: run any OCI image as a lightweight virtual machine. */
#include "cli/cli.h"

#include "base/mem.h"

#include <fcntl.h>
#include <signal.h>

static const struct {
    const char *name;
    cli_verb_fn *fn;
    const char *help;
} verbs[] = {
    { "run", cli_run, "run a program in a VM made from an image" },
    { "exec", cli_exec, "run another program in a VM that runs" },
    { "cp", cli_cp, "copy files into a VM and out of it" },
    { "ps", cli_ps, "list the VMs" },
    { "stats", cli_stats, "tell what VMs use" },
    { "stop", cli_stop, "ask a VM's program to end, then end it" },
    { "wait", cli_wait, "wait for a VM's end, and print its program's exit status" },
    { "rm", cli_rm, "remove a VM that has ended" },
    { "pull", cli_pull, "get an image" },
    { "images", cli_images, "list the images that are here" },
    { "rmi", cli_rmi, "remove images" },
    { "gc", cli_gc, "remove what no image and no VM needs" },
    { "kernel", cli_kernel, "get, build and list guest kernels" },
    { "doctor", cli_doctor, "check this host, and say what would mend it" },
};

const char *cli_format_size(uint64_t bytes, char out[16])
{
    static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB" };
    double value = (double) bytes;
    size_t unit = 0;

    while (value >= 1024 && unit + 1 < ARRAY_SIZE(units)) {
        value /= 1024;
        unit++;
    }
    (void) snprintf(out, 16, unit == 0 ? "%.0f %s" : "%.1f %s", value,
                    units[unit]); /* fits: at most 4 digits */
    return out;
}

static int print_help(void)
{
    printf(
        "Usage: microvm COMMAND [OPTIONS] ...\n\nRuns any OCI container image as a lightweight virtual machine.\n\n"
        "Commands:\n");
    for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
        printf("  %-8s %s\n", verbs[i].name, verbs[i].help);
    printf("\n'microvm COMMAND --help' tells a command's options.\n");
    return 0;
}

/* A descriptor that the caller closed must not become one of our files, which a message would then
 * be written to. */
static bool occupy_standard_fds(void)
{
    int fd;

    do
        fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    while (fd >= 0 && fd <= STDERR_FILENO);
    return fd >= 0 && close(fd) == 0;
}

static int run_verb(int argc, char **argv)
{
    if (argc < 2)
        return cli_usage_error("no command; 'microvm --help' lists them");
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
        strcmp(argv[1], "help") == 0)
        return print_help();
    if (strcmp(argv[1], "--version") == 0) {
        printf("microvm %s\n", MICROVM_VERSION);
        return 0;
    }
    for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
        if (strcmp(argv[1], verbs[i].name) == 0)
            return verbs[i].fn(argc - 1, argv + 1);
    return cli_usage_error("'%s' is not a command; 'microvm --help' lists them", argv[1]);
}

int main(int argc, char **argv)
{
    if (!occupy_standard_fds())
        return CLI_STATUS_FAILED;
    (void) signal(SIGPIPE,
                  SIG_IGN); /* a reader that went away is a failed write, not the end of us */
    return cli_finish(run_verb(argc, argv));
}
