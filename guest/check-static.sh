#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# check-static.sh PROGRAM BYTES: the program needs no loader and no library, and is not larger than BYTES.
set -eu
size=$(stat -c %s "$1")
if readelf -lW "$1" | grep -Eq 'INTERP|DYNAMIC'; then
    echo "$1 is linked dynamically" >&2
    exit 1
fi
echo "$1: $size bytes, at most $2"
[ "$size" -le "$2" ]
