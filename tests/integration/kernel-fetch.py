#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""`microvm kernel fetch` where apt is missing, fails or hands over garbage. apt and dpkg are scripts here."""
import os
import pathlib
import shutil
import subprocess
import tempfile
import time
import unittest

import e2e
import tap

SHOW = '''cat <<END
Package: linux-image-cloud-amd64
Version: 6.1.9-1
Depends: linux-image-6.1.0-9-cloud-amd64 (= 6.1.9-1)
END
'''
DOWNLOAD = 'case " $* " in *" download "*) echo garbage >x.deb;; esac\n'


class Fetch(unittest.TestCase):
    def setUp(self):
        self.base = pathlib.Path(tempfile.mkdtemp(prefix='microvm-e2e-', dir='/tmp'))
        self.addCleanup(shutil.rmtree, self.base)
        self.bin = self.base / 'bin'
        self.bin.mkdir()
        for name in ('sh', 'cat', 'sleep', 'mkdir'):
            (self.bin / name).symlink_to(shutil.which(name))
        self.kernels = self.base / 'data' / 'cache' / 'kernels'
        self.calls = self.base / 'calls'
        self.env = {'PATH': str(self.bin), 'MICROVM_DATA_DIR': str(self.base / 'data'), 'CALLS': str(self.calls),
                    'HOME': str(self.base),
                    'ASAN_OPTIONS': os.environ.get('ASAN_OPTIONS', '')}

    def script(self, name, text):
        path = self.bin / name
        path.write_text('#!/bin/sh\n' + text)
        path.chmod(0o755)

    def start(self):
        return subprocess.Popen([e2e.find_program('microvm'), 'kernel', 'fetch'], env=self.env, text=True,
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def assert_refused(self, *words):
        process = self.start()
        out, err = process.communicate(timeout=e2e.TIMEOUT)
        self.assertEqual((process.returncode, out), (125, ''), err)
        last = err.splitlines()[-1]
        self.assertRegex(last, r'\Amicrovm: fetch a guest kernel: ', err)
        for word in words:
            self.assertIn(word, last)
        self.assertEqual([p.name for p in self.kernels.iterdir()], ['.lock'])

    def test_missing_apt_is_named(self):
        self.assert_refused("Debian's package tools are needed", 'apt-get')

    def test_lists_that_fail_give_apts_reason(self):
        self.script('apt-get', 'echo "E: the mirror is down" >&2; exit 100\n')
        self.script('apt-cache', 'exit 100\n')
        self.assert_refused('linux-image-cloud-amd64', 'the mirror is down')

    def test_sources_without_the_package_are_told(self):
        self.script('apt-get', '')
        self.script('apt-cache', 'exit 100\n')
        self.assert_refused('no signed package source', 'linux-image-cloud-amd64')

    def test_metapackage_that_makes_no_sense_is_refused(self):
        self.script('apt-get', '')
        for text in ('echo hello', 'echo "Depends: bash (= 5)"', 'echo "Depends: linux-image-x"',
                     'echo "Depends: linux-image-x (= ../../etc)"'):
            with self.subTest(text):
                self.script('apt-cache', text + '\n')
                self.assert_refused('linux-image-cloud-amd64: the metapackage')

    def test_download_that_fails_or_leaves_nothing(self):
        self.script('apt-cache', SHOW)
        self.script('apt-get', 'case " $* " in *" download "*) echo "E: no space" >&2; exit 100;; esac\n')
        self.assert_refused('download linux-image-6.1.0-9-cloud-amd64', 'no space')
        self.script('apt-get', '')
        self.assert_refused('left no package')

    def test_package_that_is_garbage(self):
        self.script('apt-cache', SHOW)
        self.script('apt-get', DOWNLOAD)
        self.script('dpkg-deb', 'echo "dpkg-deb: error: not a Debian archive" >&2; exit 2\n')
        self.assert_refused('not a Debian archive')
        # Unpacked, but with something else in it.
        self.script('dpkg-deb', 'mkdir "$3/boot"\n')
        self.assert_refused('there is no boot/vmlinuz-<release>')
        self.script('dpkg-deb', 'mkdir "$3/boot"; echo no >"$3/boot/vmlinuz-1"\n')
        self.assert_refused('no boot image')

    def test_what_a_killed_fetch_left_is_removed(self):
        (self.kernels / '.fetch-old' / 'tree').mkdir(parents=True)
        self.assert_refused('apt-get')

    def test_second_fetch_waits_for_the_first(self):
        self.script('apt-cache', SHOW)
        self.script('apt-get', 'case " $* " in *" update "*) echo begin >>"$CALLS"; sleep 1; echo end >>"$CALLS";; '
                    '*) exit 1;; esac\n')
        first = self.start()
        deadline = time.monotonic() + e2e.TIMEOUT
        while not self.calls.exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        second = self.start()
        texts = [p.communicate(timeout=e2e.TIMEOUT)[1] for p in (first, second)]
        self.assertIn('another fetch is under way: waiting for it', texts[1])
        # Never both at once.
        self.assertEqual(self.calls.read_text().split(), ['begin', 'end', 'begin', 'end'])
        self.assertEqual([p.name for p in self.kernels.iterdir()], ['.lock'])


if __name__ == '__main__':
    tap.main()
