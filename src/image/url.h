/* SPDX-License-Identifier: Apache-2.0 */
/* URLs of registries: their parts, and which hosts a registry may send us to. */
#ifndef IMAGE_URL_H
#define IMAGE_URL_H

#include "base/error.h"
#include "base/mem.h"

#include <stdbool.h>

struct url {
    bool https; /* else http; there is nothing else */
    char *host; /* owned: lower case, numbers as dotted quads, IPv6 without brackets */
    unsigned port;
};
/* @url must be zeroed or deinitialised. A user in it is refused: credentials come from elsewhere.
 */
int url_parse(const char *text, struct url *url, mvm_error **err);
void url_deinit(struct url *url);
MVM_DEFINE_AUTOVALUE(url, url_deinit)

/* @text with name=value pairs appended to its query; a NULL value is left out. */
int url_add_query(const char *text, const char *const pairs[][2], size_t n, char **ret,
                  mvm_error **err);

/* Same host and port, the default one filled in. */
bool url_same_host(const struct url *a, const struct url *b);
/* "localhost", a name below it, 127.0.0.0/8 or ::1, as a whole host. */
bool url_host_is_loopback(const char *host);
/* A literal address that is not on the public Internet: loopback, private, link-local, unspecified.
 */
bool url_host_is_internal(const char *host);
/* May a host that the user has named send us on to @to? To itself always; to an internal address
 * only if it has one itself, and to this machine only if it is there. */
bool url_may_lead(const struct url *from, const struct url *to);
/* For messages: without user, query and fragment, which may hold secrets. Owned by the caller; NULL
 * when out of memory. */
char *url_for_message(const char *text);

#endif
