/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Certificates for one registry, from the folders that docker and podman use
 * (docker/certs(5), containers-certs.d(5)): below a certs.d, the folder HOST:PORT with NAME.crt
 * for authorities, and NAME.cert with NAME.key for ourselves.
 */
#ifndef IMAGE_REGISTRY_CERTS_H
#define IMAGE_REGISTRY_CERTS_H

#include "image/http.h"
#include "image/registry-options.h"

/* Of one file (the system's whole bundle has 220 KiB), of the files in one folder that are looked
 * at, of all authorities together. */
#define CERTS_FILE_MAX (1u << 20)
#define CERTS_FILES_MAX 64
#define CERTS_TOTAL_MAX (4u << 20)

/* @host: as in a reference, with its port if there is one. Nothing found is fine; the certificates
 * of options->ca_file are always among them. */
int registry_certs_load(const struct registry_options *options, const char *host,
                        struct http_tls *ret, mvm_error **err);
void http_tls_deinit(struct http_tls *tls);
MVM_DEFINE_AUTOVALUE(http_tls, http_tls_deinit)

#endif
