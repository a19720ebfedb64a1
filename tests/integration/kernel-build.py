#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""`microvm kernel build` where something is missing, fails, is full or is interrupted. The source is a folder with a
Kconfig, make is a script that does what kbuild would; the real build is what the end-to-end tests boot."""
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

import e2e
import tap

NEEDED = ('sh', 'cat', 'sleep', 'mkdir', 'ld', 'flex', 'bison', 'bc', 'tar', 'xz', 'grep', 'gcc', 'cp', 'sed', 'touch')
FRAGMENTS = sorted((e2e.TOP / 'guest' / 'kernel').glob('*.config'))
VERSIONS = 'VERSION = 6\nPATCHLEVEL = 1\nSUBLEVEL = 9\n'
# kbuild in 20 lines: finds O=, and makes what the target is asked for; $VMLINUX is an ELF file with a PVH note.
MAKE = r'''
for word in "$@"; do case $word in O=*) out=${word#O=} ;; esac; target=$word; done
case $target in
allnoconfig)
    cp "$KCONFIG_ALLCONFIG" "$out/.config"
    %(config)s ;;
vmlinux)
    echo "  CC      init/main.o"
    %(build)s
    mkdir -p "$out/include/config"
    echo 6.1.9-microvm >"$out/include/config/kernel.release"
    cp %(vmlinux)s "$out/vmlinux" ;;
esac
'''


def wanted_options():
    text = ''.join(p.read_text() for p in FRAGMENTS)
    return re.findall(r'^CONFIG_(\w+)=', text, re.M)


class Build(unittest.TestCase):
    def setUp(self):
        self.base = pathlib.Path(tempfile.mkdtemp(prefix='microvm-e2e-', dir='/tmp'))
        self.addCleanup(shutil.rmtree, self.base)
        self.bin = self.base / 'bin'
        self.bin.mkdir()
        for name in NEEDED:
            (self.bin / name).symlink_to(shutil.which(name))
        self.data = self.base / 'data'
        self.kernels = self.data / 'cache' / 'kernels'
        self.source = self.base / 'linux'
        self.source.mkdir()
        (self.source / 'Makefile').write_text(VERSIONS)
        (self.source / 'Kconfig').write_text(''.join(f'config {name}\n' for name in wanted_options()))
        self.vmlinux = self.base / 'vmlinux'
        self.vmlinux.write_bytes(elf_with_pvh())
        self.script('strip', 'cp "$4" "$3"\n')
        self.make()
        self.env = {'PATH': str(self.bin), 'MICROVM_DATA_DIR': str(self.data), 'HOME': str(self.base),
                    'ASAN_OPTIONS': os.environ.get('ASAN_OPTIONS', '')}

    def script(self, name, text):
        path = self.bin / name
        path.write_text('#!/bin/sh\n' + text)
        path.chmod(0o755)

    def make(self, config=':', build=':'):
        self.script('make', MAKE % {'config': config, 'build': build, 'vmlinux': self.vmlinux})

    def start(self, *args, **kw):
        return subprocess.Popen([e2e.find_program('microvm'), 'kernel', *(args or ('build', '--source', self.source))],
                                env=self.env, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, **kw)

    def run_command(self, *args):
        process = self.start(*args)
        out, err = process.communicate(timeout=e2e.TIMEOUT)
        return process.returncode, out, err

    def assert_refused(self, *words, args=()):
        status, out, err = self.run_command(*args)
        self.assertEqual((status, out), (125, ''), err)
        last = err.splitlines()[-1]
        self.assertRegex(last, r'\Amicrovm: build a guest kernel: ', err)
        for word in words:
            self.assertIn(word, last)
        self.assert_nothing_half_made()

    def assert_nothing_half_made(self):
        if self.kernels.exists():
            self.assertLessEqual({p.name for p in self.kernels.iterdir()}, {'.lock-build', 'build.log'})

    def test_kernel_is_built_listed_and_preferred(self):
        status, out, err = self.run_command()
        self.assertEqual(status, 0, err)
        folder = pathlib.Path(out.strip()).parent
        self.assertEqual(sorted(p.name for p in folder.iterdir()), ['config', 'kernel.json', 'vmlinux'])
        self.assertRegex(folder.name, r'\A6\.1\.9-microvm-[0-9a-f]{12}\Z')
        self.assertIn('CONFIG_EROFS_FS=y\n', (folder / 'config').read_text())
        self.assertEqual(json.loads((folder / 'kernel.json').read_text())['source'], 'linux 6.1.9')
        (stock := self.kernels / '6.9-stock').mkdir()
        (stock / 'vmlinux').write_bytes(b'elf')
        (stock / 'kernel.json').write_text('{"format":1000,"release":"6.9","source":"x","vmlinux_size":3}')
        listed = json.loads(self.run_command('ls', '--json')[1])
        self.assertEqual([(k['kind'], k['release'], k['used']) for k in listed],
                         [('own', '6.1.9-microvm', True), ('stock', '6.9', False)])
        self.env['MICROVM_KERNEL'] = 'stock'
        listed = json.loads(self.run_command('ls', '--json')[1])
        self.assertEqual([k['release'] for k in listed], ['6.9', '6.1.9-microvm'])

    def test_environment_is_the_same_for_everybody(self):
        self.make(build='echo "$LC_ALL $KBUILD_BUILD_TIMESTAMP $KBUILD_BUILD_USER@$KBUILD_BUILD_HOST '
                        '$KBUILD_BUILD_VERSION ${CC-none} ${MAKEFLAGS-none} $KCFLAGS"')
        self.env.update(CC='evil', MAKEFLAGS='-k', KBUILD_BUILD_USER='me', LANG='de_DE.UTF-8')
        self.assertEqual(self.run_command()[0], 0)
        self.assertIn(f'C Thu Jan  1 00:00:00 UTC 1970 microvm@microvm 1 none none -ffile-prefix-map={self.source}/=\n',
                      (self.kernels / 'build.log').read_text())

    def test_missing_tools_are_named_with_their_packages(self):
        for name in ('gcc', 'flex'):
            (self.bin / name).unlink()
        self.assert_refused('not installed: gcc, flex', 'apt-get install gcc flex')

    def test_missing_header_is_named(self):
        (self.bin / 'gcc').unlink()
        self.script('gcc', 'case "$*" in *libelf.h*) exit 1;; esac; echo gcc 1\n')
        self.assert_refused('libelf.h', 'apt-get install libelf-dev')

    def test_source_that_is_none(self):
        self.assert_refused("kernel source '/no/such/folder'", args=('build', '--source', '/no/such/folder'))
        self.assert_refused('is no source of a Linux kernel', args=('build', '--source', self.bin))
        (self.source / 'Makefile').write_text('VERSION = 6\nPATCHLEVEL = x\n')
        self.assert_refused('is no source of a Linux kernel')

    def test_missing_apt_is_named(self):
        self.assert_refused("Debian's package tools are needed", 'apt-get', args=('build',))

    def test_source_that_no_package_source_has(self):
        self.script('apt-get', '')
        self.script('apt-cache', 'exit 100\n')
        self.assert_refused('no signed package source', 'linux-source-6.1', args=('build',))

    def test_unknown_option_is_named(self):
        options = self.base / 'options'
        options.write_text('CONFIG_EROFS_FS=y\nCONFIG_NO_SUCH_THING=y\n# CONFIG_NOR_THAT is not set\n')
        self.assert_refused('has no option CONFIG_NOR_THAT, CONFIG_NO_SUCH_THING',
                            args=('build', '--source', self.source, '--config', options))

    def test_option_that_is_not_met_is_named(self):
        self.make(config=r'sed -i "s/^CONFIG_EROFS_FS=y/# CONFIG_EROFS_FS is not set/" "$out/.config"')
        self.assert_refused('cannot be had', 'CONFIG_EROFS_FS=y (is n)')

    def test_options_without_what_guests_need(self):
        options = self.base / 'options'
        options.write_text('CONFIG_OVERLAY_FS=n\n')
        self.assert_refused('guests need what it lacks: CONFIG_OVERLAY_FS',
                            args=('build', '--source', self.source, '--config', options))

    def test_options_that_are_none(self):
        options = self.base / 'options'
        for text, says in (('CONFIG_A=y\nnonsense\n', "line 2: 'nonsense'"), ('CONFIG_A\n', 'line 1'),
                           ('CONFIG_A="x\n', 'line 1')):
            with self.subTest(text):
                options.write_text(text)
                self.assert_refused(str(options), says, args=('build', '--source', self.source, '--config', options))
        self.assert_refused('/no/such/file', args=('build', '--config', '/no/such/file'))

    def test_compiler_error_is_shown_with_the_log(self):
        self.make(build='echo "init/main.c:1: error: no such thing" >&2; exit 2')
        self.assert_refused('compiling', 'init/main.c:1: error: no such thing', str(self.kernels / 'build.log'))
        self.assertIn('CC      init/main.o', (self.kernels / 'build.log').read_text())

    def test_result_that_is_no_kernel(self):
        self.vmlinux.write_bytes(b'\x7fELF' + b'\0' * 8192)
        self.assert_refused("'vmlinux' is not a kernel")

    @unittest.skipIf(os.geteuid() != 0, 'a small file system is mounted: needs root')
    def test_full_disk(self):
        small = self.base / 'small'
        small.mkdir()
        subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=16m', 'none', small], check=True)
        self.addCleanup(subprocess.run, ['umount', small], check=True)
        self.assert_refused('16 MiB of free space, a build takes', str(small),
                            args=('build', '--source', self.source, '--data-dir', small))

    def test_interrupted_build_leaves_nothing(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            with self.subTest(number):
                self.make(build='echo begun; exec sleep 60')
                (self.kernels / 'build.log').unlink(missing_ok=True)
                process = self.start()
                self.wait_for_log('begun')
                process.send_signal(number)
                out, err = process.communicate(timeout=e2e.TIMEOUT)
                self.assertEqual((process.returncode, out), (128 + number, ''), err)
                self.assert_nothing_half_made()

    def test_killed_build_is_cleaned_up_by_the_next(self):
        self.make(build='echo begun; exec sleep 60')
        process = self.start()
        self.wait_for_log('begun')
        process.kill()
        process.communicate(timeout=e2e.TIMEOUT)
        self.assertEqual(len(list(self.kernels.glob('.build-*'))), 1)
        self.make()
        self.assertEqual(self.run_command()[0], 0)
        self.assertEqual(list(self.kernels.glob('.build-*')), [])

    def wait_for_log(self, text):
        deadline = time.monotonic() + e2e.TIMEOUT
        log = self.kernels / 'build.log'
        while time.monotonic() < deadline:
            if log.exists() and text in log.read_text():
                return
            time.sleep(0.02)
        self.fail(f'no {text!r} in the log')


def elf_with_pvh():
    """An x86-64 ELF file whose one segment is a note with the PVH entry (Xen's type 18)."""
    note = (4).to_bytes(4, 'little') + (4).to_bytes(4, 'little') + (18).to_bytes(4, 'little') + b'Xen\0' + b'\0' * 4
    header = b'\x7fELF\2\1\1' + b'\0' * 9 + (2).to_bytes(2, 'little') + (62).to_bytes(2, 'little') + \
        (1).to_bytes(4, 'little') + b'\0' * 8 + (64).to_bytes(8, 'little') + b'\0' * 8 + b'\0' * 4 + \
        (64).to_bytes(2, 'little') + (56).to_bytes(2, 'little') + (1).to_bytes(2, 'little') + b'\0' * 6
    segment = (4).to_bytes(4, 'little') + b'\0' * 4 + (4096).to_bytes(8, 'little') + b'\0' * 16 + \
        len(note).to_bytes(8, 'little') * 2 + (4).to_bytes(8, 'little')
    return (header + segment).ljust(4096, b'\0') + note.ljust(4096, b'\0')


if __name__ == '__main__':
    tap.main()
