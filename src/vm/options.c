/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/options-internal.h"

#include "image/fetcher.h"
#include "machine/machine.h"
#include "rootfs/upper.h"

#include <ctype.h>

mvm_options *mvm_options_new(void)
{
    mvm_options *o = calloc(1, sizeof(*o));

    if (!o)
        return NULL;
    o->cpus = 1;
    o->memory_mib = 512;
    o->stdio[0] = -1;
    o->stdio[1] = STDOUT_FILENO;
    o->stdio[2] = STDERR_FILENO;
    return o;
}

void mvm_options_free(mvm_options *o)
{
    if (!o)
        return;
    free(o->name);
    strv_deinit(&o->arguments);
    free(o->entrypoint);
    strv_deinit(&o->env);
    free(o->workdir);
    free(o->user);
    free(o->platform);
    free(o->kernel);
    free(o->data_dir);
    vsock_map_deinit(&o->vsock_ports);
    free(o->vsock_uds);
    registry_options_deinit(&o->registry);
    free(o);
}

bool vm_name_is_valid(const char *name)
{
    size_t len = strlen(name);

    if (len == 0 || len > VM_NAME_MAX || !isalnum((unsigned char) name[0]))
        return false;
    return strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-") == len;
}

int mvm_options_set_name(mvm_options *o, const char *name)
{
    if (!o || (name && !vm_name_is_valid(name)))
        return MVM_E_ARG;
    return text_replace(&o->name, name);
}

int mvm_options_set_cpus(mvm_options *o, uint32_t cpus)
{
    if (!o || cpus == 0 || cpus > MACHINE_CPUS_MAX)
        return MVM_E_ARG;
    o->cpus = cpus;
    return 0;
}

int mvm_options_set_memory_mib(mvm_options *o, uint32_t memory_mib)
{
    if (!o || memory_mib < MACHINE_MEMORY_MIB_MIN)
        return MVM_E_ARG;
    o->memory_mib = memory_mib;
    return 0;
}

int mvm_options_add_argument(mvm_options *o, const char *word)
{
    return o && word ? strv_add(&o->arguments, word) : MVM_E_ARG;
}

int mvm_options_set_entrypoint(mvm_options *o, const char *path)
{
    return o ? text_replace(&o->entrypoint, path) : MVM_E_ARG;
}

int mvm_options_add_env(mvm_options *o, const char *entry)
{
    if (!o || !entry || entry[0] == '=' || !strchr(entry, '='))
        return MVM_E_ARG;
    return strv_add(&o->env, entry);
}

int mvm_options_set_workdir(mvm_options *o, const char *path)
{
    if (!o || (path && path[0] != '/'))
        return MVM_E_ARG;
    return text_replace(&o->workdir, path);
}

int mvm_options_set_user(mvm_options *o, const char *user)
{
    return o ? text_replace(&o->user, user) : MVM_E_ARG;
}

int mvm_options_set_tty(mvm_options *o, uint16_t rows, uint16_t cols)
{
    if (!o)
        return MVM_E_ARG;
    o->tty = true;
    o->rows = rows;
    o->cols = cols;
    return 0;
}

int mvm_options_set_stdio(mvm_options *o, int in, int out, int err)
{
    if (!o)
        return MVM_E_ARG;
    o->stdio[0] = in;
    o->stdio[1] = out;
    o->stdio[2] = err;
    return 0;
}

int mvm_options_set_pull_policy(mvm_options *o, int policy)
{
    if (!o || policy < MVM_PULL_MISSING || policy > MVM_PULL_NEVER)
        return MVM_E_ARG;
    o->pull_policy = policy;
    return 0;
}

int mvm_options_set_image_source_order(mvm_options *o, int order)
{
    if (!o || order < MVM_IMAGE_SOURCE_REGISTRY_ONLY || order > MVM_IMAGE_SOURCE_LOCAL_ONLY)
        return MVM_E_ARG;
    o->source_order = order;
    return 0;
}

int mvm_options_set_fetcher(mvm_options *o, const mvm_fetcher *fetcher)
{
    int r;

    if (!o)
        return MVM_E_ARG;
    r = fetcher ? fetcher_copy(fetcher, &o->fetcher) : 0;
    if (r < 0)
        return r;
    o->has_fetcher = fetcher != NULL;
    return 0;
}

int mvm_options_set_platform(mvm_options *o, const char *platform)
{
    return o ? text_replace(&o->platform, platform) : MVM_E_ARG;
}

int mvm_options_set_kernel(mvm_options *o, const char *path)
{
    return o ? text_replace(&o->kernel, path) : MVM_E_ARG;
}

int mvm_options_set_accel(mvm_options *o, int accel)
{
    if (!o || accel < MVM_ACCEL_AUTO || accel > MVM_ACCEL_TCG)
        return MVM_E_ARG;
    o->accel = accel;
    return 0;
}

