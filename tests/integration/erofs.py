#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Layers become an EROFS image, which the kernel mounts; what is in it is what umoci unpacks, entry by entry."""
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tarfile
import tempfile
import unittest

TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / 'tests' / 'support'))
import imageset
import ocilayout
import tap
import treelist

TOOLS = pathlib.Path(os.environ.get('MICROVM_BUILD', TOP / 'build')) / 'tests' / 'support'


def run(*words):
    done = subprocess.run([str(w) for w in words], capture_output=True, text=True)
    if done.returncode:
        raise AssertionError(f'{words}: {done.returncode}: {done.stdout}{done.stderr}')
    return done.stdout


def can_mount():
    if os.geteuid() != 0:
        return 'only root mounts'
    with open('/proc/filesystems') as f:
        return None if '\terofs\n' in f.read() else "this host's kernel has no EROFS"


class Erofs(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix='erofs-test-'))
        self.addCleanup(shutil.rmtree, self.folder)

    def disk(self, tars):
        """The metadata image and the layers' data after each other."""
        parts = []
        for i, tar in enumerate(tars):
            paths = [self.folder / f'{i}.{suffix}' for suffix in ('tar', 'data', 'index')]
            paths[0].write_bytes(tar)
            run(TOOLS / 'convert-tool', *paths)
            parts += paths[1:]
        extents = run(TOOLS / 'erofs-tool', self.folder / 'image', *parts)
        disk = self.folder / 'disk'
        with open(disk, 'wb') as out:
            for line in extents.splitlines():
                size, path = line.split(' ', 1)
                self.assertEqual(os.path.getsize(path), int(size), path)
                with open(path, 'rb') as data:
                    copy_sparse(data, out)
        return disk

    def mounted(self, disk):
        target = self.folder / 'mounted'
        target.mkdir()
        run('mount', '-t', 'erofs', '-o', 'ro,loop', disk, target)
        self.addCleanup(run, 'umount', target)
        return target

    def unpacked(self, name, tars):
        target = self.folder / 'unpacked'
        if name in imageset.NOT_UMOCI:
            self.assertEqual(len(tars), 1)
            target.mkdir()
            run('tar', '-xpf', self.folder / '0.tar', '-C', target)
            return target
        imageset.write(self.folder / 'layout', [name])
        run('umoci', 'raw', 'unpack', '--image', f'{self.folder / "layout"}:{name}', target)
        return target

    def compare(self, name):
        tars = imageset.layers(name)
        disk = self.disk(tars)
        run('fsck.erofs', disk)
        reason = can_mount()
        if reason:
            self.skipTest(reason)
        program = treelist.build(self.folder)
        ours = treelist.entries(program, self.mounted(disk))
        theirs = treelist.entries(program, self.unpacked(name, tars))
        self.assertGreater(len(ours), 1)
        self.assertEqual(treelist.differences(ours, theirs, imageset.is_known(name)), [])

    def test_memory_of_a_great_directory(self):
        """Names that lie all over a large index, in no order: what is looked at is given back."""
        numbers = list(range(40000))
        random.Random(1).shuffle(numbers)
        parts = [self.folder / name for name in ('tar', 'data', 'index')]
        with tarfile.open(parts[0], mode='w', format=tarfile.PAX_FORMAT) as t:
            for i in numbers:
                t.addfile(ocilayout.entry(f'd/{i:08}', xattrs={'user.a': 'x' * 5000}))
        run(TOOLS / 'convert-tool', *parts)
        # A process begins with the memory of its parent: the shell's is small.
        done = subprocess.run(['sh', '-c', '"$@" || exit 1', 'sh', TOOLS / 'erofs-tool', self.folder / 'image',
                               *parts[1:]], capture_output=True, text=True, check=True)
        peak = int(done.stderr.split()[-2])
        self.assertLess(peak, 32 << 10, done.stderr)
        run('fsck.erofs', self.folder / 'image')


def copy_sparse(data, out):
    """Appends @data, whose length is a multiple of 4096, with its holes."""
    start, size = out.tell(), os.fstat(data.fileno()).st_size
    at = 0
    while at < size:
        try:
            at = os.lseek(data.fileno(), at, os.SEEK_DATA)
        except OSError:     # a hole to the end
            break
        end = os.lseek(data.fileno(), at, os.SEEK_HOLE)
        data.seek(at)
        out.seek(start + at)
        while at < end:
            piece = data.read(min(end - at, 1 << 20))
            out.write(piece)
            at += len(piece)
    out.truncate(start + size)
    out.seek(start + size)


def add_test(name):
    setattr(Erofs, 'test_' + name.replace('-', '_'), lambda self: self.compare(name))


for name in [*imageset.IMAGES, 'small-files']:
    add_test(name)

if __name__ == '__main__':
    tap.main()
