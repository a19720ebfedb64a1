/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A download that is kept while it arrives, in ".download-NAME", so that one that was broken off,
 * or whose process was killed, goes on where it ended. ".download-NAME.json" says what the kept
 * bytes are of: without a proof that the server still has the same file they are thrown away.
 */
#ifndef IMAGE_DISK_DOWNLOAD_H
#define IMAGE_DISK_DOWNLOAD_H

#include "base/digest.h"
#include "image/tick.h"

#include <stdbool.h>
#include <sys/types.h>

#define DISK_PART_PREFIX ".download-"
#define DISK_PART_SUFFIX ".json"
/* Tries, one after the other, that bring not a single byte more; and tries in all that end because
 * what they bring comes too slowly. */
#define DISK_TRIES 5

struct disk_request { /* all borrowed */
    const char *url;
    const char *name; /* one component */
    int dir_fd;
    uint64_t max_bytes;
    bool verified;    /* the whole is compared with a digest later */
    uint64_t slow_ms; /* over which the speed is measured; 0: HTTP_SLOW_MS */
    struct image_tick *tick;
};

struct disk_download;
/* Waits, ticking, while another process has the same download. */
int disk_download_open(const struct disk_request *request, struct disk_download **ret,
                       mvm_error **err);
/* What was kept stays for the next time, unless it was dropped. */
void disk_download_free(struct disk_download *d);
MVM_DEFINE_AUTO(disk_download, disk_download_free)

/* The next bytes, in order; 0 at the end. MVM_E_STATE: the server's file became another one. */
ssize_t disk_download_read(struct disk_download *d, void *data, size_t len, mvm_error **err);
/* The first bytes, which are still to be read; fewer at the end. */
ssize_t disk_download_peek(struct disk_download *d, void *data, size_t len, mvm_error **err);
/* Of all that was read. */
int disk_download_digest(struct disk_download *d, struct digest *ret, mvm_error **err);
/* The file itself, at the end: nobody else may use it afterwards. Borrowed. */
int disk_download_fd(const struct disk_download *d);
/* Back to the beginning, with nothing kept. */
int disk_download_restart(struct disk_download *d, mvm_error **err);
/* Not a single byte is kept. */
bool disk_download_is_empty(const struct disk_download *d);
/* Nothing is kept. @renamed: the file has become something else. */
void disk_download_drop(struct disk_download *d, bool renamed);

/* Removes what downloads left in @dir_fd that nobody took up for a week. */
void disk_download_sweep(int dir_fd);

/* disk-http.c: one answer that gives the file from a place on. */
struct disk_validator {
    char *etag;          /* owned; NULL: none, or a weak one */
    char *last_modified; /* owned; NULL: none */
};
void disk_validator_deinit(struct disk_validator *v);
MVM_DEFINE_AUTOVALUE(disk_validator, disk_validator_deinit)

struct http_client;
struct http_response;
struct disk_answer {
    struct http_response *response; /* owned */
    struct disk_validator validator;
    uint64_t from; /* first byte of the file that comes */
    bool has_total;
    uint64_t total;
    uint64_t retry_after_ms; /* of a failure: what the server asks for; 0: nothing */
    bool retryable;          /* of a failure: another try may help */
};
void disk_answer_deinit(struct disk_answer *a);
MVM_DEFINE_AUTOVALUE(disk_answer, disk_answer_deinit)
/* Through redirects, to where url_may_lead() lets them go, and from https to https alone. */
int disk_http_get(struct http_client *http, const char *url, uint64_t from, struct disk_answer *ret,
                  mvm_error **err);
/* "bytes FROM-TO/TOTAL" (RFC 9110, 14.4); the total may be "*". */
bool disk_parse_range(const char *text, uint64_t *ret_from, bool *ret_has_total,
                      uint64_t *ret_total);

#endif
