#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Images from OCI layouts on disk: names and tags, layouts that are wrong, what ends up in the root filesystem; as
who runs the tests, and, for root, as an ordinary user too."""
import json
import os
import pathlib
import shutil
import stat
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'support'))
import ocilayout
import storetest
import tap

CHAR, DIRECTORY, SYMLINK, HARDLINK, FIFO = b'3', b'5', b'2', b'1', b'6'


class Layout(storetest.StoreTest):
    def test_sole_entry_needs_no_tag(self):
        folder = self.layout(anything=self.image())
        path = self.pull_good(f'oci:{folder}')
        self.assertEqual(self.pull_good(f'oci:{folder}:anything'), path)
        self.assertEqual(self.content(path)['f'], b'content')

    def test_latest_or_a_list_of_tags(self):
        one, two = self.image(), self.image()
        self.assertEqual(self.pull_good(f'oci:{self.layout(other=one, latest=two)}').split('/')[-2],
                         ocilayout.digest(two.manifest).split(':')[1])
        error = self.pull_bad(f'oci:{self.layout(alpha=one, beta=two)}')
        self.assertIn("The layout's tags are alpha, beta", error)
        error = self.pull_bad(f'oci:{self.layout(alpha=one, beta=two)}:gamma')
        self.assertIn("no tag 'gamma' in the layout; there is alpha, beta", error)

    def test_tag_of_several_platforms(self):
        mine = ocilayout.Image([ocilayout.tar(('which', b'mine'))])
        other = ocilayout.Image([ocilayout.tar(('which', b'other'))], architecture=ocilayout.FOREIGN)
        folder = ocilayout.write(self.folder('multi'), {**mine.blobs, **other.blobs},
                                 [ocilayout.tagged(i.descriptor, 't') for i in (other, mine)])
        self.assertEqual(self.content(self.pull_good(f'oci:{folder}:t'))['which'], b'mine')
        path = self.pull_good(f'oci:{folder}:t', 'missing', f'linux/{ocilayout.FOREIGN}')
        self.assertEqual(self.content(path)['which'], b'other')

    def test_layout_made_anew_is_seen(self):
        folder = self.layout(t=ocilayout.Image([ocilayout.tar(('f', b'1'))]))
        first = self.pull_good(f'oci:{folder}:t')
        ocilayout.write_images(folder, t=ocilayout.Image([ocilayout.tar(('f', b'2'))]))
        self.assertEqual(self.pull_good(f'oci:{folder}:t', 'never'), first)
        self.assertNotEqual(self.pull_good(f'oci:{folder}:t'), first)

    def test_never_works_without_the_layout(self):
        folder = self.layout(t=self.image())
        path = self.pull_good(f'oci:{folder}:t')
        shutil.rmtree(folder)
        self.assertEqual(self.pull_good(f'oci:{folder}:t', 'never'), path)
        self.assertIn('open the folder', self.pull_bad(f'oci:{folder}:t'))

    def test_two_ways_to_a_layout_are_one_name(self):
        folder = self.layout(t=self.image())
        os.symlink(folder, os.path.join(self.base, 'link'))
        self.pull_good(f'oci:{folder}:t')
        self.pull_good(f'oci:{self.base}/link:t')
        self.pull_good(f'oci:{self.base}/./link/../{os.path.basename(folder)}:t')
        self.assertEqual(len(self.act('--list')), 2)

    def test_names_that_are_refused(self):
        for name, words in (('oci:', 'no folder is named'), (f'oci:{self.base}:', 'the tag is empty'),
                            (f'oci:{self.base}/nowhere', 'open the folder'),
                            (f'oci:{self.base}', 'not an OCI layout'), ('oci:/etc/passwd', 'open the folder'),
                            ('oci-archive:', 'no file is named'), ('docker-archive:x:', 'the tag is empty'),
                            ('docker-archive:x:UPPER', 'UPPER'), ('docker-daemon:', 'reference')):
            with self.subTest(name):
                self.assertIn(words, self.pull_bad(name))

    def broken(self, name, change):
        folder = self.layout(t=self.image())
        change(pathlib.Path(folder))
        return self.pull_bad(f'oci:{folder}:t')

    def test_layouts_that_are_refused(self):
        def put(name, text):
            return lambda folder: (folder / name).write_bytes(text)

        def blobs(folder):
            return sorted((folder / 'blobs/sha256').iterdir(), key=lambda p: p.stat().st_size)

        def replace(which, make):
            def change(folder):
                path = blobs(folder)[which]
                path.unlink()
                make(path)
            return change

        cases = (('version', put('oci-layout', b'{"imageLayoutVersion":"2.0.0"}'), "'2.0.0' is not 1.0.0"),
                 ('no version', put('oci-layout', b'{}'), "'imageLayoutVersion' is missing"),
                 ('not JSON', put('index.json', b'<'), 'index.json: manifest: not JSON'),
                 ('a manifest', put('index.json', b'{"schemaVersion":2,"layers":[]}'), 'not those of its media type'),
                 ('no entry', put('index.json', ocilayout.index()), "no tag 't' in the layout; there is none"),
                 ('layer gone', replace(-1, lambda p: None), 'layer 1 of 1: sha256:'),
                 ('layer short', lambda f: os.truncate(blobs(f)[-1], 812), ': 812 bytes, manifest says 1'),
                 ('layer long', lambda f: os.truncate(blobs(f)[-1], 1 << 20), ': 1048576 bytes, manifest says 1'),
                 ('layer is a link', replace(-1, lambda p: p.symlink_to('/etc/passwd')), 'open'),
                 ('layer is a FIFO', replace(-1, lambda p: os.mkfifo(p)), 'not a regular file'),
                 ('layer is a folder', replace(-1, lambda p: p.mkdir()), 'not a regular file'))
        for name, change, words in cases:
            with self.subTest(name):
                self.assertIn(words, self.broken(name, change))

    def test_layer_with_another_content_is_refused(self):
        def flip(folder):
            path = max((folder / 'blobs/sha256').iterdir(), key=lambda p: p.stat().st_size)
            data = bytearray(path.read_bytes())
            data[len(data) // 2] ^= 1
            path.write_bytes(data)
        self.assertRegex(self.broken('flipped', flip), r'layer 1 of 1: sha256:\w{64}: .*(digest|checksum|malformed)')

    def attributes(self):
        info = ocilayout.entry
        return ocilayout.Image([ocilayout.tar(
            (info('./', DIRECTORY, mode=0o751, mtime=86400), None),
            (info('closed', DIRECTORY, mode=0o555, uid=3, gid=4, mtime=1000000001), None),
            (info('closed/suid', mode=0o4755, uid=5, gid=6, mtime=1000000002.5, xattrs={'user.note': 'hello'}), b'x'),
            (info('closed/hidden', mode=0, mtime=7), b'nobody reads this'),
            (info('closed/deep', DIRECTORY, mode=0o000), None), ('closed/deep/f', b'below'),
            (info('sym', SYMLINK, '/closed/suid', mtime=1000000003), None),
            (info('hard', HARDLINK, 'closed/suid'), None),
            (info('pipe', FIFO, mode=0o622), None),
            (info('null', CHAR, mode=0o666, device=(1, 3)), None),
            (info('größe-e\u0301'), b'bytes'))])

    def test_attributes_are_in_the_image(self):
        path = self.pull_good(f'oci:{self.layout(t=self.attributes())}')
        inodes = {name: self.dump(path, name)
                  for name in ('/closed', '/closed/suid', '/closed/hidden', '/closed/deep/f')}
        self.assertIn('Timestamp: 2001-09-09 01:46:41', inodes['/closed'])
        self.assertIn('Timestamp: 2001-09-09 01:46:42.5', inodes['/closed/suid'])
        self.assertIn('Links: 2', inodes['/closed/suid'])
        self.assertIn('Size: 5 ', inodes['/closed/deep/f'])
        self.assertIn('Uid: 5   Gid: 6', inodes['/closed/suid'])
        content = self.content(path)
        self.assertEqual(content['closed/hidden'], b'nobody reads this')
        self.assertEqual(content['größe-e\u0301'], b'bytes')
        self.assertIn('null', content)
        with open(path, 'rb') as f:
            self.assertIn(b'hello', f.read())

    def test_mounted_image_is_what_the_layers_say(self):
        if os.geteuid() != 0:
            self.skipTest('needs root to mount')
        path = self.pull_good(f'oci:{self.layout(t=self.attributes())}')
        mount = self.folder('mount')
        done = subprocess.run(['mount', '-t', 'erofs', '-o', 'loop,ro', path, mount], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True)
        if done.returncode != 0:
            self.skipTest(f'no EROFS here: {done.stderr.strip()}')
        try:
            mode = {n: os.lstat(f'{mount}/{n}').st_mode & 0o7777
                    for n in ('.', 'closed', 'closed/suid', 'closed/hidden', 'closed/deep', 'pipe')}
            self.assertEqual(mode, {'.': 0o751, 'closed': 0o555, 'closed/suid': 0o4755, 'closed/hidden': 0,
                                    'closed/deep': 0, 'pipe': 0o622})
            self.assertEqual(os.readlink(f'{mount}/sym'), '/closed/suid')
            self.assertEqual(os.stat(f'{mount}/.').st_mtime, 86400)
            self.assertEqual(os.getxattr(f'{mount}/closed/suid', 'user.note'), b'hello')
            null = os.lstat(f'{mount}/null')
            self.assertTrue(stat.S_ISCHR(null.st_mode), null)
            self.assertEqual((os.major(null.st_rdev), os.minor(null.st_rdev)), (1, 3))
            owner = os.lstat(f'{mount}/closed/suid')
            self.assertEqual((owner.st_uid, owner.st_gid), (5, 6))
        finally:
            subprocess.run(['umount', mount], check=True)

    def test_same_layers_give_the_same_bytes(self):
        folder = self.layout(t=self.attributes())
        one = self.pull_good(f'oci:{folder}', store='one')
        time.sleep(1.1)
        two = self.pull_good(f'oci:{folder}', store='two')
        self.assertEqual(pathlib.Path(one).read_bytes(), pathlib.Path(two).read_bytes())

    def test_cancel_while_the_image_is_built(self):
        tar = ocilayout.tar(*((f'd{i % 50}/f{i}', b'x' * 2000) for i in range(1000)))
        folder = self.layout(t=ocilayout.Image([tar], ocilayout.plain))
        self.environment = {'PULL_TOOL_CANCEL_BUILD': '1'}
        self.assertIn('cancelled', self.pull_bad(f'oci:{folder}'))
        self.environment = {}
        self.pull_good(f'oci:{folder}')
        self.assert_whole()

    def test_killed_while_unpacking_leaves_nothing_running(self):
        tar = ocilayout.tar(*((f'd{i % 50}/f{i}', b'x' * 2000) for i in range(20000)))
        folder = self.layout(t=ocilayout.Image([tar], ocilayout.plain))
        for delay in (0.05, 0.3, 0.6, 0.9):
            process = self.start(f'oci:{folder}')
            time.sleep(delay)
            process.kill()
            process.wait()
            deadline = time.monotonic() + 5
            while self.processes() and time.monotonic() < deadline:
                time.sleep(0.01)
            self.assertEqual(self.processes(), [])
        self.pull_good(f'oci:{folder}')

    def test_empty_images_and_layers(self):
        nothing = ocilayout.Image([])
        empty = ocilayout.Image([ocilayout.tar(), b'', ocilayout.tar(('f', b''))], ocilayout.plain)
        self.assertEqual(self.content(self.pull_good(f'oci:{self.layout(t=nothing)}')), {})
        self.assertEqual(self.content(self.pull_good(f'oci:{self.layout(t=empty)}')), {'f': b''})

    def test_list_has_what_was_pulled(self):
        self.assertEqual(self.act('--list'), [['total', '0']])
        image = self.image()
        folder = self.layout(b=image, a=self.image())
        self.pull_good(f'oci:{folder}:b')
        self.pull_good(f'oci:{folder}:a')
        lines = self.act('--list')
        self.assertEqual([line[0] for line in lines], [f'oci:{folder}:a', f'oci:{folder}:b', 'total'])
        self.assertEqual(lines[1][1:3], [f'linux/{ocilayout.ARCHITECTURE}', ocilayout.digest(image.manifest)])
        config = json.loads(pathlib.Path(self.base, 'store', 'images', lines[1][2].split(':')[-1],
                                         'config.json').read_text())
        self.assertEqual(config['config']['Cmd'], ['/bin/true'])

    def dump(self, image, name):
        return subprocess.run(['dump.erofs', f'--path={name}', image], check=True, capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, env={**os.environ, 'TZ': 'UTC'}).stdout


@unittest.skipIf(os.geteuid() != 0, 'this is an ordinary user already')
class LayoutAsUser(Layout):
    user = storetest.USER


if __name__ == '__main__':
    tap.main()
