/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A container engine as a source (Docker Engine API, Images): the image is inspected first, which
 * tells its id and its platform; what the store does not have under that id is exported into a
 * temporary file, and read as a docker archive, or, where the engine keeps images as a registry has
 * them, as an OCI layout.
 */
#ifndef IMAGE_DAEMON_H
#define IMAGE_DAEMON_H

#include "image/name.h"
#include "image/source.h"

/* @name (of a daemon, or a reference alone) and @tick are borrowed and must outlive the source;
 * @dir_fd is where temporary files go, and likewise. Connects to nothing before it is asked. */
int daemon_source_open(const struct image_name *name, int dir_fd, uint64_t stall_ms,
                       struct image_tick *tick, struct image_source **ret, mvm_error **err);

#endif
