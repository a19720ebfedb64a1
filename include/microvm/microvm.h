/* SPDX-License-Identifier: Apache-2.0 */
/* libmicrovm: run any OCI container image as a lightweight virtual machine. This header includes
 * all the others. */
#ifndef MICROVM_MICROVM_H
#define MICROVM_MICROVM_H

#include <microvm/disk-image.h>
#include <microvm/error.h>
#include <microvm/exec.h>
#include <microvm/fetcher.h>
#include <microvm/image.h>
#include <microvm/options.h>
#include <microvm/vm.h>

#endif
