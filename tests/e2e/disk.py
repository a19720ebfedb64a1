#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The root of a VM: an image's extents as one disk, and what is written over it, on a disk of its own or in memory."""
import json
import os
import pathlib
import resource
import shutil
import signal
import subprocess
import time

import e2e
import tap

MIB = 1 << 20
WRITE_UNTIL_FULL = 'dd if=/dev/zero of=/big bs=64k conv=fsync 2>/dev/shm/why; echo "status $?"; cat /dev/shm/why >&2; '


def disk_of(host, name):
    return host.data / 'vms' / name / 'upper.img'


class Disk(e2e.Case):
    def sizes(self, *options):
        """Bytes of the root, and bytes free in it."""
        result = self.host.shell("df -k / | awk 'END { print $(NF-4), $(NF-2) }'", *options)
        self.assert_ran(result)
        return [int(n) << 10 for n in result.out.split()]

    def test_size_is_10_gib(self):
        total, free = self.sizes()
        self.assertTrue(9.7 * 1024 * MIB < free <= total <= 10 * 1024 * MIB, (total, free))

    def test_size_that_was_asked_for(self):
        total, free = self.sizes('--disk-size', '64m')
        self.assertTrue(60 * MIB < free <= total <= 64 * MIB, (total, free))

    def test_smallest_size(self):
        self.assertGreater(self.sizes('--disk-size', '16m')[1], 12 * MIB)

    def test_full_disk_is_told_to_the_program_and_the_vm_goes_on(self):
        result = self.host.shell(WRITE_UNTIL_FULL + 'rm /big; echo after >/x; cat /x', '--disk-size', '32m')
        self.assertEqual((result.status, result.out), (0, b'status 1\nafter\n'), result)
        self.assertIn(b'No space left on device', result.err)

    def test_files_of_the_image_and_of_the_host_are_where_they_belong(self):
        """Renamed, removed, changed in owner and mode; what the host injects lies on the disk as well."""
        script = ('set -e; cat /etc/go-microvm.json; echo; mv /etc /moved; test ! -e /etc; mv /moved /etc; '
                  'chown 7:8 /etc/passwd; chmod 4711 /etc/passwd; '
                  'stat -c "%u:%g %a" /etc/passwd; rm /etc/group; test ! -e /etc/group; '
                  'mkfifo /f; mknod /n c 1 3; ln /etc/passwd /etc/linked; stat -c %h /etc/linked')
        result = self.host.shell(script, '--no-ssh')
        self.assertEqual((result.status, result.err), (0, b''), result)
        *config, owners, links = result.out.split(b'\n')[:-1]
        self.assertIs(json.loads(b''.join(config))['disable_ssh'], True)
        self.assertEqual((owners, links), (b'7:8 4711', b'2'))

    def test_disk_is_private_and_goes_with_its_vm(self):
        self.kept.add('keeper')
        for _ in range(2):
            self.assert_ran(self.host.shell('test ! -e /mark && echo >/mark', '--name', 'keeper'))
            self.assertTrue((self.host.data / 'vms' / 'keeper' / 'vm.log').exists())
            self.assertFalse(disk_of(self.host, 'keeper').exists())

    def test_stored_image_is_started_without_the_libraries_of_a_pull(self):
        self.assert_ran(self.host.shell(':'))
        loaded = self.host.base / 'home' / 'loaded'
        started = self.host.start('run', self.host.sample, 'true', env={'LD_DEBUG': 'files', 'LD_DEBUG_OUTPUT': loaded})
        result = started.finish()
        # Of the command alone: QEMU has libraries of its own.
        text = pathlib.Path(f'{loaded}.{started.process.pid}').read_text()
        for path in loaded.parent.glob('loaded.*'):
            path.unlink()
        self.assert_ran(result)
        self.assertIn('calling init: /lib', text)
        for library in ('libcurl', 'libarchive', 'libxml2', 'libicudata', 'libstdc++'):
            self.assertNotIn(library, text)

    def running(self, name, script='echo is-up; cat'):
        started = self.host.start('run', '-i', '--name', name, self.host.sample, 'sh', '-c', script,
                                  stdin=subprocess.PIPE)
        started.wait_for(b'is-up')
        return started

    def test_disk_takes_what_is_written_and_gives_it_back(self):
        self.kept.add('sparse')
        script = ('echo is-up; read go; head -c 50000000 /dev/urandom >/big; sync; echo written; read go; '
                  'rm /big; sync; echo removed; cat')
        started = self.running('sparse', script)
        disk = disk_of(self.host, 'sparse')
        empty = disk.stat()
        self.assertEqual((empty.st_size, empty.st_mode & 0o777), (10 << 30, 0o600))
        self.assertLess(empty.st_blocks * 512, 4 * MIB)
        started.process.stdin.write(b'\n')
        started.process.stdin.flush()
        started.wait_for(b'written')
        self.assertGreater(disk.stat().st_blocks * 512, 50_000_000)
        started.process.stdin.write(b'\n')
        started.process.stdin.flush()
        started.wait_for(b'removed')
        self.assertLess(disk.stat().st_blocks * 512, 10 * MIB)
        self.assertEqual(started.finish().status, 0)
        self.assertFalse(disk.exists())

    def kill_all_of(self, name):
        """A VM whose processes all die at once."""
        self.kept.add(name)
        started = self.running(name)
        self.assertTrue(disk_of(self.host, name).exists())
        pids = [pid for pid, line in self.host.processes() if name in line.split()]
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        started.finish()
        e2e.wait_until_dead(pids)
        self.assertTrue(disk_of(self.host, name).exists())

    def test_killed_vm_leaves_its_disk_to_the_next_run(self):
        self.kill_all_of('killed')
        self.assert_ran(self.host.run('true'))
        self.assertTrue((self.host.data / 'vms' / 'killed' / 'vm.log').exists())
        self.assertFalse(disk_of(self.host, 'killed').exists())

    def test_gc_removes_the_disk_of_a_killed_vm_and_not_of_a_running_one(self):
        self.kept.add('alive')
        alive = self.running('alive')
        self.kill_all_of('killed')
        deadline = time.monotonic() + e2e.SETTLE
        while disk_of(self.host, 'killed').exists() and time.monotonic() < deadline:
            # A machine's last thread lets go of the lock a moment after its first one has died.
            self.assertEqual(self.host.command('gc').status, 0)
        self.assertFalse(disk_of(self.host, 'killed').exists())
        self.assertTrue(disk_of(self.host, 'alive').exists())
        self.assertEqual(alive.finish().status, 0)

    def test_killed_runner_leaves_no_disk(self):
        self.kept.add('orphan')
        started = self.running('orphan')
        for pid, line in self.host.processes():
            if 'microvm-runner' in line:
                os.kill(pid, signal.SIGKILL)
        self.assertEqual(started.finish().status, 125)
        self.assertFalse(disk_of(self.host, 'orphan').exists())

    def test_damaged_template_is_made_anew(self):
        self.assert_ran(self.host.run('--disk-size', '48m', '--', 'true'))
        template = next((self.host.data / 'cache' / 'disks').glob('ext4-*-48'))
        size = template.stat().st_size
        with open(template, 'r+b') as f:
            f.seek(size // 2)
            f.write(b'damage')
        self.assertGreater(self.sizes('--disk-size', '48m')[1], 40 * MIB)
        self.assertEqual(template.stat().st_size, size)

    def test_sizes_that_cannot_be_are_refused(self):
        for size in ('0', '15m', '16777215b', '9t', '8796093022209b', '-1', 'lots', '1q', '99999999999999999999999'):
            with self.subTest(size=size):
                self.assert_refused(self.host.run(f'--disk-size={size}', '--', 'true'), '--disk-size', size)
        for option in ('--read-only', '--tmpfs-root'):
            with self.subTest(option=option):
                self.assert_refused(self.host.run('--disk-size', '1g', option, '--', 'true'), '--disk-size', option)

    def test_size_above_the_limit_of_files_is_refused(self):
        result = self.host.start('run', self.host.sample, 'true',
                                 preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 30, 1 << 30)))
        self.assert_refused(result.finish(), '10240 MiB', 'ulimit -f')


