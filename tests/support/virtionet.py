# SPDX-License-Identifier: Apache-2.0
"""The modules of virtio-net for a cached kernel, whose own archive has none: from the Debian package it came from."""
import glob
import json
import lzma
import os
import pathlib
import subprocess
import tempfile

import e2e

# In the order in which they need each other.
MODULES = ('kernel/net/core/failover.ko', 'kernel/drivers/net/net_failover.ko', 'kernel/drivers/net/virtio_net.ko')
QEMU_WORDS = ('-netdev', 'user,id=net', '-device', 'virtio-net-device,netdev=net')
DOWNLOAD_SECONDS = 300


def take_modules(about, into):
    """Downloads the package as apt has verified it, and leaves the modules, uncompressed, in the folder @into."""
    with tempfile.TemporaryDirectory(dir=e2e.cache_dir()) as work:
        wanted = f'{about["package"]}={about["version"]}'
        got = subprocess.run(['apt-get', '-q', 'download', wanted], cwd=work, timeout=DOWNLOAD_SECONDS, text=True,
                             stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if got.returncode != 0:
            raise RuntimeError(f'{wanted}: not to be had; remove {e2e.cache_dir() / "kernel-data"} for a newer one: '
                               f'{got.stdout.strip()[-600:]}')
        package, = glob.glob(f'{work}/*.deb')
        subprocess.run(['dpkg-deb', '-x', package, f'{work}/tree'], check=True)
        ready = pathlib.Path(work, 'ready')
        ready.mkdir()
        for name in MODULES:
            path, = glob.glob(f'{work}/tree/**/lib/modules/{about["release"]}/{name}*', recursive=True)
            data = pathlib.Path(path).read_bytes()
            (ready / os.path.basename(name)).write_bytes(lzma.decompress(data) if path.endswith('.xz') else data)
        ready.rename(into)


def initrd_members(kernel):
    """(path, mode, data) of the modules of the kernel in the folder @kernel, with their list as "order-net"."""
    about = json.loads((kernel / 'kernel.json').read_text())
    folder = e2e.cache_dir() / f'virtio-net-{about["release"]}-{about["version"]}'
    with e2e.Locked('virtio-net'):
        if not folder.exists():
            take_modules(about, folder)
    names = [os.path.basename(name) for name in MODULES]
    files = [(name, (folder / name).read_bytes()) for name in names]
    files.append(('order-net', ''.join(f'{name}\n' for name in names).encode()))
    return [(f'lib/modules/{about["release"]}/{name}', 0o100644, data) for name, data in files]
