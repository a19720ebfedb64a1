/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mvm_options: what a run is asked for. Opaque, with setters; each setter copies what it gets.
 *
 * Thread-safety: one thread at a time on one object.
 * Errors: a setter returns 0, MVM_E_ARG or MVM_E_NOMEM; what can only be judged together with the
 * rest (an image's command, the host's memory) is judged by mvm_run().
 */
#ifndef MICROVM_OPTIONS_H
#define MICROVM_OPTIONS_H

#include <microvm/error.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mvm_options mvm_options;

enum mvm_pull_policy {
    MVM_PULL_MISSING = 0, /* fetch what the store lacks */
    MVM_PULL_ALWAYS = 1,  /* ask the registry again what the name means */
    MVM_PULL_NEVER = 2    /* the store alone */
};

/* Where a reference ("alpine") is looked for. A name with a transport ("docker-daemon:alpine",
 * "oci:DIR") has that alone. */
enum mvm_image_source_order {
    MVM_IMAGE_SOURCE_REGISTRY_ONLY = 0,
    MVM_IMAGE_SOURCE_LOCAL_FIRST = 1, /* this machine's container engine, then the registry */
    MVM_IMAGE_SOURCE_REGISTRY_FIRST = 2,
    MVM_IMAGE_SOURCE_LOCAL_ONLY = 3 /* this machine's container engine */
};

enum mvm_accel {
    MVM_ACCEL_AUTO = 0, /* KVM where a probe shows that it works, else software */
    MVM_ACCEL_KVM = 1,
    MVM_ACCEL_TCG = 2 /* software */
};

enum mvm_log_level {
    MVM_LOG_ERROR = 1,
    MVM_LOG_WARNING = 2,
    MVM_LOG_INFO = 3,
    MVM_LOG_DEBUG = 4
};

/** Receives log records; called by the thread that is inside a call of the library. @module and
 * @message are valid during the call only. */
typedef void mvm_log_fn(void *user, int level, const char *module, const char *message);

/** Progress of a pull. Valid during the call only. */
typedef struct mvm_progress {
    uint32_t struct_size;
    uint32_t phase; /* 0 manifest and config, 1 a layer, 2 making the root filesystem image,
                     * 3 a disk image, 4 the store is read through */
    uint32_t layer; /* 1 to layers */
    uint32_t layers;
    uint64_t done;    /* compressed bytes of this layer or disk image so far */
    uint64_t total;   /* compressed bytes of it; of a disk image 0 while they are not known */
    const char *name; /* what is being fetched */
} mvm_progress;

/** Called at least ten times a second while a pull goes on. A non-zero result cancels it
 * (MVM_E_CANCELLED). */
typedef int mvm_progress_fn(void *user, const mvm_progress *progress);

/**
 * mvm_options_new - options with the defaults: 1 CPU, 512 MiB, the image's own command, no
 * terminal, no stdin, output to the caller's own stdout and stderr
 *
 * Returns: an object for mvm_options_free(); NULL when out of memory.
 * Since:   0.1
 */
MVM_PUBLIC mvm_options *mvm_options_new(void);
/** mvm_options_free - release options; NULL is fine. Since: 0.1 */
MVM_PUBLIC void mvm_options_free(mvm_options *options);

/** mvm_options_set_name - 1 to 64 of [A-Za-z0-9_.-], the first a letter or digit; NULL: one is made
 * up. Since: 0.1 */
MVM_PUBLIC int mvm_options_set_name(mvm_options *options, const char *name);
/** mvm_options_set_cpus - virtual CPUs, 1 to 255. Since: 0.1 */
MVM_PUBLIC int mvm_options_set_cpus(mvm_options *options, uint32_t cpus);
/** mvm_options_set_memory_mib - guest memory in MiB, at least 64, at most what the host has. Since:
 * 0.1 */
MVM_PUBLIC int mvm_options_set_memory_mib(mvm_options *options, uint32_t memory_mib);
/** mvm_options_add_argument - appends one word to the command, which replaces the image's Cmd.
 * Since: 0.1 */
MVM_PUBLIC int mvm_options_add_argument(mvm_options *options, const char *word);
/** mvm_options_set_entrypoint - replaces the image's Entrypoint by one word and drops its Cmd; "":
 * no entrypoint. Since: 0.1 */
MVM_PUBLIC int mvm_options_set_entrypoint(mvm_options *options, const char *path);
/** mvm_options_add_env - "NAME=VALUE"; a later one replaces an earlier one and the image's. Since:
 * 0.1 */
MVM_PUBLIC int mvm_options_add_env(mvm_options *options, const char *entry);
/** mvm_options_set_workdir - absolute path in the guest; made if it does not exist. Since: 0.1 */
MVM_PUBLIC int mvm_options_set_workdir(mvm_options *options, const char *path);
/** mvm_options_set_user - "user[:group]" by name or number, looked up in the guest's own files.
 * Since: 0.1 */
