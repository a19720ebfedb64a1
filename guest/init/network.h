/* SPDX-License-Identifier: Apache-2.0 */
#ifndef INIT_NETWORK_H
#define INIT_NETWORK_H

#include "base/error.h"

/* Brings the loopback interface up (K-9); the kernel then gives it its addresses. */
int network_loopback_up(mvm_error **err);

#endif
