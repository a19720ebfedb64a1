#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Programs and files of a running guest, through its agent. One VM serves most tests."""
import io
import json
import os
import pathlib
import random
import re
import shutil
import socket
import subprocess
import tarfile
import time

import e2e
import ocilayout
import tap

# Programs started one after the other to see whether anything is left of them.
MANY = 10_000 if os.environ.get('MICROVM_TEST_AS', 'root') == 'root' else 500
# Tells its terminal's size, each new one as well, until it gets a word.
RESIZED = 'trap "stty size" WINCH; stty size; while ! read x; do :; done; echo got $x; exit 4'


class Agent(e2e.Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        started = cls.host.command('run', '-d', '--name', 'ag', '--rm', '-e', 'FROM_RUN=yes', '-w', '/tmp',
                                   cls.host.sample, 'sleep', '3600')
        assert started.status == 0, started
        cls.addClassCleanup(cls.host.command, 'rm', '-f', 'ag')
        cls.home = cls.host.base / 'home'

    def clear(self):
        pass  # the VM is there until the end

    def guest(self, *words, options=(), **kw):
        return self.host.command('exec', *options, 'ag', *words, **kw)

    def shell(self, script, *options, **kw):
        return self.guest('sh', '-c', script, options=options, **kw)

    def test_streams_are_apart_and_the_status_is_the_program_s(self):
        self.assert_ran(self.shell('echo out; echo err >&2; exit 7'), b'out\n', b'err\n', 7)
        self.assert_ran(self.shell('kill -TERM $$'), b'', b'', 143)

    def test_what_is_not_given_comes_from_the_vm(self):
        self.assert_ran(self.shell('echo $FROM_RUN $MORE; pwd; id -u', '-e', 'MORE=too'), b'yes too\n/tmp\n0\n')
        self.assert_ran(self.shell('echo $FROM_RUN; pwd; id -u; id -g', '-e', 'FROM_RUN=no', '-w', '/', '-u', '12:34'),
                        b'no\n/\n12\n34\n')

    def test_programs_that_cannot_run(self):
        for status, words in ((127, ['/no/such']), (127, ['nosuch']), (126, ['/etc/passwd']), (126, ['/tmp'])):
            result = self.guest(*words)
            self.assertEqual((result.status, result.out), (status, b''), result)
            self.assertRegex(result.err, rb'\Amicrovm: [^\n]+\n\Z')
        self.assert_refused(self.guest('true', options=['-u', 'nobody-of-that-name']), 'nobody-of-that-name')

    def test_bytes_arrive_whole_through_stdin_and_stdout(self):
        data = random.Random(1).randbytes(10_000_000)
        result = self.guest('sh', '-c', 'cat; echo done >&2', options=['-i'], input=data)
        self.assertEqual((result.status, result.err, result.out == data), (0, b'done\n', True))

    def test_without_i_stdin_is_at_its_end(self):
        self.assert_ran(self.guest('cat'), b'')

    def test_a_stalled_stdout_stalls_neither_stderr_nor_signals(self):
        read_end, write_end = os.pipe()
        script = 'trap "exit 5" TERM; cat /dev/zero & sleep 1; echo on >&2; wait'
        started = self.host.start('exec', 'ag', 'sh', '-c', script, stdout=write_end)
        os.close(write_end)
        try:
            with started.changed:
                self.assertTrue(started.changed.wait_for(lambda: b'on' in started.err, e2e.TIMEOUT))
            started.process.terminate()
            deadline = time.monotonic() + e2e.TIMEOUT
            while self.guest('pidof', 'cat').status == 0 and time.monotonic() < deadline:
                time.sleep(0.2)
            self.assertNotEqual(self.guest('pidof', 'cat').status, 0)
        finally:
            os.close(read_end)
            started.finish()

    def test_a_terminal_of_its_own_that_follows_resizes(self):
        terminal = e2e.Terminal(self.host, 'exec', '-i', '-t', 'ag', 'sh', '-c',
                                RESIZED, rows=31, cols=97)
        terminal.wait_for(b'31 97')
        terminal.resize(40, 120)
        terminal.wait_for(b'40 120')
        terminal.type(b'word\n')
        terminal.wait_for(b'got word')
        self.assertEqual(terminal.finish(), (4, True))

    def test_a_client_that_is_killed_takes_its_program_along(self):
        started = self.host.start('exec', 'ag', 'sh', '-c', 'echo is-up; setsid sleep 4321 & sleep 4322')
        started.wait_for(b'is-up')
        started.process.kill()
        started.finish()
        deadline = time.monotonic() + e2e.TIMEOUT
        while b'4322' in self.shell('ps').out and time.monotonic() < deadline:
            time.sleep(0.2)
        self.assertNotIn(b'4322', self.shell('ps').out)
        self.shell('pkill sleep -f 4321')

    def test_many_clients_at_once(self):
        started = [self.host.start('exec', '-i', 'ag', 'sh', '-c', f'cat; exit {i}', stdin=subprocess.PIPE)
                   for i in range(20)]
        for i, client in enumerate(started):
            client.process.stdin.write(b'x' * i)
            self.assert_ran(client.finish(), b'x' * i, b'', i)

    def figures(self):
        result = self.host.command('stats', '--json', 'ag')
        self.assertEqual((result.status, result.err), (0, b''), result)
        return json.loads(result.out)

    def test_figures(self):
        figures = self.figures()
        self.assertEqual((figures['name'], figures['cpus']), ('ag', 1))
        self.assertTrue(0 < figures['memory_available'] < figures['memory_total'] <= 512 << 20, figures)
        self.assertGreater(figures['uptime_ns'], 0)
        self.assertIn(b'ag', self.host.command('stats', 'ag').out)

    def descriptors(self):
        """Of our processes on the host and of PID 1 in the guest, once they have seen who left."""
        last = None
        while (now := self.count_descriptors()) != last:
            last = now
            time.sleep(0.3)
        return now

    def count_descriptors(self):
        host = {line.split(' ')[0].rpartition('/')[2]: len(os.listdir(f'/proc/{pid}/fd'))
                for pid, line in self.host.processes()}
        return host, self.shell('ls /proc/1/fd | wc -l').out

    def memory(self):
        """KiB: of PID 1 in the guest; of runner and vsock device on the host, the guest's own memory apart."""
        guest = int(self.shell('grep VmRSS /proc/1/status').out.split()[1])
        host = {}
        for pid, line in self.host.processes():
            if line.startswith(('microvm-runner', 'microvm-vsock')):
                text = pathlib.Path(f'/proc/{pid}/smaps_rollup').read_text()
                host[line.split(' ')[0]] = int(re.search(r'^Pss_Anon:\s+(\d+)', text, re.M).group(1))
        return guest, host

    def test_many_programs_leave_nothing(self):
        tool = self.host.base / 'bin' / 'exec-many'
        if not tool.exists():
            shutil.copy(e2e.find_program('exec-many'), tool)
            self.host.own(self.host.base / 'bin')
        run = [str(tool), 'ag']
        subprocess.run([*run, '50'], env=self.host.env, check=True, timeout=e2e.TIMEOUT, capture_output=True,
                       **self.host.ids)
        before, memory_before, processes = self.descriptors(), self.memory(), self.figures()['processes']
        subprocess.run([*run, str(MANY)], env=self.host.env, check=True, timeout=900, capture_output=True,
                       **self.host.ids)
        self.assertEqual(self.descriptors(), before)
        self.assertEqual(self.figures()['processes'], processes)
        guest, host = self.memory()
        self.assertLess(guest - memory_before[0], 256, 'KiB more in PID 1')
        for name, size in host.items():
            self.assertLess(size - memory_before[1][name], 512, f'KiB more in {name}')

    def test_a_file_goes_in_and_out(self):
        data = random.Random(2).randbytes(3_000_001)
        (self.home / 'in').write_bytes(data)
        (self.home / 'in').chmod(0o755)
        self.host.own(self.home)
        self.assert_ran(self.host.command('cp', self.home / 'in', 'ag:/tmp/copied'), b'')
        self.assert_ran(self.shell('stat -c %a:%s /tmp/copied'), b'755:3000001\n')
        self.assert_ran(self.host.command('cp', 'ag:/tmp/copied', self.home / 'out'), b'')
        self.assertEqual((self.home / 'out').read_bytes(), data)
        self.assert_ran(self.host.command('cp', 'ag:/tmp/copied', f'{self.home}/'), b'')
        self.assertEqual((self.home / 'copied').read_bytes(), data)

    def make_tree(self, root):
        (root / 'a' / 'b').mkdir(parents=True)
        (root / 'a' / 'empty').mkdir(mode=0o750)
        for i in range(60):
            (root / 'a' / 'b' / f'file {i}').write_bytes(b'%d' % i * i)
        (root / 'a' / 'link').symlink_to('b/file 1')
        (root / 'a' / 'up').symlink_to('../../../etc/passwd')
        (root / 'ünïcode').write_text('é')
        self.host.own(root)

    @staticmethod
    def listing(root):
        found = {}
        for path in sorted(root.rglob('*')):
            name = str(path.relative_to(root))
            found[name] = ('link', os.readlink(path)) if path.is_symlink() else ('dir', path.stat().st_mode) \
                if path.is_dir() else ('file', path.stat().st_mode, path.read_bytes())
        return found

    def test_a_tree_goes_in_and_out(self):
        tree = self.home / 'tree'
        self.make_tree(tree)
        self.assert_ran(self.host.command('cp', tree, 'ag:/tmp/tree'), b'')
        self.assert_ran(self.shell('readlink /tmp/tree/a/link; ls /tmp/tree/a/b | wc -l'), b'b/file 1\n60\n')
        self.assert_ran(self.host.command('cp', 'ag:/tmp/tree', self.home / 'back'), b'')
        self.assertEqual(self.listing(self.home / 'back'), self.listing(tree))
        # An existing folder takes it by its name; with "/." only what is in it.
        self.assert_ran(self.host.command('cp', tree, 'ag:/tmp/tree'), b'')
        self.assert_ran(self.shell('test -d /tmp/tree/tree/a/b'), b'')
        self.assert_ran(self.host.command('cp', f'{tree}/.', 'ag:/tmp/tree'), b'')

    def test_tar_streams(self):
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode='w') as tar:
            info = tarfile.TarInfo('dir/hello')
            info.size, info.mode = 5, 0o640
            tar.addfile(info, io.BytesIO(b'hello'))
        self.shell('mkdir -p /tmp/untar')
        self.assert_ran(self.host.command('cp', '-', 'ag:/tmp/untar', input=packed.getvalue()), b'')
        self.assert_ran(self.shell('cat /tmp/untar/dir/hello; stat -c %a /tmp/untar/dir/hello'), b'hello640\n')
        result = self.host.command('cp', 'ag:/tmp/untar/dir', '-')
        self.assertEqual((result.status, result.err), (0, b''), result)
        with tarfile.open(fileobj=io.BytesIO(result.out)) as tar:
            self.assertEqual(sorted(tar.getnames()), ['dir', 'dir/hello'])
            self.assertEqual(tar.extractfile('dir/hello').read(), b'hello')

    def test_copies_that_cannot_be(self):
        self.assert_refused(self.host.command('cp', self.home / 'nothing', 'ag:/tmp/x'), 'nothing')
        self.assert_refused(self.host.command('cp', 'ag:/no/such', self.home / 'x'), '/no/such')
        self.assertFalse((self.home / 'x').exists())
        (self.home / 'file').write_text('x')
        self.host.own(self.home)
        self.assert_refused(self.host.command('cp', self.home / 'file', 'ag:/no/such/dir/file'), '/no/such/dir')
        self.assert_refused(self.host.command('cp', self.home / 'file', 'ag:relative'), 'absolute')
        self.assert_refused(self.host.command('cp', self.home / 'file', 'nosuch:/tmp'), 'nosuch')
        self.assert_refused(self.host.command('cp', self.home / 'file', self.home / 'y'), 'VM:PATH')
        self.assert_refused(self.host.command('cp', '-', 'ag:/tmp', input=b'garbage' * 1000), 'tar')
        self.assert_refused(self.host.command('cp', 'ag:/dev/null', self.home / 'z'), '/dev/null')

    def test_a_client_that_is_not_ours(self):
        tool = self.host.base / 'bin' / 'agent-go'
        if not tool.exists():
            e2e.build_agent_go(tool)
            self.host.own(self.host.base / 'bin')
        socket_path = self.host.data / 'vms' / 'ag' / 'agent.sock'
        result = subprocess.run([tool, socket_path], env=self.host.env, capture_output=True, timeout=e2e.TIMEOUT,
                                check=False, **self.host.ids)
        self.assertEqual(result.returncode, 0, result.stdout.decode() + result.stderr.decode())
        self.assertGreater(len(re.findall(rb'^ok', result.stdout, re.M)), 8, result.stdout)
        self.assertNotIn(b'not ok', result.stdout)

    def test_garbage_on_the_agent_s_socket_hurts_nobody(self):
        path = str(self.host.data / 'vms' / 'ag' / 'agent.sock')
        for data in (b'\0' * 100, b'GET / HTTP/1.1\r\n\r\n', random.Random(3).randbytes(100_000),
                     b'\xff\xff\xff\xff\0\0\0\1\1\0' + b'x' * 1000, b''):
            with socket.socket(socket.AF_UNIX) as s:
                s.connect(path)
                try:
                    s.sendall(data)
                except OSError:
                    pass
            self.assert_ran(self.guest('echo', 'alive'), b'alive\n')


