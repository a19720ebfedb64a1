#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The vsock device beside a real guest: QEMU in software, Debian's kernel, tests/support/vsock-guest.c as PID 1."""
import contextlib
import os
import pathlib
import resource
import signal
import socket
import subprocess
import tempfile
import threading
import time
import unittest

import e2e
import tap
import vsockvm

MIB = 1 << 20
LIMIT = 80 * MIB  # VSOCK_MEMORY_MAX
LOG_LIMIT = 16 * MIB
ECONNRESET = 104


def pattern(size):
    return (bytes(range(251)) * (size // 251 + 1))[:size]


def read_all(connection):
    parts = []
    while part := connection.recv(MIB):
        parts.append(part)
    return b''.join(parts)


class Vsock(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix='mvm-vsock-')
        cls.server = vsockvm.Listener(cls.folder, 'server')
        cls.to_guest = vsockvm.Listener(cls.folder, 'to-guest')
        cls.hybrid = vsockvm.Listener(cls.folder, 'hybrid')
        cls.agent = vsockvm.Listener(cls.folder, 'agent')
        try:
            cls.guest = vsockvm.Guest(
                [f'connect:1024:{cls.server.path}', f'connect:1025:{cls.folder}/absent', 'listen:7000:5',
                 f'hybrid:6:{cls.folder}/v', f'agent:{vsockvm.CONTROL}:7'],
                [cls.to_guest.socket, cls.hybrid.socket, cls.agent.socket], cls.folder)
        except unittest.SkipTest:
            cls.tearDownClass()
            raise

    @classmethod
    def tearDownClass(cls):
        for listener in (cls.server, cls.to_guest, cls.hybrid, cls.agent):
            listener.socket.close()
        if hasattr(cls, 'guest'):
            cls.guest.close()

    def serve(self, work, connections=1):
        """Runs @work on so many connections of the guest in a thread; join() of what it gives shows its results."""
        results = []

        def run():
            for _ in range(connections):
                with self.server.accept() as connection:
                    results.append(work(connection))

        thread = threading.Thread(target=run)
        thread.start()
        return lambda: (thread.join(vsockvm.BOOT_SECONDS), results)[1]

    def ask(self, line):
        word, numbers = self.guest.do(line)
        self.assertEqual(word, 'ok', (line, numbers, self.guest.log()))
        return numbers

    def test_bulk_to_the_host_arrives_whole_and_a_reply_follows_the_half_close(self):
        def swallow(connection):
            got = read_all(connection)
            connection.sendall(pattern(1000))
            return got == pattern(16 * MIB)

        done = self.serve(swallow)
        self.assertEqual(self.ask(f'send 1024 {16 * MIB}')[1], 1000)
        self.assertEqual(done(), [True])

    def test_bulk_to_the_guest_arrives_whole(self):
        done = self.serve(lambda connection: connection.sendall(pattern(16 * MIB)))
        self.assertEqual(self.ask('recv 1024')[1], 16 * MIB)  # the guest checks each byte
        done()

    def test_a_slow_host_program_stalls_its_own_connection_alone(self):
        release = threading.Event()

        def stall(connection):
            release.wait(vsockvm.BOOT_SECONDS)
            return len(read_all(connection))

        done = self.serve(stall)
        self.guest.order(f'send 1024 {4 * MIB}')
        with socket.socket(socket.AF_UNIX) as other:
            other.settimeout(20)
            other.connect(self.hybrid.path)
            other.sendall(b'CONNECT 4242\n')
            self.assertEqual(other.recv(10), b'')  # nobody listens there: answered all the same
        release.set()
        self.assertEqual(self.guest.result()[0], 'ok')
        self.assertEqual(done(), [4 * MIB])

    def test_an_absent_socket_is_a_reset(self):
        self.assertEqual(self.guest.do('send 1025 1'), ('error', [ECONNRESET]))
        self.assertEqual(self.guest.do('send 1026 1'), ('error', [ECONNRESET]))
        self.assertEqual(self.guest.do(f'send {vsockvm.CONTROL} 1'), ('error', [ECONNRESET]))  # once is once
        self.assertIn('refused reason=host-absent', self.guest.log())
        self.assertIn('refused reason=port-used', self.guest.log())

    def test_host_programs_reach_the_guest(self):
        self.ask('listen 7000')
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(vsockvm.BOOT_SECONDS)
            client.connect(self.to_guest.path)
            data = pattern(MIB)
            sender = threading.Thread(target=lambda: (client.sendall(data), client.shutdown(socket.SHUT_WR)))
            sender.start()
            self.assertEqual(read_all(client), data)
            sender.join()
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(vsockvm.BOOT_SECONDS)
            client.connect(self.hybrid.path)
            client.sendall(b'CONNECT 7000\nhello')
            line = client.makefile('rb', 0).readline()
            self.assertRegex(line, rb'^OK \d+\n$')
            self.assertEqual(client.recv(5), b'hello')
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(vsockvm.BOOT_SECONDS)
            client.connect(self.hybrid.path)
            client.sendall(b'CONNECT %d\n' % vsockvm.CONTROL)
            self.assertEqual(client.recv(10), b'')

    @contextlib.contextmanager
    def accepting(self):
        """The server takes connections, keeps them and reads nothing."""
        stop = threading.Event()
        held = []

        def accept():
            while not stop.is_set():
                with contextlib.suppress(TimeoutError):
                    held.append(self.server.accept())

        self.server.socket.settimeout(1)
        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
            self.server.socket.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while True:
                    held.append(self.server.socket.accept()[0])
            self.server.socket.settimeout(vsockvm.BOOT_SECONDS)
            for connection in held:
                connection.close()

    def test_a_storm_of_connections_and_a_thousand_at_once(self):
        with self.accepting():
            self.ask('storm 1024 500')
            before = self.guest.pss_kib()
            self.assertEqual(self.ask('hold 1024 1000')[0], 1000)
            memory = self.guest.pss_kib()
            self.assertEqual(self.guest.do('hold 1024 100')[0], 'error')  # 1024 in all
            self.assertIn('refused reason=limit', self.guest.log())
            self.assertLess(memory['Pss_Anon'] - before['Pss_Anon'], 1024)
            self.ask('drop')
        self.test_an_absent_socket_is_a_reset()  # and it goes on

    def test_a_guest_that_fills_every_connection_fills_no_more_than_the_limit(self):
        with self.accepting():
            self.ask('hold 1024 1000')
            total = 0
            while more := self.ask('stuff')[0]:  # until credit comes no more
                total += more
            memory = self.guest.pss_kib()['Pss_Anon']
            self.assertGreater(memory, 36 << 10)  # all windows are full: 16 MiB and 936 small ones
            print(f'# {total >> 20} MiB sent, {memory >> 10} MiB held')
            self.assertLess(memory, LIMIT >> 10)
            self.assertNotIn('reason=memory', self.guest.log())
            self.ask('drop')
        deadline = time.monotonic() + 10
        while self.guest.pss_kib()['Pss_Anon'] > 4096 and time.monotonic() < deadline:
            time.sleep(0.05)
        self.assertLess(self.guest.pss_kib()['Pss_Anon'], 4096)  # given back

    def test_the_driver_may_be_loaded_anew(self):
        self.assertEqual(self.guest.log().count("the guest's driver is ready"), 2, self.guest.console())

    def test_the_device_is_in_a_jail(self):
        with open(f'/proc/{self.guest.device.pid}/status') as f:
            status = dict(line.rstrip('\n').split(':\t', 1) for line in f if ':\t' in line)
        self.assertEqual(status['Seccomp'].strip(), '2')
        self.assertEqual(status['NoNewPrivs'].strip(), '1')
        limits = resource.prlimit(self.guest.device.pid, resource.RLIMIT_DATA)
        self.assertEqual(limits, (LIMIT, LIMIT))
        self.assertEqual(resource.prlimit(self.guest.device.pid, resource.RLIMIT_CORE), (0, 0))
        self.assertEqual(resource.prlimit(self.guest.device.pid, resource.RLIMIT_FSIZE), (LOG_LIMIT, LOG_LIMIT))
        with open(f'/proc/{self.guest.device.pid}/maps') as f:
            libraries = {line.split('/')[-1].strip() for line in f if '.so' in line}
        self.assertTrue(all(name.startswith(('libc.', 'ld-')) for name in libraries), libraries)


class Leftovers(unittest.TestCase):
    """What a guest sent goes to a slow reader of the host also when the machine is gone."""

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix='mvm-vsock-')
        self.server = vsockvm.Listener(self.folder, 'server')
        self.guest = vsockvm.Guest([f'connect:1024:{self.server.path}'], folder=self.folder)
        self.addCleanup(self.guest.close)
        self.addCleanup(self.server.close)

    def fill(self):
        """A connection that takes no more; the guest's count of what it sent."""
        self.assertEqual(self.guest.do('hold 1024 1')[0], 'ok')
        connection = self.server.accept()
        total = 0
        while more := self.guest.do('stuff')[1][0]:
            total += more
        return connection, total

    def test_of_a_machine_that_is_killed(self):
        connection, total = self.fill()
        with connection:
            self.guest.machine.kill()
            self.guest.machine.wait()
            time.sleep(0.2)
            self.assertIsNone(self.guest.device.poll())
            self.assertEqual(len(read_all(connection)), total)
        self.assertEqual(self.guest.device.wait(20), 0)
        self.assertIn('bytes still go to the host', self.guest.log())

    def test_of_a_guest_that_ends(self):
        connection, total = self.fill()
        with connection:
            self.guest.order('quit')
            self.guest.machine.wait(vsockvm.BOOT_SECONDS)
            self.assertEqual(len(read_all(connection)), total)
        self.assertEqual(self.guest.device.wait(20), 0)


class Ends(unittest.TestCase):
    def start(self, limits=(), log=subprocess.PIPE):
        """@limits: (which, value) of setrlimit(2), both the soft and the hard one."""
        machine, device = socket.socketpair()
        once, far = socket.socketpair()
        process = e2e.find_program('microvm-vsock')
        high = [os.dup(s.fileno()) for s in (device, once)]

        def place():
            moved = [os.dup(fd) for fd in high]
            for i, fd in enumerate(moved):
                os.dup2(fd, 3 + i, True)
            for which, value in limits:
                resource.setrlimit(which, (value, value))

        child = subprocess.Popen([process, 'once:1:4'], stderr=log, preexec_fn=place, close_fds=False)
        for fd in high:
            os.close(fd)
        for s in (device, once):
            s.close()
        if child.stderr:
            self.addCleanup(child.stderr.close)
        self.addCleanup(child.wait)
        self.addCleanup(child.kill)
        self.addCleanup(far.close)
        return machine, child

    def test_it_ends_with_the_machine(self):
        machine, child = self.start()
        machine.close()
        self.assertEqual(child.wait(20), 0)

    def test_a_machine_that_breaks_the_rules_is_named(self):
        machine, child = self.start()
        with machine:
            machine.sendall(bytes.fromhex('1f0000000100000000000000'))
            self.assertEqual(child.wait(20), 1)
        self.assertIn(b'vhost-user: request 31 (GET_INFLIGHT_FD) was not offered', child.stderr.read())

    def test_few_descriptors_are_few_connections(self):
        needed = 32 + 32 + 1 + 1  # others, the agents', the one of the command line, and one connection
        machine, child = self.start([(resource.RLIMIT_NOFILE, needed)])
        machine.close()
        self.assertEqual(child.wait(20), 0)
        self.assertIn(b'the limit of open files leaves 1 connections at once', child.stderr.read())
        machine, child = self.start([(resource.RLIMIT_NOFILE, needed - 1)])
        machine.close()
        self.assertEqual(child.wait(20), 1)
        self.assertIn(b'a limit of 65 open files, where 66 are needed', child.stderr.read())

    def test_a_log_that_is_full_grows_no_more_and_ends_nothing(self):
        for size in (LOG_LIMIT - 1000, LOG_LIMIT):
            with tempfile.NamedTemporaryFile() as log, open(log.name, 'ab') as out:
                out.truncate(size)
                machine, child = self.start(log=out)
                with machine:
                    machine.sendall(bytes.fromhex('1f0000000100000000000000'))
                    self.assertEqual(child.wait(20), 1)  # and not SIGXFSZ
                grown = os.path.getsize(log.name) - size
                self.assertEqual(grown > 0, size < LOG_LIMIT, grown)

    def test_wrong_words_are_named(self):
        for word, why in (('connect:1', 'starts with'), ('listen:1:4', 'descriptor 4'), ('what', "'what'")):
            told = subprocess.run([e2e.find_program('microvm-vsock'), word], stderr=subprocess.PIPE,
                                  stdin=subprocess.DEVNULL)
            self.assertEqual(told.returncode, 2, told.stderr)

    def test_it_dies_with_its_parent(self):
        machine, device = socket.socketpair()
        once, far = socket.socketpair()
        read_end, write_end = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.dup2(os.dup(device.fileno()), 103)
            os.dup2(os.dup(once.fileno()), 104)

            def place():
                os.dup2(103, 3, True)
                os.dup2(104, 4, True)
            child = subprocess.Popen([e2e.find_program('microvm-vsock'), 'once:1:4'], stderr=subprocess.DEVNULL,
                                     preexec_fn=place, close_fds=False)
            os.write(write_end, str(child.pid).encode())
            signal.pause()
        try:
            child = int(os.read(read_end, 20))
            machine.sendall(bytes.fromhex('010000000100000000000000'))
            machine.recv(20)  # it is there, and in its jail
        finally:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and alive(child):
            time.sleep(0.05)
        self.assertFalse(alive(child))
        for s in (machine, device, once, far):
            s.close()
        os.close(read_end)
        os.close(write_end)


def alive(pid):
    try:
        return pathlib.Path(f'/proc/{pid}/stat').read_text().rsplit(')', 1)[1].split()[0] != 'Z'
    except (FileNotFoundError, ProcessLookupError):
        return False


if __name__ == '__main__':
    tap.main()