int mvm_options_set_disk_size(mvm_options *o, uint64_t bytes)
{
    if (!o || (bytes != 0 && (bytes < ROOTFS_UPPER_MIN || bytes > ROOTFS_UPPER_MAX)))
        return MVM_E_ARG;
    o->disk_size = (bytes + ROOTFS_UPPER_UNIT - 1) / ROOTFS_UPPER_UNIT * ROOTFS_UPPER_UNIT;
    return 0;
}

int mvm_options_set_tmpfs_root(mvm_options *o, int tmpfs_root)
{
    if (!o)
        return MVM_E_ARG;
    o->tmpfs_root = tmpfs_root != 0;
    return 0;
}

int mvm_options_set_read_only(mvm_options *o, int read_only)
{
    if (!o)
        return MVM_E_ARG;
    o->read_only = read_only != 0;
    return 0;
}

int mvm_options_set_timeout_ms(mvm_options *o, uint64_t timeout_ms)
{
    if (!o || timeout_ms > INT64_MAX)
        return MVM_E_ARG;
    o->timeout_ms = timeout_ms;
    return 0;
}

int mvm_options_set_remove(mvm_options *o, int remove)
{
    if (!o)
        return MVM_E_ARG;
    o->remove = remove != 0;
    return 0;
}

int mvm_options_set_detached(mvm_options *o, int detached)
{
    if (!o)
        return MVM_E_ARG;
    o->detached = detached != 0;
    return 0;
}

int mvm_options_add_vsock_port(mvm_options *o, uint32_t port, const char *socket_path)
{
    return o && socket_path ? vsock_map_add(&o->vsock_ports, port, socket_path, false, NULL)
                            : MVM_E_ARG;
}

int mvm_options_add_vsock_listener(mvm_options *o, uint32_t port, const char *socket_path)
{
    return o && socket_path ? vsock_map_add(&o->vsock_ports, port, socket_path, true, NULL)
                            : MVM_E_ARG;
}

int mvm_options_set_vsock_uds(mvm_options *o, const char *path)
{
    return o && (!path || vsock_uds_check(path, NULL) == 0) ? text_replace(&o->vsock_uds, path)
                                                            : MVM_E_ARG;
}

int mvm_options_disable_ssh(mvm_options *o)
{
    if (!o)
        return MVM_E_ARG;
    o->no_ssh = true;
    return 0;
}

int mvm_options_add_registry_mirror(mvm_options *o, const char *mirror)
{
    return o && mirror ? registry_options_add_mirror(&o->registry, mirror, NULL) : MVM_E_ARG;
}

int mvm_options_add_insecure_registry(mvm_options *o, const char *host)
{
    return o && host ? registry_options_add_insecure(&o->registry, host, NULL) : MVM_E_ARG;
}

int mvm_options_set_registry_ca(mvm_options *o, const char *path)
{
    return o && (!path || *path) ? text_replace(&o->registry.ca_file, path) : MVM_E_ARG;
}

int mvm_options_set_auth_file(mvm_options *o, const char *path)
{
    return o && (!path || *path) ? text_replace(&o->registry.auth_file, path) : MVM_E_ARG;
}

int mvm_options_set_layer_jobs(mvm_options *o, uint32_t jobs)
{
    if (!o || jobs > MVM_LAYER_JOBS_MAX)
        return MVM_E_ARG;
    o->layer_jobs = jobs;
    return 0;
}

int mvm_options_set_data_dir(mvm_options *o, const char *path)
{
    return o && (!path || *path) ? text_replace(&o->data_dir, path) : MVM_E_ARG;
}

void mvm_options_set_progress(mvm_options *o, mvm_progress_fn *fn, void *user)
{
    o->progress = fn;
    o->progress_user = user;
}

void mvm_options_set_log(mvm_options *o, mvm_log_fn *fn, void *user, int level)
{
    o->log_fn = fn;
    o->log_user = user;
    o->log_level = level;
}

static void log_forward(void *user, enum log_level level, const char *module, const char *message)
{
    const mvm_options *o = user;

    o->log_fn(o->log_user, (int) level, module, message);
}

struct log options_log(const mvm_options *o)
{
    return (struct log){ .sink = o->log_fn ? log_forward : NULL,
                         .user = (void *) o,
                         .level = (enum log_level) o->log_level };
}

int options_progress(void *user, const struct image_progress *p)
{
    const mvm_options *o = user;
    const mvm_progress public = { .struct_size = sizeof(public),
                                  .phase = (uint32_t) p->phase,
                                  .layer = p->layer,
                                  .layers = p->layers,
                                  .done = p->done,
                                  .total = p->total,
                                  .name = p->name };

    return o->progress(o->progress_user, &public);
}
