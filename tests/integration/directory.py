#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Layers become a real directory on file systems of all kinds. image-tree.py compares it with what umoci unpacks."""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / 'tests' / 'support'))
import imageset
import tap

TOOLS = pathlib.Path(os.environ.get('MICROVM_BUILD', TOP / 'build')) / 'tests' / 'support'
USER = 65534


def run(*words, **how):
    done = subprocess.run([str(w) for w in words], capture_output=True, text=True, **how)
    if done.returncode:
        raise AssertionError(f'{words}: {done.returncode}: {done.stdout}{done.stderr}')
    return done.stdout


@unittest.skipIf(os.geteuid() != 0, 'only root gives files away')
class Directory(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix='directory-test-'))
        self.folder.chmod(0o711)
        self.addCleanup(shutil.rmtree, self.folder)

    def converted(self, tars):
        parts = []
        for i, tar in enumerate(tars):
            paths = [self.folder / f'{i}.{suffix}' for suffix in ('tar', 'data', 'index')]
            paths[0].write_bytes(tar)
            run(TOOLS / 'convert-tool', *paths)
            for path in paths[1:]:
                path.chmod(0o644)
            parts += paths[1:]
        return parts

    def presented(self, tars, copied):
        parts = self.converted(tars)
        into = self.folder / 'into'
        into.mkdir(mode=0o700)
        tool = shutil.copy(TOOLS / 'present-tool', self.folder)
        copy, lost, _ = run(tool, into, 'root', *parts).split(None, 2)
        self.assertEqual(os.listdir(into), ['root'])
        self.assertEqual(copy, copied)
        return into / 'root', int(lost)

    def mount(self, target, *words):
        run('mount', *words, target)
        self.addCleanup(run, 'umount', target)

    def test_a_full_file_system_leaves_nothing(self):
        tars = [imageset.tar((imageset.make('small'), b'x'), (imageset.make('d/large'), os.urandom(4 << 20)))]
        parts = self.converted(tars)
        into = self.folder / 'full'
        into.mkdir(mode=0o700)
        self.mount(into, '-t', 'tmpfs', '-o', 'size=2m,mode=0700', 'full')
        done = subprocess.run([TOOLS / 'present-tool', into, 'root', *parts], capture_output=True, text=True)
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, "directory root 'root': 'large': .*No space left on device")
        self.assertEqual(os.listdir(into), [])

    def test_what_a_file_system_cannot_keep_is_told(self):
        """ramfs has no extended attributes: modes are all that is left."""
        tars = [imageset.tar(imageset.make('shut', imageset.DIR, mode=0, uid=5),
                             imageset.text('shut/f', mode=0o4000, uid=6),
                             imageset.make('null', imageset.CHAR, mode=0o666, device=(1, 3)))]
        parts = self.converted(tars)
        into = self.folder / 'ram'
        into.mkdir()
        self.mount(into, '-t', 'ramfs', 'ram')
        into.chmod(0o700)
        os.chown(into, USER, USER)
        tool = shutil.copy(TOOLS / 'present-tool', self.folder)
        self.assertEqual(run(tool, into, 'root', *parts, user=USER, group=USER, extra_groups=[]).split(None, 2)[:2],
                         ['none', '3'])
        self.assertEqual((into / 'root/shut').stat().st_mode, 0o040000)
        self.assertEqual((into / 'root/shut/f').stat().st_mode, 0o104000)
        self.assertEqual((into / 'root/null').stat().st_mode, 0o100666)

    def test_contents_are_cloned_where_the_file_system_can(self):
        if not shutil.which('mkfs.xfs'):
            self.skipTest('mkfs.xfs is missing')
        disk = self.folder / 'disk'
        with open(disk, 'wb') as f:
            f.truncate(400 << 20)
        run('mkfs.xfs', '-q', '-m', 'reflink=1', disk)
        outer, self.folder = self.folder, self.folder / 'xfs'
        self.folder.mkdir()
        self.mount(self.folder, '-o', 'loop', disk)
        content = os.urandom(3 << 20) + b'the end'
        tars = [imageset.tar((imageset.make('large'), content), (imageset.make('small'), b'x' * 3000)),
                imageset.tar((imageset.make('d/sparse'), bytes(1 << 20) + content + bytes(5 << 20)))]
        root, lost = self.presented(tars, copied='clone')
        self.assertEqual(lost, 0)
        self.assertEqual((root / 'large').read_bytes(), content)
        self.assertEqual((root / 'small').read_bytes(), b'x' * 3000)
        self.assertEqual((root / 'd/sparse').read_bytes(), bytes(1 << 20) + content + bytes(5 << 20))
        # Of its own: what is written here is not in the store.
        (root / 'small').write_bytes(b'y' * 3000)
        again = self.folder / 'again'
        again.mkdir(mode=0o700)
        run(outer / 'xfs' / 'present-tool', again, 'root', self.folder / '0.data', self.folder / '0.index')
        self.assertEqual((again / 'root/small').read_bytes(), b'x' * 3000)


if __name__ == '__main__':
    tap.main()
