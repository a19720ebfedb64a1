/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the container engine answers (Docker, or Podman's service, which speaks the same): the
 * places that their own programs look at, first the ones that the user chose.
 */
#ifndef IMAGE_ENGINE_H
#define IMAGE_ENGINE_H

#include "image/http.h"
#include "oci/platform.h"

#include <stdbool.h>

/* Most bytes of Docker's config.json, which has credentials and may have many, and of a context's
 * meta.json. */
#define ENGINE_CONFIG_MAX (1u << 20)
#define ENGINE_CONTEXT_MAX (64u << 10)
/* Most bytes of what the engine says of one image: layers and labels are in it. */
#define ENGINE_INSPECT_MAX (8u << 20)

struct engine_endpoint {
    char *socket; /* owned: path of a UNIX socket; NULL: url is an address */
    char *url;    /* owned: "http://localhost", "https://10.0.0.1:2376"; no slash at the end */
    bool has_tls;
    struct http_tls tls;
};
void engine_endpoint_deinit(struct engine_endpoint *e);
MVM_DEFINE_AUTOVALUE(engine_endpoint, engine_endpoint_deinit)

/* The first that answers of: $DOCKER_HOST, which alone counts when it is set; the current context
 * of Docker; the usual sockets. @ret must be zeroed. MVM_E_NOT_FOUND tells what was tried. */
int engine_find(struct engine_endpoint *ret, mvm_error **err);

/* "unix:///path", "tcp://host[:port]", "http://...", "https://...". @tls: the address is spoken to
 * by https. */
int engine_host_parse(const char *host, bool tls, struct engine_endpoint *ret, mvm_error **err);

/* The name of the current context in Docker's config.json; *ret is owned, NULL for none and for
 * "default", which is no context of its own. */
int engine_config_parse(const char *text, size_t len, char **ret, mvm_error **err);

struct engine_context {
    char *host; /* owned */
    bool unverified;
};
void engine_context_deinit(struct engine_context *c);
MVM_DEFINE_AUTOVALUE(engine_context, engine_context_deinit)
/* A context's meta.json. @ret must be zeroed. */
int engine_context_parse(const char *text, size_t len, struct engine_context *ret, mvm_error **err);

/* What the engine says of an image. */
struct engine_image {
    struct digest id;
    struct oci_platform platform;
};
int engine_inspect_parse(const char *text, size_t len, struct engine_image *ret, mvm_error **err);

#endif
