# SPDX-License-Identifier: Apache-2.0
"""Tests of the image store through a small program, as the user who runs the tests and, for root, as an ordinary one.

MICROVM_PULL_TOOL is its path; else it is looked for in the build folder.
"""
import hashlib
import json
import os
import pathlib
import shutil
import struct
import subprocess
import tempfile
import time
import unittest
import uuid

import ocilayout

TOP = pathlib.Path(__file__).resolve().parents[2]
MARK = 'MICROVM_STORE_TEST'
TIMEOUT = 120
USER = 65534


def pull_tool():
    build = pathlib.Path(os.environ.get('MICROVM_BUILD', TOP / 'build'))
    return os.environ.get('MICROVM_PULL_TOOL') or str(build / 'tests' / 'support' / 'pull-tool')


class Root(str):
    """A root disk: the path of its first part, which has the names; the others follow it on the disk."""

    def __new__(cls, output):
        paths = output.splitlines()
        root = super().__new__(cls, paths[0])
        root.parts = paths
        return root


def crc64(data, crc=0):
    """CRC-64/XZ."""
    crc ^= (1 << 64) - 1
    for byte in data:
        crc = CRC_TABLE[(crc ^ byte) & 255] ^ crc >> 8
    return crc ^ (1 << 64) - 1


def crc_table():
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0xC96C5795D7870F42 if value & 1 else 0)
        table.append(value)
    return table


CRC_TABLE = crc_table()


