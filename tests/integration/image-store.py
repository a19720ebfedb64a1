#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The image store under everything that happens to it: company, damage, kills, a full disk, gc and rmi."""
import concurrent.futures
import os
import pathlib
import re
import resource
import shutil
import socket
import struct
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'support'))
import badregistry
import ocilayout
import storetest
import tap
from badregistry import first

KILLS = 200


def layers(*seeds, size=20000):
    """One tar a seed: a file with content of its own, and a small one."""
    return [ocilayout.tar(('d', None), (f'd/{seed}', seed.encode() * (size // len(seed))), (f'{seed}.small', b'x'))
            for seed in seeds]


class Registry(storetest.StoreTest):
    """Layers from a registry, and who fetches them."""

    def setUp(self):
        super().setUp()
        self.server = badregistry.BadRegistry()
        self.addCleanup(self.server.close)

    def serve(self, tag, image):
        self.server.blobs.update(image.blobs)
        self.server.tags[tag] = (image.manifest, ocilayout.MANIFEST)
        return f'{self.server.address}/some/app:{tag}'

    def layer_blobs(self, image):
        return [d for d in image.blobs if image.blobs[d][:2] == b'\x1f\x8b']

    def hold(self, image, seconds, times=None):
        for blob in self.layer_blobs(image):
            send = badregistry.slowly(image.blobs[blob], seconds)
            self.server.hooks.append((blob, first(times, send) if times else send))

    def fetched(self, image):
        return [self.server.count(blob) for blob in self.layer_blobs(image)]

    def test_layers_come_at_once(self):
        image = ocilayout.Image(layers('a', 'b', 'c', 'd'))
        name = self.serve('t', image)
        self.hold(image, 1.5)
        self.environment = {'PULL_TOOL_JOBS': '4'}
        start = time.monotonic()
        files = self.content(self.pull_good(name))
        self.assertLess(time.monotonic() - start, 4.5)
        self.assertEqual({f for f in files if f.startswith('d/')}, {'d/a', 'd/b', 'd/c', 'd/d'})
        self.assertEqual(self.fetched(image), [1, 1, 1, 1])
        self.assert_whole()

    def test_one_at_a_time_is_the_same(self):
        image = ocilayout.Image(layers('a', 'b', 'c'))
        name = self.serve('t', image)
        one = self.pull_good(name)
        self.environment = {'PULL_TOOL_JOBS': '1'}
        other = self.pull_good(name, store='other')
        self.assertEqual(pathlib.Path(one).read_bytes(), pathlib.Path(other).read_bytes())

    def test_first_failure_ends_the_others(self):
        image = ocilayout.Image(layers('a', 'b', 'c'))
        name = self.serve('t', image)
        blobs = self.layer_blobs(image)
        self.server.hooks = [(blobs[1], badregistry.always(403))]
        for blob in (blobs[0], blobs[2]):
            self.server.hooks.append((blob, badregistry.slowly(image.blobs[blob], 60)))
        self.environment = {'PULL_TOOL_JOBS': '3'}
        start = time.monotonic()
        self.assertRegex(self.pull_bad(name), rf'layer 2 of 3: {blobs[1]}: .*403')
        self.assertLess(time.monotonic() - start, 10)

    def test_cancel_reaches_every_layer(self):
        image = ocilayout.Image(layers('a', 'b', 'c', 'd'))
        name = self.serve('t', image)
        self.hold(image, 60)
        self.environment = {'PULL_TOOL_JOBS': '4'}
        start = time.monotonic()
        self.assertIn('cancelled', self.pull_bad(name, cancel=12))
        self.assertLess(time.monotonic() - start, 10)

    def test_progress_names_every_layer(self):
        image = ocilayout.Image(layers('a', 'b', 'c'))
        name = self.serve('t', image)
        self.hold(image, 1)
        reports = self.pull(name, progress=True).stderr.splitlines()
        for number in (1, 2, 3):
            mine = [r.split()[3] for r in reports if r.startswith(f'progress 1 {number}/3 ')]
            done, total = mine[-1].split('/')
            self.assertEqual(done, total, mine)

    def test_layer_of_two_images_is_fetched_once(self):
        shared = layers('shared')
        one, two = ocilayout.Image(shared + layers('one')), ocilayout.Image(shared + layers('two'))
        names = [self.serve('one', one), self.serve('two', two)]
        blob = next(b for b in one.blobs if b in two.blobs and one.blobs[b][:2] == b'\x1f\x8b')
        self.server.hooks.append((blob, badregistry.slowly(one.blobs[blob], 1)))
        processes = [self.start(name) for name in names]
        self.assertEqual([p.communicate() and p.returncode for p in processes], [0, 0])
        self.assertEqual(self.server.count(blob), 1)
        self.assert_whole()
        sizes = {line[0]: [int(n) for n in line[-2:]] for line in self.act('--list')[:-1]}
        total = int(self.act('--list')[-1][1])
        (size1, unique1), (size2, unique2) = sizes[names[0]], sizes[names[1]]
        self.assertEqual(size1 - unique1, size2 - unique2)
        self.assertEqual(total, size1 + unique2)

    def test_layer_that_occurs_twice_is_fetched_once(self):
        image = ocilayout.Image(layers('a') + layers('b') + layers('a'))
        name = self.serve('t', image)
        root = self.pull_good(name)
        self.assertEqual(self.content(root)['d/a'], b'a' * 20000)
        self.assertEqual(self.fetched(image), [1, 1])
        self.assert_whole()

    def test_wrong_digest_is_fetched_once_more(self):
        image = ocilayout.Image(layers('a'))
        name = self.serve('t', image)
        blob, = self.layer_blobs(image)
        bad = bytes(len(image.blobs[blob]))
        self.server.hooks = [(blob, first(1, badregistry.always(200, bad)))]
        self.pull_good(name)
        self.assertEqual(self.server.count(blob), 2)
        self.clear_store()
        self.server.requests.clear()
        self.server.hooks = [(blob, badregistry.always(200, bad))]
        self.assertIn(f'layer 1 of 1: {blob}: ', self.pull_bad(name))
        self.assertEqual(self.server.count(blob), 2)

    def test_layers_of_a_pull_that_was_broken_off_are_kept(self):
        image = ocilayout.Image(layers('a', 'b'))
        name = self.serve('t', image)
        blobs = self.layer_blobs(image)
        self.environment = {'PULL_TOOL_JOBS': '1'}
        self.server.hooks = [(blobs[1], badregistry.always(500))]
        self.pull_bad(name)
        self.server.hooks = []
        self.pull_good(name)
        self.assertEqual(self.server.count(blobs[0]), 1)
        # A bad image leaves nothing.
        self.clear_store()
        self.server.hooks = [(blobs[1], badregistry.always(200, b'x' * len(image.blobs[blobs[1]])))]
        self.pull_bad(name)
        self.assertEqual(os.listdir(os.path.join(self.base, 'store', 'layers')), [])

    def test_room_is_asked_for_before_the_download(self):
        def change(manifest, _):
            manifest['layers'][0]['size'] = 1 << 52
        image = ocilayout.Image(layers('a'), change=change)
        name = self.serve('t', image)
        self.assertRegex(self.pull_bad(name), r'have 4503599627370496 bytes, and \d+ are free in .*No space left')
        self.assertEqual(self.fetched(image), [0])

    def test_number_of_layers_has_a_limit(self):
        for n, good in ((511, True), (512, False)):
            with self.subTest(n):
                name = self.serve('t', ocilayout.Image([ocilayout.tar((f'{i}', b'')) for i in range(n)]))
                if good:
                    self.pull_good(name, 'always')
                else:
                    self.assertIn('the image has 512 layers, the limit is 511', self.pull_bad(name, 'always'))


class Damage(storetest.StoreTest):
    """Whatever was done to a file is found, never used, and mended by the next pull."""

    def setUp(self):
        super().setUp()
        self.images_made = ocilayout.Image(layers('a', 'b'))
        self.folder_made = self.layout(t=self.images_made)
        self.name = f'oci:{self.folder_made}:t'
        self.root = self.pull_good(self.name)
        self.good = self.content(self.root)

    def files(self):
        top = pathlib.Path(self.base, 'store')
        return [p for place in ('layers', 'images') for p in sorted((top / place).rglob('*'))
                if p.is_file() and p.name != 'used']      # which holds nothing

    def file_of_use(self):
        return pathlib.Path(self.base, 'store', 'images', *self.images(), 'used')

    def flip(self, path):
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        with open(path, 'r+b') as f:
            f.write(data)

    def files_of_names(self):
        return sorted(pathlib.Path(self.base, 'store', 'refs').iterdir())

    def in_its_place(self, make):
        def damage(path):
            path.unlink()
            make(path)
            if self.user is not None:
                os.chown(path, self.user, self.user, follow_symlinks=False)
        return damage

    def others(self):
        """What is no regular file."""
        target = pathlib.Path(self.base, 'not-ours')
        target.write_text('stays')

        def folder(path):
            (path / 'sub').mkdir(parents=True)
            (path / 'sub' / 'file').write_text('x')
            (path / 'link').symlink_to(target)
            if self.user is not None:
                subprocess.run(['chown', '-hR', f'{self.user}:{self.user}', path], check=True)

        def listen(path):
            with socket.socket(socket.AF_UNIX) as s:
                s.bind(f'/proc/self/fd/{self.folder_fd(path.parent)}/{path.name}')
        return [(what, self.in_its_place(make)) for what, make in
                (('folder', folder), ('link', lambda p: p.symlink_to(target)), ('FIFO', os.mkfifo),
                 ('link to nothing', lambda p: p.symlink_to('nothing')), ('socket', listen))]

    def folder_fd(self, path):
        """Its name is short enough for a socket's address."""
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        self.addCleanup(os.close, fd)
        return fd

    def test_what_is_no_file_is_removed_and_made_anew(self):
        for path in [*self.files(), *self.files_of_names(), self.file_of_use()]:
            for what, damage in self.others():
                with self.subTest(f'{path.name[-20:]} {what}'):
                    damage(path)
                    self.assertEqual(self.content(self.pull_good(self.name)), self.good)
                    self.assertTrue(path.is_file() and not path.is_symlink())
                    self.assert_whole()
                    self.assertEqual(pathlib.Path(self.base, 'not-ours').read_text(), 'stays')

    def test_remains_that_are_no_files_go_with_a_gc(self):
        name = 'sha256-' + '0' * 64
        for end in ('ok', 'data', 'index'):
            path = pathlib.Path(self.base, 'store', 'layers', f'{name}.{end}')
            for what, damage in self.others():
                with self.subTest(f'{end} {what}'):
                    path.touch()
                    damage(path)
                    self.assertEqual([line[0] for line in self.act('--gc')], ['litter'])
                    self.assert_whole()

    def test_image_that_is_no_folder_is_made_anew(self):
        path = pathlib.Path(self.base, 'store', 'images', *self.images())
        for what, damage in self.others()[1:]:
            with self.subTest(what):
                shutil.rmtree(path)
                path.touch()
                damage(path)
                self.act('--list')
                self.assertEqual(self.content(self.pull_good(self.name)), self.good)
                self.assert_whole()

    def damages(self):
        return (('flipped', self.flip), ('truncated', lambda p: os.truncate(p, p.stat().st_size - 1)),
                ('emptied', lambda p: os.truncate(p, 0)), ('longer', lambda p: os.truncate(p, p.stat().st_size + 4096)),
                ('removed', lambda p: p.unlink()))

    def test_every_file_in_every_way(self):
        for path in self.files():
            for what, damage in self.damages():
                with self.subTest(f'{path.name[-20:]} {what}'):
                    damage(path)
                    self.assertEqual(self.content(self.pull_good(self.name)), self.good)
                    self.assert_whole()

    def test_never_tells_and_boots_nothing(self):
        for path in self.files():
            mends_itself = path.name.startswith('root.')
            with self.subTest(path.name[-20:]):
                self.flip(path)
                if mends_itself:
                    self.assertEqual(self.content(self.pull_good(self.name, 'never')), self.good)
                else:
                    self.assertRegex(self.pull(self.name, 'never').stderr,
                                     'not whole in the image store, and pulling is forbidden: .*damaged')
                self.pull_good(self.name)

    def test_touched_files_are_read_and_kept(self):
        before = {p: p.read_bytes() for p in self.files() if p.suffix in ('.data', '.index', '.erofs')}
        for path in before:
            os.utime(path)
        shutil.rmtree(self.folder_made)
        self.assertEqual(self.content(self.pull_good(self.name, 'never')), self.good)
        self.assertEqual({p: p.read_bytes() for p in before}, before)
        self.assert_whole()

    def test_copied_store_is_read_and_kept(self):
        shutil.rmtree(self.folder_made)
        subprocess.run(['cp', '-r', f'{self.base}/store', f'{self.base}/copy'], check=True)
        if self.user is not None:
            subprocess.run(['chown', '-R', str(self.user), f'{self.base}/copy'], check=True)
        self.assertEqual(self.content(self.pull_good(self.name, 'never', store='copy')), self.good)
        self.assert_whole('copy')

    def test_damaged_name_is_asked_for_again(self):
        ref, = pathlib.Path(self.base, 'store', 'refs').iterdir()
        ref.write_bytes(b'{')
        self.assertIn('not in the image store', self.pull_bad(self.name, 'never'))
        self.pull_good(self.name)
        self.pull_good(self.name, 'never')

    def test_store_of_another_release_is_told(self):
        pathlib.Path(self.base, 'store', 'image-store-version').write_text('9\n')
        error = self.pull_bad(self.name)
        self.assertIn('purge the store', error)
        command = re.search("cd '.*$", error).group(0)
        subprocess.run(['sh', '-c', command], check=True)
        self.assertEqual(self.content(self.pull_good(self.name)), self.good)


    def stamp(self, record, *files):
        """Writes the inode, size and times of the files into their record, as if nobody had touched them."""
        data = bytearray(record.read_bytes())
        for i, file in enumerate(files):
            if file.exists():
                st = file.stat()
                struct.pack_into('<Qqq', data, 32 + 40 * i, st.st_ino, st.st_mtime_ns, st.st_ctime_ns)
        data[-8:] = struct.pack('<Q', storetest.crc64(bytes(data[:-8])))
        with open(record, 'r+b') as f:
            f.write(data)

    def hide(self, path):
        """Makes a changed file look untouched."""
        if path.suffix in ('.data', '.index'):
            self.stamp(path.with_suffix('.ok'), path.with_suffix('.data'), path.with_suffix('.index'))
        elif path.suffix == '.erofs':
            self.stamp(path.with_suffix('.ok'), path)

    def kinds(self):
        return [line[0] for line in self.act('--gc', 'verify')]

    def kind_of(self, path):
        if path.parent.name == 'layers':
            return 'damaged-layer'
        return 'damaged-root' if path.name.startswith('root.') else 'damaged-image'

    def test_every_file_is_read_by_a_verifying_gc(self):
        self.assertEqual(self.kinds(), [])
        for path in self.files():
            with self.subTest(path.name[-20:]):
                times = path.stat()
                self.flip(path)
                os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
                self.hide(path)
                # Without its documents an image has no layers.
                gone = [kind for kind in self.kinds() if kind != 'layer']
                self.assertEqual(gone, [self.kind_of(path)])
                self.assertEqual(self.kinds(), ['name'] if gone == ['damaged-image'] else [])
                self.assertEqual(self.content(self.pull_good(self.name)), self.good)
                self.assert_whole()

    def test_damage_that_a_vm_uses_is_left_and_named(self):
        self.environment = {'PULL_TOOL_HOLD': '1'}
        holder = self.start(self.name, stdin=subprocess.PIPE)
        self.assertTrue(holder.stdout.readline().endswith('root.erofs\n'))
        self.environment = {}
        image, = self.images()
        for path in self.files():
            if path.suffix in ('.data', '.erofs'):
                with self.subTest(path.name[-20:]):
                    before = path.read_bytes()
                    self.flip(path)
                    self.assertEqual([line[:2] for line in self.act('--gc', 'verify')],
                                     [['kept-damaged', f'sha256:{image}']])
                    with open(path, 'r+b') as f:
                        f.write(before)
        holder.communicate('')
        self.assertEqual(self.kinds(), [])
        self.assert_whole()


class Keep(storetest.StoreTest):
    """Which images go when not all can stay."""

    def setUp(self):
        super().setUp()
        shared = layers('shared')
        folder = self.layout(**{tag: ocilayout.Image(shared + layers(tag)) for tag in 'abc'})
        self.names = [f'oci:{folder}:{tag}' for tag in 'abc']
        for name in self.names:
            self.pull_good(name)
        for hours, name in enumerate(reversed(self.names), 1):
            self.set_age(name, hours * 3600 - 60)

    def folder_of(self, name):
        digest, = [line[2] for line in self.act('--list')[:-1] if line[0] == name]
        return pathlib.Path(self.base, 'store', 'images', digest.removeprefix('sha256:'))

    def set_age(self, name, seconds):
        os.utime(self.folder_of(name) / 'used', (time.time() - seconds,) * 2)

    def left(self):
        return [line[0] for line in self.act('--list')[:-1]]

    def total(self):
        return int(self.act('--list')[-1][1])

    def test_least_recently_used_go_first(self):
        self.assertEqual(self.act('--gc', f'keep={self.total()}'), [])
        self.assertEqual([line[0] for line in self.act('--gc', f'keep={self.total() - 1}')], ['name', 'image', 'layer'])
        self.assertEqual(self.left(), self.names[1:])
        self.assertEqual([line[0] for line in self.act('--gc', 'keep=1')],
                         ['name', 'image', 'name', 'image', 'layer', 'layer', 'layer'])
        self.assertEqual(self.total(), 0)
        self.assert_whole()

    def test_a_start_counts_as_use(self):
        self.pull_good(self.names[0], 'never')
        self.act('--gc', f'keep={self.total() - 1}')
        self.assertEqual(self.left(), [self.names[0], self.names[2]])
        self.assertEqual(self.act('--gc', 'older=3600'), [])
        self.set_age(self.names[2], 3660)
        self.act('--gc', 'older=3600')
        self.assertEqual(self.left(), self.names[:1])
        self.assert_whole()

    def test_without_a_stamp_the_time_of_making_counts(self):
        for name in self.names:
            (self.folder_of(name) / 'used').unlink()
        self.assertEqual(self.act('--gc', 'older=3600'), [])
        os.utime(self.folder_of(self.names[1]) / 'manifest.json', (time.time() - 7200,) * 2)
        self.act('--gc', 'older=3600')
        self.assertEqual(self.left(), [self.names[0], self.names[2]])
        self.assert_whole()


class Removal(storetest.StoreTest):
    def test_image_in_use_is_kept(self):
        name = f'oci:{self.layout(t=ocilayout.Image(layers("a")))}:t'
        self.environment = {'PULL_TOOL_HOLD': '1'}
        holder = self.start(name, stdin=subprocess.PIPE)
        self.assertTrue(holder.stdout.readline().endswith('root.erofs\n'))
        self.assertEqual([line[0] for line in self.act('--gc', 'all')], ['kept'])
        self.assertIn('uses the image', self.run_tool('--remove', name).stderr)
        self.assertEqual([line[0] for line in self.act('--remove', name, 'force')], ['name'])
        self.assertEqual([line[0] for line in self.act('--gc')], ['kept'])
        self.assert_records()
        holder.communicate('')
        self.assertEqual(sorted(line[0] for line in self.act('--gc')), ['image', 'layer'])
        self.assert_whole()

    def test_name_of_an_image_that_is_gone_is_removed(self):
        name = f'oci:{self.layout(t=ocilayout.Image(layers("a")))}:t'
        self.pull_good(name)
        shutil.rmtree(os.path.join(self.base, 'store', 'images', *self.images()))
        self.assertEqual([line[0] for line in self.act('--remove', name)], ['name'])
        self.assertIn('not in the image store', self.run_tool('--remove', name).stderr)

    def assert_records(self):
        records = list(pathlib.Path(self.base, 'store', 'layers').glob('*.ok'))
        self.assertEqual(len(records), 1)
        self.check_record(records[0], records[0].with_suffix('.data'), records[0].with_suffix('.index'))

    def test_rmi_keeps_what_others_need(self):
        shared = layers('shared')
        folder = self.layout(a=ocilayout.Image(shared + layers('a')), b=ocilayout.Image(shared + layers('b')))
        for tag in 'ab':
            self.pull_good(f'oci:{folder}:{tag}')
        self.assertEqual([line[0] for line in self.act('--remove', f'oci:{folder}:a')], ['name', 'image', 'layer'])
        self.assertEqual(self.content(self.pull_good(f'oci:{folder}:b', 'never'))['d/shared'][:6], b'shared')
        self.assert_whole()
        self.assertEqual([line[0] for line in self.act('--gc')], [])
        self.assertIn('not in the image store', self.run_tool('--remove', f'oci:{folder}:a').stderr)


class Kills(storetest.StoreTest):
    """SIGKILL at moments spread over all of it."""

    def image_of(self, *seeds):
        return f'oci:{self.layout(t=ocilayout.Image(layers(*seeds)))}:t'

    def kill_after(self, delay, *arguments):
        process = self.start(*arguments)
        try:
            process.wait(delay)
        except subprocess.TimeoutExpired:
            process.kill()
        process.communicate()
        return process.returncode < 0

    def duration(self, *arguments):
        start = time.monotonic()
        self.act(*arguments) if arguments[0].startswith('--') else self.pull_good(*arguments)
        return time.monotonic() - start

    def test_pull(self):
        name = self.image_of('a', 'b', 'c', 'd')
        whole = self.duration(name)
        for _ in range(4):      # a busy machine is slow now and then
            self.clear_store()
            whole = min(whole, self.duration(name))
        killed, dead = 0, True
        for i in range(KILLS):
            if i % 4 == 0 or not dead:      # a pull that ended left nothing to do for the next
                self.clear_store()
            dead = self.kill_after(whole * i / KILLS, name)
            killed += dead
            if i % 4 == 3:
                self.assertEqual(self.pull(name).stderr, '')
                self.act('--gc')
                self.assert_whole()
        self.assertGreater(killed, KILLS // 2)

    def test_gc(self):
        names = [self.image_of(seed, 'shared') for seed in ('a', 'b', 'c')]

        def fill():
            for name in names:
                self.assertEqual(self.pull(name).stderr, '')
        fill()
        whole = self.duration('--gc', 'all')
        killed = 0
        for i in range(KILLS):
            if i % 2 == 0:
                fill()
            killed += self.kill_after(whole * i / KILLS, '--gc', 'all')
            if i % 10 == 9:
                self.act('--gc')
                self.assert_whole()
        fill()
        self.act('--gc')
        self.assert_whole()
        self.assertGreater(killed, KILLS // 4)

    def test_gc_and_pulls_at_once(self):
        names = [self.image_of(seed, 'shared') for seed in ('a', 'b')]

        def pull_all(name):
            return [self.pull(name).stderr for _ in range(40)]
        with concurrent.futures.ThreadPoolExecutor(3) as pool:
            pulls = [pool.submit(pull_all, name) for name in names]
            while not all(p.done() for p in pulls):
                self.assertEqual(self.run_tool('--gc', 'all').returncode, 0)
            self.assertEqual({told for p in pulls for told in p.result()}, {''})
        self.act('--gc')
        self.assert_whole()


class FullDisk(storetest.StoreTest):
    def test_file_size_limit_half_way(self):
        name = f'oci:{self.layout(t=ocilayout.Image(layers("a", "b", size=300000)))}:t'
        limit = 100000

        def prepare():
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        result = subprocess.run(self.command(name), env=self.variables(), text=True, stdin=subprocess.DEVNULL,
                                capture_output=True, preexec_fn=prepare)
        self.assertNotEqual(result.returncode, 0)
        self.pull_good(name)
        self.act('--gc')
        self.assert_whole()

    def test_disk_that_fills_up(self):
        if os.geteuid() != 0:
            self.skipTest('needs root to mount')
        store = self.folder('store')
        # Compressed there is room, uncompressed there is none.
        name = f'oci:{self.layout(t=ocilayout.Image(layers("a", "b", size=3 << 20)))}:t'
        mounted = subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=4m', 'tmpfs', store], capture_output=True)
        if mounted.returncode != 0:
            self.skipTest('no tmpfs can be mounted here')
        self.addCleanup(subprocess.run, ['umount', store], check=True)
        self.assertIn('No space left on device', self.pull_bad(name))
        self.assertEqual(os.listdir(os.path.join(store, 'layers')), [])
        small = f'oci:{self.layout(t=ocilayout.Image(layers("c")))}:t'
        self.pull_good(small)
        self.assert_whole()


@unittest.skipIf(os.geteuid() != 0, 'this is an ordinary user already')
class DamageAsUser(Damage):
    user = storetest.USER


if __name__ == '__main__':
    tap.main()
