/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files and trees between host and guest, as `docker cp` copies them, and as tar streams.
 *
 * Where a copy goes follows docker-cp(1): into an existing folder under the source's own name; else
 * under the name that was given, whose folder must exist. A destination in the guest that is a
 * symbolic link stands for what it points to, there or not; one on the host is replaced. Of a
 * source that ends in "/." the content goes into the folder. A file's destination with a slash at
 * its end must be a folder.
 *
 * The guest is not trusted. What it sends for the host is written through held descriptors, one
 * component at a time, none of them a symbolic link; each file and link appears by rename, when it
 * is whole; what is there already stays as it is until then, and a folder is merged into. Names
 * that are absolute, climb, or lie in no folder that came before are refused. Device nodes, FIFOs
 * and sockets are left out in both directions and counted (docker cp makes the first two on the
 * host, where its user may): made by a guest's word on the host they are of use to an attacker
 * alone. Asked for as the source itself they are MVM_E_UNSUPPORTED. Hard links become copies; in a
 * tar stream for the guest, where what they share has gone by, they are MVM_E_UNSUPPORTED.
 *
 * All of these run the client's loop until the copy is done, and must not be called in a callback.
 * *ret is also written when a copy failed midway.
 */
#ifndef AGENT_COPY_H
#define AGENT_COPY_H

#include "agent/client.h"
#include "base/log.h"

/* Entries of one copy: four times the largest image that we know. */
#define COPY_ENTRIES_MAX (UINT64_C(1) << 20)
/* Folders within folders: each is held open, and a process usually may have 1024 descriptors. */
#define COPY_DEPTH_MAX 128
/* Bytes of all files together, unless options say otherwise: a guest should not fill any disk. */
#define COPY_BYTES_MAX (UINT64_C(1) << 40)
/* Without a byte from the guest, or room for one, for so long a copy is given up. */
#define COPY_IDLE_MS 60000

struct copy_options {
    bool archive; /* owners and set-id bits are kept, as far as we may set them; else the files are
                     ours, in the guest root's, and have permissions (in the guest the sticky bit
                     with them) alone */
    bool follow;  /* a source that is a symbolic link stands for what it points to */
    uint64_t max_bytes;    /* 0: COPY_BYTES_MAX */
    const struct log *log; /* told of what is left out; may be NULL */
};
struct copy_result {
    uint64_t files; /* of any kind */
    uint64_t bytes; /* of their content */
    uint64_t skipped;
};

int copy_out(struct agent_client *c, const char *guest_path, const char *host_path,
             const struct copy_options *o, struct copy_result *ret, mvm_error **err);
int copy_in(struct agent_client *c, const char *host_path, const char *guest_path,
            const struct copy_options *o, struct copy_result *ret, mvm_error **err);
/* As copy_out() with the very place: @name in @dir_fd, or for NULL the folder itself. */
int copy_out_at(struct agent_client *c, const char *guest_path, int dir_fd, const char *name,
                const struct copy_options *o, struct copy_result *ret, mvm_error **err);
/* As copy_in() from @name, one component, in @dir_fd to the very path @guest_path. */
int copy_in_at(struct agent_client *c, int dir_fd, const char *name, const char *guest_path,
               const struct copy_options *o, struct copy_result *ret, mvm_error **err);
/* A tar stream (pax) to @fd, whose entries begin with the source's own name ("." for its content).
 * @fd is taken over. */
int copy_out_tar(struct agent_client *c, const char *guest_path, int fd,
                 const struct copy_options *o, struct copy_result *ret, mvm_error **err);
/* A tar stream from @fd into @guest_path, which is an existing folder. @fd is taken over. Slashes
 * in front of names are dropped, folders that the stream does not have are made. */
int copy_in_tar(struct agent_client *c, int fd, const char *guest_path,
                const struct copy_options *o, struct copy_result *ret, mvm_error **err);

#endif
