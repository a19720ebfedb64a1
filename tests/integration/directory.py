#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Layers become a real directory; what is in it is what umoci unpacks, entry by entry, for root and, with what an
ordinary user keeps in attributes put in its place, for that one as well."""
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
import treelist

TOOLS = pathlib.Path(os.environ.get('MICROVM_BUILD', TOP / 'build')) / 'tests' / 'support'
USER = 65534
TYPES = {0o100000: 'f', 0o040000: 'd', 0o120000: 'l', 0o020000: 'c', 0o060000: 'b', 0o010000: 'p'}
STAT = 'user.containers.override_stat'
XATTR = 'user.containers.override_xattr.'


def run(*words, **how):
    done = subprocess.run([str(w) for w in words], capture_output=True, text=True, **how)
    if done.returncode:
        raise AssertionError(f'{words}: {done.returncode}: {done.stdout}{done.stderr}')
    return done.stdout


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


@unittest.skipIf(os.geteuid() != 0, 'only root gives files away')
class Directory(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix='directory-test-'))
        self.folder.chmod(0o711)
        self.addCleanup(shutil.rmtree, self.folder)

    def presented(self, tars, copied=None, **user):
        parts = []
        for i, tar in enumerate(tars):
            paths = [self.folder / f'{i}.{suffix}' for suffix in ('tar', 'data', 'index')]
            paths[0].write_bytes(tar)
            run(TOOLS / 'convert-tool', *paths)
            for path in paths[1:]:
                path.chmod(0o644)
            parts += paths[1:]
        into = self.folder / 'into'
        into.mkdir(mode=0o700)
        tool = shutil.copy(TOOLS / 'present-tool', self.folder)
        if user:
            os.chown(into, USER, USER)
        copy, lost, first = run(tool, into, 'root', *parts, **user).split(None, 2)
        self.assertEqual(os.listdir(into), ['root'])
        self.assertIn(copy, [copied] if copied else ['none', 'clone', 'kernel', 'plain'])
        return into / 'root', int(lost), first

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
        root, lost, first = self.presented(tars)
        self.assertEqual((lost, first.strip()), (0, '-'))
        program = treelist.build(self.folder)
        ours = treelist.entries(program, root)
        theirs = treelist.entries(program, self.unpacked(name, tars))
        self.assertGreater(len(ours), 3)
        self.assertEqual(treelist.differences(ours, theirs, imageset.is_known(name)), [])

    def test_contents_are_cloned_where_the_file_system_can(self):
        if not shutil.which('mkfs.xfs'):
            self.skipTest('mkfs.xfs is missing')
        disk = self.folder / 'disk'
        with open(disk, 'wb') as f:
            f.truncate(400 << 20)
        run('mkfs.xfs', '-q', '-m', 'reflink=1', disk)
        outer, self.folder = self.folder, self.folder / 'xfs'
        self.folder.mkdir()
        run('mount', '-o', 'loop', disk, self.folder)
        self.addCleanup(run, 'umount', self.folder)
        content = os.urandom(3 << 20) + b'the end'
        tars = [imageset.tar((imageset.make('large'), content), (imageset.make('small'), b'x' * 3000)),
                imageset.tar((imageset.make('d/sparse'), bytes(1 << 20) + content + bytes(5 << 20)))]
        root, lost, _ = self.presented(tars, copied='clone')
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

    def compare_as_user(self, name):
        tars = imageset.layers(name)
        root, lost, first = self.presented(tars, user=USER, group=USER, extra_groups=[])
        program = treelist.build(self.folder)
        ours = {path: overridden(e) for path, e in treelist.entries(program, root).items()}
        theirs = treelist.entries(program, self.unpacked(name, tars))
        known = imageset.is_known(name)
        links = [e for e in theirs.values() if e.type == 'l' and (e.uid != '0' or e.gid != '0')]

        def of_a_symlink(path, field, a, b):
            return a is not None and field in ('uid', 'gid', 'xattrs') and theirs[path].type == 'l'
        self.assertEqual(treelist.differences(
            ours, theirs, lambda *d: of_a_symlink(*d) or known(*d)), [])
        self.assertEqual(lost > 0, bool(links), first)
        if links:
            self.assertRegex(first, '^owner of ')


def add_test(name):
    leaf = name.replace('-', '_')
    setattr(Directory, f'test_{leaf}', lambda self: self.compare(name))
    setattr(Directory, f'test_{leaf}_as_user', lambda self: self.compare_as_user(name))


for name in imageset.IMAGES:
    add_test(name)

if __name__ == '__main__':
    tap.main()