MVM_PUBLIC int mvm_options_set_user(mvm_options *options, const char *user);
/** mvm_options_set_tty - give the program a terminal of @rows by @cols (0: unknown). Its stdout and
 * stderr are then one stream. Since: 0.1 */
MVM_PUBLIC int mvm_options_set_tty(mvm_options *options, uint16_t rows, uint16_t cols);
/**
 * mvm_options_set_stdio - descriptors of the program's streams
 * @in:  read until its end; negative: the program's stdin is empty
 * @out: written; negative: dropped
 * @err: written; negative: dropped
 *
 * Duplicated by mvm_run(); the caller's stay the caller's and must stay open until then. Defaults:
 * -1, 1, 2. Since: 0.1
 */
MVM_PUBLIC int mvm_options_set_stdio(mvm_options *options, int in, int out, int err);
/** mvm_options_set_pull_policy - an enum mvm_pull_policy. Since: 0.1 */
MVM_PUBLIC int mvm_options_set_pull_policy(mvm_options *options, int policy);
/** mvm_options_set_image_source_order - an enum mvm_image_source_order. A digest is a registry's:
 * a reference with one is asked of the registry unless the engine is the only choice, which then
 * fails. Since: 0.1 */
MVM_PUBLIC int mvm_options_set_image_source_order(mvm_options *options, int order);
/** mvm_options_set_platform - "os/arch[/variant]"; NULL: linux and the host's architecture. Since:
 * 0.1 */
MVM_PUBLIC int mvm_options_set_platform(mvm_options *options, const char *platform);
/** mvm_options_set_kernel - a vmlinux (ELF) or bzImage file; NULL: the one that `microvm kernel ls`
 * names first. Since: 0.1 */
MVM_PUBLIC int mvm_options_set_kernel(mvm_options *options, const char *path);
/** mvm_options_set_accel - an enum mvm_accel. Since: 0.1 */
MVM_PUBLIC int mvm_options_set_accel(mvm_options *options, int accel);
/**
 * mvm_options_set_disk_size - what the VM may write to its root
 * @bytes: 16 MiB to 8 TiB, rounded up to whole MiB; 0: 10 GiB
 *
 * A disk of the VM's own, which goes with it. It takes room on the host for what is written alone;
 * a program gets ENOSPC when it is full, and EIO when the host's file system is. Not together with
 * mvm_options_set_tmpfs_root() and mvm_options_set_read_only(): mvm_run() then gives MVM_E_ARG.
 *
 * Returns: 0; MVM_E_ARG.
 * Since:   0.1
 */
MVM_PUBLIC int mvm_options_set_disk_size(mvm_options *options, uint64_t bytes);
/** mvm_options_set_tmpfs_root - non-zero: what the VM writes to its root is kept in its memory, of
 * which it takes half at most, and there is no disk for it. Since: 0.1 */
MVM_PUBLIC int mvm_options_set_tmpfs_root(mvm_options *options, int tmpfs_root);
/** mvm_options_set_read_only - non-zero: the root is read-only for the VM's programs (EROFS), but
 * for what is mounted in it, such as /dev and /dev/shm. Since: 0.1 */
MVM_PUBLIC int mvm_options_set_read_only(mvm_options *options, int read_only);
/** mvm_options_set_timeout_ms - milliseconds that the program may run; then SIGTERM, 10 s later the
 * end, status 124. 0: without limit. Since: 0.1 */
MVM_PUBLIC int mvm_options_set_timeout_ms(mvm_options *options, uint64_t timeout_ms);
/** mvm_options_set_remove - non-zero: the VM's folder with its logs goes when the VM has ended.
 * Since: 0.1 */
MVM_PUBLIC int mvm_options_set_remove(mvm_options *options, int remove);
/** mvm_options_set_detached - non-zero: once its handle is released with mvm_vm_free(), the VM runs
 * on, and is found again by its name (mvm_vm_open()); a process that dies before that takes it
 * along. Its program has no stdin, and its output goes to `output.log` in the VM's folder. Since:
 * 0.1 */
MVM_PUBLIC int mvm_options_set_detached(mvm_options *options, int detached);
/**
 * mvm_options_add_vsock_port - a port on which the guest reaches a program on the host
 * @port:        1 to 4294967294, but not 1023, which is the guest agent's
 * @socket_path: absolute, at most 107 bytes: a UNIX stream socket on which the host's program
 *               listens
 *
 * Each connection of a guest program to CID 2 (the host) and @port is joined to a new connection to
 * the socket. Where nobody listens there at that moment, the guest's connect fails at once with
 * ECONNRESET. May be called several times; the order is kept. A path that exists and is no socket
 * is refused by mvm_run().
 *
 * Returns: 0; MVM_E_ARG; MVM_E_EXISTS for a port that was given before; MVM_E_LIMIT above 48 ports;
 *          MVM_E_NOMEM.
 * Source:  virtio 1.2, 5.10; libkrun's krun_add_vsock_port().
 * Since:   0.1
 */
MVM_PUBLIC int mvm_options_add_vsock_port(mvm_options *options, uint32_t port,
                                          const char *socket_path);