class FullHost(e2e.Case):
    """A data folder on a small file system of its own."""

    def setUp(self):
        super().setUp()
        if self.host.ids or os.geteuid() != 0:
            self.skipTest('mounting a small file system takes root')
        self.folder = self.host.base / 'small'
        self.folder.mkdir(exist_ok=True)
        kernels = self.host.data / 'cache' / 'kernels'
        size = sum(p.stat().st_size for p in kernels.rglob('*') if p.is_file()) + 48 * MIB
        subprocess.run(['mount', '-t', 'tmpfs', '-o', f'size={size}', 'none', self.folder], check=True)
        self.addCleanup(subprocess.run, ['umount', '-l', self.folder], check=True)
        shutil.copytree(kernels, self.folder / 'cache' / 'kernels')

    def test_full_host_is_an_error_of_the_program_and_the_vm_goes_on(self):
        script = ('dd if=/dev/zero of=/big bs=64k count=1600 conv=fsync 2>/dev/shm/why; echo "status $?"; '
                  'cat /dev/shm/why >&2; rm /big; sync; '
                  'dd if=/dev/zero of=/small bs=64k count=16 conv=fsync 2>/dev/null && echo after')
        result = self.host.shell(script, '--data-dir', str(self.folder), '--disk-size', '1g')
        self.assertEqual((result.status, result.out), (0, b'status 1\nafter\n'), result)
        self.assertIn(b'Input/output error', result.err)
        self.assertEqual(os.listdir(self.folder / 'vms'), [])

    def test_no_room_for_the_disk_itself(self):
        self.assert_ran(self.host.run('--data-dir', str(self.folder), '--', 'true'))
        filler = os.open(self.folder / 'filler', os.O_WRONLY | os.O_CREAT)
        self.addCleanup(os.close, filler)
        with self.assertRaises(OSError):
            while True:
                os.write(filler, bytes(4096))
        result = self.host.run('--data-dir', str(self.folder), '--', 'true')
        self.assert_refused(result, 'No space left on device')
        self.assertEqual(os.listdir(self.folder / 'vms'), [])


