#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# kernel-headers.sh DIR: makes DIR with links to the kernel's own headers, to nanopb's and to nothing else. musl has
# none of them, and the system's include folder also holds the headers of glibc, which must not be mixed with musl's.
set -eu
dir=$1
multiarch=$(gcc -print-multiarch)
mkdir -p "$dir"
for name in linux asm-generic asm; do
    for from in "/usr/include/$multiarch/$name" "/usr/include/$name"; do
        [ -d "$from" ] && break
    done
    [ -d "$from" ] || { echo "no $name headers of the kernel: install linux-libc-dev" >&2; exit 1; }
    ln -sfn "$from" "$dir/$name"
done
for name in pb.h pb_common.h pb_decode.h pb_encode.h; do
    [ -e "/usr/include/$name" ] || { echo "no $name of nanopb: install libnanopb-dev" >&2; exit 1; }
    ln -sfn "/usr/include/$name" "$dir/$name"
done
