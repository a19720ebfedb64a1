#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# check-static.sh PROGRAM BYTES: the program needs no loader and no library, is not larger than BYTES, and has nothing
# of SSH or cryptography in it: neither the words that such code cannot do without, nor, in the objects in PROGRAM.p
# that it is linked from, a symbol of the libraries that offer it (the program itself is stripped).
set -eu
size=$(stat -c %s "$1")
if readelf -lW "$1" | grep -Eq 'INTERP|DYNAMIC'; then
    echo "$1 is linked dynamically" >&2
    exit 1
fi
for word in SSH-2.0- ssh-userauth ecdsa-sha2- 'BEGIN EC PRIVATE KEY'; do
    if grep -aqF -e "$word" "$1"; then
        echo "$1 has '$word' in it" >&2
        exit 1
    fi
done
symbols=$(nm -A "$1.p"/*.o)
[ -n "$symbols" ] || { echo "$1.p: no objects to look at" >&2; exit 1; }
if echo "$symbols" |
    grep -E ' (ssh|sshd|EVP|RSA|EC|ECDSA|BN|BIO|SSL|PEM|CRYPTO|OPENSSL|mbedtls|gcry|crypto|sodium)_'; then
    echo "$1 is linked from objects with these symbols" >&2
    exit 1
fi
echo "$1: $size bytes, at most $2"
[ "$size" -le "$2" ]