class StoreTest(unittest.TestCase):
    user = None     # an id to become; None: who we are

    @classmethod
    def setUpClass(cls):
        cls.programs = tempfile.mkdtemp(prefix='store-programs-')
        cls.addClassCleanup(shutil.rmtree, cls.programs)
        os.chmod(cls.programs, 0o755)
        # Where an ordinary user reaches it.
        cls.tool = shutil.copy(pull_tool(), cls.programs)

    def setUp(self):
        self.base = tempfile.mkdtemp(prefix='store-test-')
        self.addCleanup(shutil.rmtree, self.base)
        if self.user is not None:
            os.chown(self.base, self.user, self.user)
        self.mark = uuid.uuid4().hex
        self.environment = {}
        self.layouts = 0

    def tearDown(self):
        self.assertEqual(self.processes(), [])

    # Making things

    def folder(self, name):
        path = os.path.join(self.base, name)
        os.makedirs(path, exist_ok=True)
        os.chmod(self.base, 0o755)
        return path

    def image(self):
        return ocilayout.Image([ocilayout.tar(('f', b'content'), ('d', None), ('d/random', os.urandom(100000)))])

    def layout(self, **images):
        self.layouts += 1
        return ocilayout.write_images(self.folder(f'layout-{self.layouts}'), **images)

    # Pulling

    def command(self, *arguments, store='store'):
        prefix = []
        if self.user is not None:
            prefix = ['setpriv', f'--reuid={self.user}', f'--regid={self.user}', '--clear-groups']
        return [*prefix, self.tool, os.path.join(self.base, store), *arguments]

    def variables(self, cancel=None, progress=False):
        env = {k: v for k, v in os.environ.items() if not k.lower().endswith('_proxy')}
        env.update(self.environment, **{MARK: self.mark}, HOME=self.base)
        if cancel:
            env['PULL_TOOL_CANCEL'] = str(cancel)
        if progress:
            env['PULL_TOOL_PROGRESS'] = '1'
        return env

    def run_tool(self, *arguments, cancel=None, progress=False, store='store'):
        return subprocess.run(self.command(*arguments, store=store), env=self.variables(cancel, progress), text=True,
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=TIMEOUT)

    def pull(self, name, *arguments, **options):
        return self.run_tool(name, *arguments, **options)

    def start(self, *arguments, stdin=subprocess.DEVNULL):
        return subprocess.Popen(self.command(*arguments), env=self.variables(), text=True, stdin=stdin,
                                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)

    def pull_good(self, name, *arguments, **options):
        """Gives the image's root disk."""
        result = self.pull(name, *arguments, **options)
        self.assertEqual((result.returncode, result.stderr), (0, ''), name)
        self.assert_clean(options.get('store', 'store'))
        return Root(result.stdout)

    def act(self, *arguments, **options):
        """What one of the tool's other verbs prints, as lists of words."""
        result = self.run_tool(*arguments, **options)
        self.assertEqual((result.returncode, result.stderr), (0, ''), arguments)
        return [line.split() for line in result.stdout.splitlines()]

    def pull_bad(self, name, *arguments, **options):
        """Gives the message, without its code."""
        before = self.images()
        result = self.pull(name, *arguments, **options)
        self.assertEqual((result.returncode, result.stdout), (125, ''), result.stderr)
        self.assertEqual(result.stderr.count('\n'), 1, result.stderr)
        self.assert_clean(options.get('store', 'store'))
        self.assertEqual(self.images(), before)
        return result.stderr.split(' ', 1)[1]

    # Looking

    def images(self, store='store'):
        path = pathlib.Path(self.base, store, 'images')
        return sorted(os.listdir(path)) if path.exists() else []

    def temporary(self, store='store'):
        path = pathlib.Path(self.base, store)
        return [n for n in os.listdir(path) if n.startswith('tmp-')] if path.exists() else []

    def processes(self):
        """Those of this test, wherever they are."""
        found = []
        for pid in filter(str.isdigit, os.listdir('/proc')):
            try:
                with open(f'/proc/{pid}/environ', 'rb') as f:
                    if f'{MARK}={self.mark}'.encode() in f.read().split(b'\0'):
                        found.append(int(pid))
            except OSError:
                pass
        return found

    def assert_clean(self, store='store'):
        """Nothing half made, no lock, no process."""
        self.assertEqual(self.temporary(store), [])
        locks = pathlib.Path(self.base, store, 'locks')
        self.assertEqual(os.listdir(locks) if locks.exists() else [], [])
        self.assertEqual(self.processes(), [])

    def clear_store(self):
        shutil.rmtree(os.path.join(self.base, 'store'))

    def wait_for(self, condition):
        deadline = time.monotonic() + TIMEOUT
        while not condition():
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.01)

    def content(self, image):
        """The files of a root disk: path to bytes, None for what is no regular file."""
        out = tempfile.mkdtemp(dir=self.base)
        with open(f'{out}/disk', 'wb') as disk:
            for part in image.parts:
                disk.write(pathlib.Path(part).read_bytes())
        subprocess.run(['fsck.erofs', f'--extract={out}/root', f'{out}/disk'], check=True, stdin=subprocess.DEVNULL,
                       stdout=subprocess.DEVNULL)
        files = {}
        for path, folders, leaves in os.walk(f'{out}/root'):
            for leaf in folders + leaves:
                full = os.path.join(path, leaf)
                regular = os.path.isfile(full) and not os.path.islink(full)
                files[os.path.relpath(full, f'{out}/root')] = pathlib.Path(full).read_bytes() if regular else None
        return files

    def check_record(self, record, *files):
        """That a record of sums is right for these files; one that does not exist has the size 0."""
        data = record.read_bytes()
        self.assertEqual((data[:8], len(data)), (b'mvmsums\x01', 24 + 40 * len(files)), record)
        self.assertEqual(struct.unpack('<Q', data[-8:])[0], crc64(data[:-8]), record)
        for i, file in enumerate(files):
            size, crc = struct.unpack_from('<QQ', data, 16 + 40 * i)
            content = file.read_bytes() if file.exists() else b''
            self.assertEqual((len(content), crc64(content)), (size, crc), file)

    def assert_whole(self, store='store'):
        """Every image has its documents and layers, every sum is right, and there is nothing else."""
        top = pathlib.Path(self.base, store)
        wanted = set()
        for image in (top / 'images').iterdir():
            manifest = (image / 'manifest.json').read_bytes()
            self.assertEqual(hashlib.sha256(manifest).hexdigest(), image.name)
            config = (image / 'config.json').read_bytes()
            self.assertEqual(json.loads(manifest)['config']['digest'], ocilayout.digest(config))
            wanted |= {d.replace(':', '-') for d in json.loads(config)['rootfs']['diff_ids']}
            self.check_record(image / 'root.ok', image / 'root.erofs')
            self.assertEqual({p.name for p in image.iterdir()} - {'used'},
                             {'manifest.json', 'config.json', 'root.erofs', 'root.ok'})
        self.assertEqual({p.name.split('.')[0] for p in (top / 'layers').iterdir()}, wanted)
        for layer in wanted:
            data, index, record = (top / 'layers' / f'{layer}.{end}' for end in ('data', 'index', 'ok'))
            self.check_record(record, data, index)
        self.assert_clean(store)