/**
 * mvm_options_add_vsock_listener - a port of the guest that programs on the host reach
 * @port:        as in mvm_options_add_vsock_port()
 * @socket_path: absolute, at most 107 bytes: a socket that is made there (0600), and goes with the
 * VM
 *
 * Each connection to the socket is joined to a connection to @port in the guest; where no program
 * listens on it, or does not yet, the socket's connection is closed. Connections that come before
 * the guest's kernel has sockets wait for it.
 *
 * Returns: as mvm_options_add_vsock_port().
 * Since:   0.1
 */
MVM_PUBLIC int mvm_options_add_vsock_listener(mvm_options *options, uint32_t port,
                                              const char *socket_path);
/**
 * mvm_options_set_vsock_uds - one socket for all ports, as Firecracker and cloud-hypervisor have it
 * @path: absolute, at most 96 bytes: a socket that is made there (0600); NULL: none
 *
 * A client writes "CONNECT <port>\n", reads "OK <number>\n", and has a connection to that port of
 * the guest; any other first line, or a port where nobody listens, ends its connection. A guest
 * program that connects to CID 2 and a port without an entry of its own reaches the socket
 * "<path>_<port>".
 *
 * Returns: 0; MVM_E_ARG; MVM_E_NOMEM.
 * Source:  Firecracker, docs/vsock.md.
 * Since:   0.1
 */
MVM_PUBLIC int mvm_options_set_vsock_uds(mvm_options *options, const char *path);
/**
 * mvm_options_disable_ssh - the guest starts no SSH server, and reads no keys for one
 *
 * Written as the key `disable_ssh` of the guest's /etc/go-microvm.json; it cannot be unset again.
 *
 * Returns: 0; MVM_E_ARG for NULL.
 * Since:   0.1
 */
MVM_PUBLIC int mvm_options_disable_ssh(mvm_options *options);
/**
 * mvm_options_add_registry_mirror - a host that is asked before a registry
 * @mirror: "[REGISTRY=]URL": REGISTRY as in a full image name ("docker.io", which is also what is
 *          meant without it, or "host:5000"), URL as "https://HOST[:PORT][/PREFIX]" or with http;
 *          a prefix is put in front of the repository's name
 *
 * Mirrors are asked in the order in which they were given, then the registry itself. A mirror gets
 * the credentials that are kept for its own host, and digests are verified as ever; what a tag
 * means is believed.
 *
 * Returns: 0; MVM_E_ARG; MVM_E_LIMIT above 64 mirrors; MVM_E_NOMEM.
 * Since:   0.1
 */
MVM_PUBLIC int mvm_options_add_registry_mirror(mvm_options *options, const char *mirror);
/**
 * mvm_options_add_insecure_registry - a registry, or mirror, of which nobody need be sure
 * @host: "HOST[:PORT]" as in an image's name
 *
 * Its certificate is not verified, and http is used where it does not speak https. Loopback hosts
 * may have http without this.
 *
 * Returns: 0; MVM_E_ARG; MVM_E_LIMIT above 256 hosts; MVM_E_NOMEM.
 * Since:   0.1
 */
MVM_PUBLIC int mvm_options_add_insecure_registry(mvm_options *options, const char *host);
/** mvm_options_set_registry_ca - a file of certificates in PEM, trusted for registries besides the
 * system's and those in the folders certs.d of docker and podman; NULL: none. Since: 0.1 */
MVM_PUBLIC int mvm_options_set_registry_ca(mvm_options *options, const char *path);
/** mvm_options_set_auth_file - the one file with credentials, as docker's config.json or podman's
 * auth.json; NULL: docker's, $REGISTRY_AUTH_FILE and podman's are looked at. Since: 0.1 */
MVM_PUBLIC int mvm_options_set_auth_file(mvm_options *options, const char *path);
/* Each layer has a connection, a thread and buffers of its own. */
#define MVM_LAYER_JOBS_MAX 16
/** mvm_options_set_layer_jobs - layers that a pull fetches at once, up to MVM_LAYER_JOBS_MAX; 0: as
 * many as there are CPUs, but 2 at least and 4 at most. Returns 0; MVM_E_ARG. Since: 0.1 */
MVM_PUBLIC int mvm_options_set_layer_jobs(mvm_options *options, uint32_t jobs);
/** mvm_options_set_data_dir - one folder for images, kernels and VMs, in place of the XDG places;
 * NULL: $MICROVM_DATA_DIR if set. Since: 0.1 */
MVM_PUBLIC int mvm_options_set_data_dir(mvm_options *options, const char *path);
/** mvm_options_set_progress - who hears of a pull's progress. Since: 0.1 */
MVM_PUBLIC void mvm_options_set_progress(mvm_options *options, mvm_progress_fn *fn, void *user);
/** mvm_options_set_log - who receives the records up to @level; NULL: nobody. Since: 0.1 */
MVM_PUBLIC void mvm_options_set_log(mvm_options *options, mvm_log_fn *fn, void *user, int level);

#ifdef __cplusplus
}
#endif

#endif
