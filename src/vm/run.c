/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pipeline of a run: checks that cost nothing, the VM's folder, the image, the runner. The
 * folder comes before the image so that a name that is taken is told at once; whatever fails after
 * it removes it again.
 */
#include "vm/handle.h"

#include "base/path.h"
#include "machine/kernel.h"
#include "machine/machine.h"
#include "rootfs/block.h"
#include "rootfs/upper.h"
#include "runner/vsock.h"
#include "vm/dirs.h"
#include "vm/program.h"

#include <time.h>

struct run {
    const mvm_options *options; /* borrowed */
    const char *image_name;     /* borrowed */
    struct log log;
    struct dirs dirs;
    struct kernel *kernel;
    struct image *image;
    struct rootfs_block root;
    char *init_path;
    char *upper_path; /* owned; NULL: the upper layer is in memory */
};

static void run_deinit(struct run *run)
{
    dirs_deinit(&run->dirs);
    kernel_free(run->kernel);
    rootfs_block_deinit(&run->root);
    image_free(run->image);
    free(run->init_path);
    free(run->upper_path);
}
MVM_DEFINE_AUTOVALUE(run, run_deinit)

static int prepare_root(void *user, struct image_store *store, const struct image *image,
                        mvm_error **err)
{
    struct run *run = user;
    const mvm_options *o = run->options;

    rootfs_block_deinit(&run->root);
    return rootfs_block_open(store, image, o->progress ? options_progress : NULL, (void *) o,
                             &run->root, err);
}

static int run_pull(struct run *run, mvm_error **err)
{
    mvm_auto(image_store) store = NULL;
    const mvm_options *o = run->options;
    const struct image_pull_options pull = { .policy = (enum image_pull_policy) o->pull_policy,
                                             .platform = o->platform,
                                             .progress = o->progress ? options_progress : NULL,
                                             .progress_user = (void *) o,
                                             .prepare = prepare_root,
                                             .prepare_user = run,
                                             .log = &run->log,
                                             .registry = &o->registry,
                                             .layer_jobs = o->layer_jobs,
                                             .order = (enum image_source_order) o->source_order,
                                             .fetcher = o->has_fetcher ? &o->fetcher : NULL };
    int r = image_store_open(run->dirs.cache, &store, err);

    return r < 0 ? r : image_pull(store, run->image_name, &pull, &run->image, err);
}

static bool has_disk(const mvm_options *o)
{
    return !o->tmpfs_root && !o->read_only;
}

static int check_disk(const mvm_options *o, mvm_error **err)
{
    if (o->disk_size == 0 || has_disk(o))
        return 0;
    return mvm_fail(err, MVM_E_ARG, 0,
                    "a size of the disk (--disk-size) and a root without one (%s)",
                    o->read_only ? "--read-only" : "--tmpfs-root");
}

/* What can be known without the image: better said before a long download than after it. */
static int run_check(struct run *run, mvm_error **err)
{
    const mvm_options *o = run->options;
    const struct machine_spec spec = { .name = "", .cpus = o->cpus, .memory_mib = o->memory_mib };
    mvm_autofree char *qemu = NULL;
    mvm_autofree char *runner = NULL;
    mvm_autofree char *vsock = NULL;
    int r;

    r = check_disk(o, err);
    if (r == 0)
        r = machine_check(&spec, err);
    if (r == 0)
        r = qemu_find(&qemu, err);
    if (r == 0)
        r = dirs_find_runner(&runner, err);
    if (r == 0)
        r = dirs_find_init(&run->init_path, err);
    if (r == 0)
        r = vsock_device_find(&vsock, err);
    if (r == 0)
        r = vsock_map_check_host(&o->vsock_ports, o->vsock_uds, err);
    if (r == 0)
        r = dirs_init(&run->dirs, o->data_dir, err);
    if (r == 0)
        r = kernel_find(o->kernel, dirs_lib(), run->dirs.cache, &run->kernel, err);
    return r;
}

/* The paths stay the run's. */
static int list_extents(const struct run *run, struct root_extents *ret, mvm_error **err)
{
    if (run->root.n < 2)
        return 0;
    ret->items = mem_array(run->root.n, sizeof(*ret->items));
    if (!ret->items)
        return mvm_fail_nomem(err);
    for (ret->n = 0; ret->n < run->root.n; ret->n++)
        ret->items[ret->n] = (struct machine_extent){ .path = run->root.extents[ret->n].path,
                                                      .size = run->root.extents[ret->n].size };
    return 0;
}

/* The disk for what the VM writes. */
static int run_upper(struct run *run, const mvm_vm *vm, mvm_error **err)
{
    const mvm_options *o = run->options;
    mvm_autoclose int cache_fd = -EBADF;
    int r;

    if (!has_disk(o))
        return 0;
    run->upper_path = path_join(vm->dir.path, VMDIR_UPPER);
    if (!run->upper_path)
        return mvm_fail_nomem(err);
    r = path_make_dirs(run->dirs.cache, 0700, &cache_fd, err);
    return r < 0 ? r
                 : rootfs_upper_make(cache_fd, vm->dir.fd, VMDIR_UPPER,
                                     o->disk_size ? o->disk_size : ROOTFS_UPPER_DEFAULT, err);
}