HARDENING = {'kernel/kptr_restrict': '2', 'kernel/dmesg_restrict': '1', 'kernel/unprivileged_bpf_disabled': '1',
             'kernel/perf_event_paranoid': '3', 'kernel/yama/ptrace_scope': '1', 'net/core/bpf_jit_harden': '2',
             'kernel/sysrq': '0'}


class WithoutSsh(e2e.Case):
    def test_the_kernel_s_hardening_is_in_force_either_way(self):
        wanted = ''.join(f'{value}\n' for value in HARDENING.values()).encode()
        for options in ((), ('--no-ssh',)):
            with self.subTest(options=options):
                self.assert_ran(self.host.run(*options, '-w', '/proc/sys', '--', 'cat', *HARDENING), wanted)

    def test_the_guest_is_told_and_nothing_listens(self):
        script = 'cat /etc/go-microvm.json; echo; netstat -ltn 2>/dev/null | grep -c :22; ls /sys/class/net'
        self.assert_ran(self.host.shell(script, '--no-ssh'), b'{"disable_ssh":true}\n0\nlo\n')

    def test_unused_it_leaves_no_trace(self):
        self.assert_ran(self.host.shell('test -e /etc/go-microvm.json || echo none'), b'none\n')

    def test_a_host_key_does_not_stay(self):
        layout = self.host.base / 'home' / 'keyed'
        program = ocilayout.entry('bin/busybox', mode=0o755)
        tar = ocilayout.tar((program, pathlib.Path('/bin/busybox').read_bytes()),
                            ('etc/ssh/ssh_host_ecdsa_key', b'key'), ('etc/ssh/ssh_host_ecdsa_key.pub', b'pub'))
        ocilayout.write_images(layout, latest=ocilayout.Image([tar]))
        self.host.own(layout)
        for options, left in ((('--no-ssh',), b'ssh_host_ecdsa_key.pub\n'),
                              ((), b'ssh_host_ecdsa_key\nssh_host_ecdsa_key.pub\n')):
            result = self.host.command('run', *options, f'oci:{layout}:latest', '/bin/busybox', 'ls', '/etc/ssh')
            self.assert_ran(result, left)


if __name__ == '__main__':
    tap.main()
