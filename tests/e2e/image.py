#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Images of all kinds, from a real registry: what a program in the guest sees below / is what umoci unpacks, entry by
entry. One VM an image, whose program is tests/support/tree-list.c, in a layer on top."""
import os
import pathlib
import shutil
import tempfile
import unittest

import e2e
import imageset
import storeset
import tap
import treelist

PROGRAM = '.tree-list'
# The layer brings them along, so that the guest has none to make; then something is mounted there.
MOUNTS = ('dev', 'proc', 'sys')
# Seconds: the guest reads each zero of 6 GB, which takes a software machine half a minute when nothing else runs.
TIMEOUT = 900
EVERYTHING = 'MICROVM_TEST_ALL' in os.environ


def is_the_guest_s(path, field, ours, theirs):
    """What has to differ from an image that is only unpacked."""
    if path == '.':     # Linux, overlayfs.rst: a directory of both layers has one link
        return field == 'links' and ours == '1'
    return path in MOUNTS and field in ('mode', 'mtime', 'links')


@unittest.skipIf(os.geteuid() != 0, 'only root unpacks owners and devices to compare with')
class Image(e2e.Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix='image-e2e-'))
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        cls.program = treelist.build(cls.folder)
        cls.layer = imageset.tar(*(imageset.make(name, imageset.DIR) for name in MOUNTS),
                                 (imageset.make(PROGRAM, mode=0o755), pathlib.Path(cls.program).read_bytes()))
        cls.served = storeset.Served()
        cls.addClassCleanup(cls.served.close)

    def served_and_unpacked(self, name):
        folder = pathlib.Path(tempfile.mkdtemp(dir=self.folder))
        try:
            layout = imageset.write(folder / 'layout', [name], [self.layer])
            imageset.unpack(layout, name, folder / 'unpacked', [self.layer])
            return self.served.add(layout, name), treelist.entries(self.program, folder / 'unpacked')
        finally:
            shutil.rmtree(folder)

    def compare(self, name, *options):
        reason = imageset.room_for(name, self.folder)
        if reason:
            self.skipTest(reason)
        reference, theirs = self.served_and_unpacked(name)
        result = self.host.command('run', *options, reference, f'/{PROGRAM}', '-x', '/', timeout=TIMEOUT)
        self.assertEqual((result.status, result.err), (0, b''), result)
        self.assertGreater(len(theirs), 2 + len(MOUNTS))
        known = imageset.is_known(name)
        self.assertEqual(treelist.differences(treelist.parse(result.out.decode()), theirs,
                                              lambda *d: is_the_guest_s(*d) or known(*d)), [])

    def test_attributes_of_a_root_in_memory(self):
        self.compare('attributes', '--tmpfs-root')

    def test_attributes_of_a_read_only_root(self):
        self.compare('attributes', '--read-only')

    @unittest.skipIf(os.environ.get('MICROVM_TEST_AS') == 'user', 'once is enough: root has them')
    def test_small_files(self):
        self.compare('small-files')

    @unittest.skipUnless(EVERYTHING, '`make check-all` boots it')
    @unittest.skipIf(os.environ.get('MICROVM_TEST_AS') == 'user', 'once is enough: root has it')
    def test_huge(self):
        self.compare('huge')


def add_test(name):
    setattr(Image, 'test_' + name.replace('-', '_'), lambda self: self.compare(name))


for name in imageset.IMAGES:
    add_test(name)

if __name__ == '__main__':
    tap.main()