/* Borrows everything but @program, whose memory goes over. */
static int run_start(struct run *run, mvm_vm *vm, struct krun_config *program, mvm_error **err)
{
    const mvm_options *o = run->options;
    mvm_autofree char *console = path_join(vm->dir.path, "console.log");
    const char *user = o->user ? o->user : run->image->config.user;
    mvm_autofree struct machine_extent *items = NULL;
    struct root_extents extents = { .n = 0 };
    int r = list_extents(run, &extents, err);

    items = extents.items;
    if (r < 0)
        return r;
    const struct runner_config config = { .root_path = run->root.extents[0].path,
                                          .root_extents = extents,
                                          .upper_path = run->upper_path,
                                          .read_only = o->read_only,
                                          .num_vcpus = o->cpus,
                                          .ram_mib = o->memory_mib,
                                          .console_log_path = console,
                                          .log_level = o->log_level == MVM_LOG_DEBUG
                                                           ? LOG_LEVEL_DEBUG
                                                           : 0,
                                          .name = vm->dir.name,
                                          .vm_dir = vm->dir.path,
                                          .remove_at_end = vm->dir.remove,
                                          .vsock_ports = o->vsock_ports,
                                          .vsock_uds = o->vsock_uds,
                                          .detached = o->detached,
                                          .accel = (enum machine_accel) o->accel,
                                          .cache_dir = run->dirs.cache,
                                          .kernel_path = run->kernel->vmlinux_path,
                                          .modules_path = run->kernel->modules_path,
                                          .init_path = run->init_path,
                                          .timeout_ms = o->timeout_ms,
                                          .user = (char *) user,
                                          .tty = o->tty,
                                          .stdin_open = !o->detached && o->stdio[0] >= 0,
                                          .rows = o->rows,
                                          .cols = o->cols,
                                          .program = *program };

    if (!console)
        return mvm_fail_nomem(err);
    return vm_launch(vm, &config, o, run->image->lock_fd, err);
}

/* The image's own wish, unless the user has one. */
static int run_image_kernel(struct run *run, mvm_error **err)
{
    const char *wanted = run->image->config.kernel;
    struct kernel *kernel = NULL;
    int r;

    if (!*wanted || kernel_is_chosen(run->options->kernel))
        return 0;
    r = kernel_find_here(wanted, dirs_lib(), run->dirs.cache, &kernel, err);
    if (r < 0)
        return mvm_context(err, r, "the image's label " OCI_LABEL_KERNEL);
    kernel_free(run->kernel);
    run->kernel = kernel;
    return 0;
}

static int write_state(const struct run *run, const mvm_vm *vm, mvm_error **err)
{
    struct digest_text digest = digest_format(&run->image->manifest);
    struct vm_state state = { .name = vm->dir.name,
                              .image = (char *) run->image_name,
                              .digest = digest.text,
                              .remove = vm->dir.remove,
                              .started_s = time(NULL),
                              .status = -1 };

    memcpy(state.id, vm->dir.id, sizeof(state.id));
    return vm_state_write(vm->dir.fd, &state, err);
}

static int run_image(struct run *run, mvm_vm *vm, mvm_error **err)
{
    mvm_autovalue(krun_config) program = { .workdir = NULL };
    int r;

    r = run_pull(run, err);
    if (r < 0)
        return r;
    log_info(&run->log, "step", "image ready");
    r = run_image_kernel(run, err);
    if (r == 0)
        r = program_build(run->options, &run->image->config, &program, err);
    if (r < 0)
        return mvm_context(err, r, "%s", run->image_name);
    r = run_upper(run, vm, err);
    if (r == 0)
        r = write_state(run, vm, err);
    if (r == 0)
        r = run_start(run, vm, &program, err);
    return r;
}

static int run_vm(struct run *run, mvm_vm *vm, mvm_error **err)
{
    const mvm_options *o = run->options;
    int r;

    r = run_check(run, err);
    if (r < 0)
        return r;
    log_info(&run->log, "step", "checked");
    /* A VM that nobody named is one that nobody will ask for again, unless it outlives us. */
    r = vmdir_take(run->dirs.vms, o->name, o->remove || (!o->name && !o->detached), &vm->dir, err);
    if (r < 0)
        return r;
    vmdir_sweep(vm->dir.vms_fd, &run->log);
    r = run_image(run, vm, err);
    if (r < 0)
        (void) vmdir_remove(&vm->dir, NULL); /* the first failure is the one to tell */
    return r;
}

int mvm_run(const char *image, const mvm_options *options, mvm_vm **ret_vm, mvm_error **err)
{
    mvm_options *defaults = options ? NULL : mvm_options_new();
    const mvm_options *o = options ? options : defaults;
    mvm_autovalue(run) run = { .options = o, .image_name = image };
    mvm_vm *vm;
    int r;

    if (!image || !ret_vm) {
        mvm_options_free(defaults);
        return mvm_fail(err, MVM_E_ARG, 0, "mvm_run: NULL");
    }
    vm = o ? vm_new(o) : NULL;
    if (!vm) {
        mvm_options_free(defaults);
        return mvm_fail_nomem(err);
    }
    run.log = options_log(o);
    r = run_vm(&run, vm, err);
    mvm_options_free(defaults);
    if (r < 0) {
        mvm_vm_free(vm);
        return r;
    }
    *ret_vm = vm;
    return 0;
}

int mvm_pull(const char *image, const mvm_options *options, char **ret_digest, mvm_error **err)
{
    mvm_options *defaults = options ? NULL : mvm_options_new();
    const mvm_options *o = options ? options : defaults;
    mvm_autovalue(run) run = { .options = o, .image_name = image };
    struct digest_text digest;
    int r;

    if (!image || !o) {
        mvm_options_free(defaults);
        return image ? mvm_fail_nomem(err) : mvm_fail(err, MVM_E_ARG, 0, "mvm_pull: NULL");
    }
    run.log = options_log(o);
    r = dirs_init(&run.dirs, o->data_dir, err);
    if (r == 0)
        r = run_pull(&run, err);
    mvm_options_free(defaults);
    if (r < 0 || !ret_digest)
        return r;
    digest = digest_format(&run.image->manifest);
    *ret_digest = strdup(digest.text);
    return *ret_digest ? 0 : mvm_fail_nomem(err);
}
