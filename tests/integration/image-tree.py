#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Images of all kinds go to a real registry, and `microvm pull` fetches them from there. What the store made of each is
what umoci unpacks, entry by entry: as the EROFS disk, which the host's kernel mounts, and as a real directory, of root
and, with what an ordinary user keeps in attributes put in its place, of that one as well."""
import os
import pathlib
import shutil
import sys
import tempfile
import unittest

TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / 'tests' / 'support'))
import imageset
import storeset
import tap
import treelist
from storeset import run

BUILD = pathlib.Path(os.environ.get('MICROVM_BUILD', TOP / 'build'))
EVERYTHING = 'MICROVM_TEST_ALL' in os.environ
USER = 65534
TYPES = {0o100000: 'f', 0o040000: 'd', 0o120000: 'l', 0o020000: 'c', 0o060000: 'b', 0o010000: 'p'}
STAT = 'user.containers.override_stat'
XATTR = 'user.containers.override_xattr.'


def can_mount():
    with open('/proc/filesystems') as f:
        return None if '\terofs\n' in f.read() else "this host's kernel has no EROFS"


def overridden(e):
    """What the entry @e is for the guest."""
    xattrs = dict(x.split('=', 1) for x in e.xattrs.split(',')) if e.xattrs != '-' else {}
    kept = xattrs.pop(STAT, None)
    xattrs = {name.removeprefix(XATTR): value for name, value in xattrs.items()}
    text = ','.join(f'{n}={xattrs[n]}' for n in sorted(xattrs)) or '-'
    if kept is None:
        return e._replace(uid='0', gid='0', xattrs=text)
    uid, gid, mode, *device = bytes.fromhex(kept).decode().split(':')
    kind = TYPES[int(mode, 8) & 0o170000]
    fields = {'uid': uid, 'gid': gid, 'mode': f'{int(mode, 8) & 0o7777:04o}', 'type': kind, 'xattrs': text}
    if kind in 'cbp':
        fields |= {'size': '-', 'digest': '-'}
        fields['device'] = ':'.join(device[0].split('-')[1:]) if device else '-'
    return e._replace(**fields)


@unittest.skipIf(os.geteuid() != 0, 'only root mounts, and gives files away')
class ImageTree(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.shared = pathlib.Path(tempfile.mkdtemp(prefix='image-tree-'))
        cls.addClassCleanup(shutil.rmtree, cls.shared)
        cls.shared.chmod(0o755)
        cls.program = treelist.build(cls.shared)
        cls.served = storeset.Served()
        cls.addClassCleanup(cls.served.close)
        cls.known = {}      # by name: the reference, and what umoci makes of it

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix='test-', dir=self.shared))
        self.folder.chmod(0o755)
        self.addCleanup(shutil.rmtree, self.folder)

    def served_and_unpacked(self, name):
        if name not in self.known:
            layout, target = imageset.write(self.folder / 'layout', [name]), self.folder / 'unpacked'
            imageset.unpack(layout, name, target)
            self.known[name] = self.served.add(layout, name), treelist.entries(self.program, target)
            shutil.rmtree(layout)
            shutil.rmtree(target)
        return self.known[name]

    def pulled(self, name, **identity):
        reason = imageset.room_for(name, self.folder)
        if reason:
            self.skipTest(reason)
        reference, theirs = self.served_and_unpacked(name)
        return storeset.Pulled(BUILD, self.folder / 'pulled', reference, **identity), theirs

    def compare(self, name, ours, theirs, except_for=lambda *_: False):
        self.assertGreater(len(theirs), 1)
        known = imageset.is_known(name)
        self.assertEqual(treelist.differences(ours, theirs, lambda *d: except_for(*d) or known(*d)), [])

    def compare_disk(self, name):
        pulled, theirs = self.pulled(name)
        disk, target = pulled.disk(), self.folder / 'mounted'
        run('fsck.erofs', disk)
        reason = can_mount()
        if reason:
            self.skipTest(reason)
        target.mkdir()
        run('mount', '-t', 'erofs', '-o', 'ro,loop', disk, target)
        self.addCleanup(run, 'umount', target)
        self.compare(name, treelist.entries(self.program, target), theirs)

    def compare_directory(self, name):
        pulled, theirs = self.pulled(name)
        root, lost, first = pulled.directory()
        self.assertEqual((lost, first), (0, '-'))
        self.compare(name, treelist.entries(self.program, root), theirs)

    def compare_directory_of_a_user(self, name):
        pulled, theirs = self.pulled(name, user=USER, group=USER, extra_groups=[])
        root, lost, first = pulled.directory()
        ours = {path: overridden(e) for path, e in treelist.entries(self.program, root).items()}
        links = [e for e in theirs.values() if e.type == 'l' and (e.uid != '0' or e.gid != '0')]

        def of_a_symlink(path, field, a, b):
            return None not in (a, b) and field in ('uid', 'gid', 'xattrs') and theirs[path].type == 'l'

        self.compare(name, ours, theirs, of_a_symlink)
        self.assertEqual(lost > 0, bool(links), first)
        if links:
            self.assertRegex(first, '^owner of ')


def add_test(name, what, slow=False):
    @unittest.skipIf(slow and not EVERYTHING, 'it takes a minute: `make check-all` does it')
    def test(self):
        getattr(self, f'compare_{what}')(name)
    setattr(ImageTree, f'test_{name.replace("-", "_")}_as_{what}', test)


for what in ('disk', 'directory', 'directory_of_a_user'):
    for name in imageset.IMAGES:
        add_test(name, what)
for name in imageset.SLOW:
    add_test(name, 'disk')
    add_test(name, 'directory', slow=True)  # what differs for a user is no matter of size

if __name__ == '__main__':
    tap.main()