class Memory(e2e.Case):
    def test_tmpfs_root_is_half_of_the_memory_and_no_file(self):
        self.kept.add('memory')
        script = "df -k / | awk 'END { print $(NF-4) }'; echo is-up >/x; cat /x; cat"
        started = self.host.start('run', '-i', '--name', 'memory', '--tmpfs-root', self.host.sample, 'sh', '-c', script,
                                  stdin=subprocess.PIPE)
        started.wait_for(b'is-up')
        self.assertFalse(disk_of(self.host, 'memory').exists())
        self.assertTrue(100 << 10 < int(started.out.split()[0]) <= 256 << 10, bytes(started.out))
        self.assertEqual(started.finish().status, 0)

    def test_full_memory_is_told_to_the_program(self):
        result = self.host.shell(WRITE_UNTIL_FULL + 'rm /big; echo after >/x; cat /x', '--tmpfs-root', '-m', '128m')
        self.assertEqual((result.status, result.out), (0, b'status 1\nafter\n'), result)
        self.assertIn(b'No space left on device', result.err)

    def test_read_only_root(self):
        """docker's meaning: the root takes nothing, what is mounted in it does; what the host injects is there."""
        script = ('for f in /x /etc/x /tmp/x /etc/passwd; do (echo >$f) 2>/dev/null && echo "wrote $f"; done; '
                  'mkdir /d 2>/dev/null && echo made; rm /etc/passwd 2>/dev/null && echo removed; touch /x; '
                  'echo shared >/dev/shm/x && cat /dev/shm/x; hostname; cat /etc/go-microvm.json')
        result = self.host.shell(script, '--read-only', '--no-ssh', '--name', 'reader', '--rm')
        self.assertEqual(result.status, 0, result)
        self.assertEqual(result.err, b'touch: /x: Read-only file system\n')
        shared, name, config = result.out.split(b'\n', 2)
        self.assertEqual((shared, name), (b'shared', b'reader'))
        self.assertIs(json.loads(config)['disable_ssh'], True)


class Extents(e2e.Case):
    SUM = 'find / -xdev -type f -not -path "/tmp/*" | sort | xargs sha256sum | sha256sum; cat /sys/block/vda/size'

    def split(self, count, script, shorten=0, **kw):
        folder = self.host.base / f'split-{count}'
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        self.host.own(folder)
        program = self.host.base / 'bin' / 'split-runner'
        shutil.copy(e2e.TOP / 'tests' / 'support' / 'split-runner', program)
        env = {'MICROVM_RUNNER': str(program), 'SPLIT_RUNNER': str(self.host.base / 'bin' / 'microvm-runner'),
               'SPLIT_DIR': str(folder), 'SPLIT_EXTENTS': str(count), 'SPLIT_SHORTEN': str(shorten)}
        return self.host.start('run', self.host.sample, 'sh', '-c', script, env=env, **kw).finish()

    def test_disk_of_several_extents_reads_as_one(self):
        whole = self.host.shell(self.SUM)
        self.assert_ran(whole)
        digest, size = whole.out.split(b'\n')[:2]
        for count in (2, 7, 512):
            with self.subTest(extents=count):
                result = self.split(count, self.SUM)
                self.assert_ran(result)
                self.assertEqual(result.out.split(b'\n')[0], digest)
                self.assertGreaterEqual(int(result.out.split(b'\n')[1]), max(int(size), 8 * count))

    def test_more_extents_than_open_files_are_refused_before_boot(self):
        start = time.monotonic()
        result = self.split(512, 'true',
                            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (1024, 1024)))
        self.assert_refused(result, '512 extents', '1024')
        self.assertLess(time.monotonic() - start, 30)

    def test_short_extent_is_named(self):
        self.assert_refused(self.split(3, 'true', shorten=1), 'split-3/2.data', 'instead of')


if __name__ == '__main__':
    tap.main()
