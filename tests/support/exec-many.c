/* SPDX-License-Identifier: Apache-2.0 */
/* exec-many VM N [PROGRAM]: starts PROGRAM (true) N times in a VM that runs, over one handle, and
 * prints the median of the microseconds from the call to the exit status. */
#include "base/mem.h"
#include "base/scan.h"

#include <microvm/microvm.h>
#include <time.h>

static double now_us(void)
{
    struct timespec t;

    (void) clock_gettime(CLOCK_MONOTONIC, &t);
    return (double) t.tv_sec * 1e6 + (double) t.tv_nsec / 1e3;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *) a, y = *(const double *) b;

    return x < y ? -1 : x > y;
}

static int die(const mvm_error *err)
{
    fprintf(stderr, "exec-many: %s\n", mvm_error_message(err));
    return 1;
}

int main(int argc, char **argv)
{
    uint64_t n = 0;
    mvm_exec_options *options = mvm_exec_options_new();
    mvm_autofree double *us = NULL;
    mvm_error *err = NULL;
    mvm_vm *vm = NULL;

    if (argc < 3 || !scan_u64(argv[2], strlen(argv[2]), 1000000, &n) || n == 0)
        return 2;
    us = mem_array(n, sizeof(*us));
    if (!us || !options || mvm_exec_options_add_argument(options, argc > 3 ? argv[3] : "true") < 0)
        return 2;
    if (mvm_vm_open(argv[1], NULL, &vm, &err) < 0)
        return die(err);
    for (size_t i = 0; i < n; i++) {
        double start = now_us();
        mvm_exec *exec = NULL;
        int status = 0;

        if (mvm_vm_exec(vm, options, &exec, &err) < 0 || mvm_exec_wait(exec, -1, &status, &err) < 0)
            return die(err);
        us[i] = now_us() - start;
        mvm_exec_free(exec);
        if (status != 0) {
            fprintf(stderr, "exec-many: status %d\n", status);
            return 1;
        }
    }
    mvm_vm_free(vm);
    mvm_exec_options_free(options);
    qsort(us, n, sizeof(*us), by_value);
    printf("%.1f\n", us[n / 2]);
    return 0;
}
