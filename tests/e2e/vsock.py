#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A guest's vsock ports as UNIX sockets of the host, both ways. One VM serves most tests."""
import array
import hashlib
import os
import queue
import random
import socket
import stat
import subprocess
import threading

import e2e
import tap

MIB = 1 << 20
# A server that is gone as soon as it has got a byte.
DIES = '''
import os, socket, sys
s = socket.socket(socket.AF_UNIX)
s.bind(sys.argv[1])
os.chmod(sys.argv[1], 0o666)
s.listen()
print('up', flush=True)
s.accept()[0].recv(1)
os._exit(0)
'''
# All of it once; the other identity's run shows that nothing of it needs root.
BULK = (200 if os.environ.get('MICROVM_TEST_AS', 'root') == 'root' else 20) * MIB


class Server(threading.Thread):
    """A program on the host that listens on a UNIX socket; @serve gets each connection in a thread of its own."""

    def __init__(self, path, serve):
        super().__init__(daemon=True)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        os.chmod(path, 0o666)
        self.listener.listen(1024)
        self.path, self.serve, self.connections = path, serve, []
        self.start()

    def run(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections.append(connection)
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def close(self):
        # shutdown() first: it wakes the accept() that another thread is in.
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for connection in self.connections:
            connection.close()
        self.path.unlink()


def echo(connection):
    try:
        while data := connection.recv(65536):
            connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def pattern(size):
    """Reproducible bytes that no run of equal blocks hides a loss in."""
    return random.Random(size).randbytes(size)


def guest_pattern(size):
    """What `vsock-tool pattern` writes: 32-bit numbers, no two of them alike."""
    return array.array('I', range((size + 3) // 4)).tobytes()[:size]


def receive_all(connection):
    parts = []
    while data := connection.recv(1 << 20):
        parts.append(data)
    return b''.join(parts)


class Vsock(e2e.Case):
    vm = None

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        host = cls.host
        cls.folder = host.base / 'home'
        cls.first, cls.second, cls.into, cls.uds = (cls.folder / n for n in ('first.sock', 'second.sock', 'into.sock',
                                                                             'uds.sock'))
        started = host.command('run', '-d', '--name', 'vs', '--rm', '--vsock', f'5001:{cls.first}',
                               '--vsock', f'5000:{cls.second}', '--vsock', f'6000:{cls.into}:listen',
                               '--vsock-uds', cls.uds, host.sample, 'sleep', '3600')
        assert started.status == 0 and started.out == b'vs\n', started
        cls.addClassCleanup(host.command, 'rm', '-f', 'vs')
        copied = host.command('cp', e2e.vsock_tool(), 'vs:/bin/vsock-tool')
        assert copied.status == 0, copied

    def clear(self):
        pass  # the VM is there until the end

    def serve(self, path, serve):
        server = Server(path, serve)
        self.addCleanup(server.close)
        return server

    def guest(self, *words, **kw):
        return self.host.command('exec', *(['-i'] if kw.get('input') is not None else []), 'vs', 'vsock-tool', *words,
                                 **kw)

    def test_a_guest_reaches_the_host_s_socket_and_ends_halves_apart(self):
        # The server answers only after the end of what it reads: both half-closes are needed.
        self.serve(self.first, lambda c: (c.sendall(receive_all(c)[::-1]), c.close()))
        self.assert_ran(self.guest('connect', '5001', input=b'guest to host'), b'tsoh ot tseug')

    def test_the_host_ends_its_half_first(self):
        got = queue.Queue()

        def serve(connection):
            connection.sendall(b'first word')
            connection.shutdown(socket.SHUT_WR)
            got.put(receive_all(connection))
            connection.close()
        self.serve(self.first, serve)
        self.assert_ran(self.guest('connect', '5001', input=b'late answer'), b'first word')
        # The guest's end does not wait for the server's thread.
        self.assertEqual(got.get(timeout=e2e.SETTLE), b'late answer')

    def test_two_ports_reach_their_own_sockets(self):
        self.serve(self.first, lambda c: (c.sendall(b'first'), c.close()))
        self.serve(self.second, lambda c: (c.sendall(b'second'), c.close()))
        self.assert_ran(self.guest('connect', '5000', input=b''), b'second')
        self.assert_ran(self.guest('connect', '5001', input=b''), b'first')

    def test_bulk_arrives_whole_both_ways(self):
        data = pattern(BULK)
        got = queue.Queue()

        def serve(connection):
            sender = threading.Thread(target=lambda: (connection.sendall(data), connection.shutdown(socket.SHUT_WR)))
            sender.start()
            digest = hashlib.sha256()
            size = 0
            while part := connection.recv(1 << 20):
                digest.update(part)
                size += len(part)
            got.put((size, digest.hexdigest()))
            sender.join()
            connection.close()
        self.serve(self.first, serve)
        result = self.host.command('exec', 'vs', 'sh', '-c',
                                   f'vsock-tool pattern {BULK} | vsock-tool connect 5001 | sha256sum', timeout=300)
        self.assert_ran(result, hashlib.sha256(data).hexdigest().encode() + b'  -\n')
        self.assertEqual(got.get(timeout=e2e.SETTLE), (BULK, hashlib.sha256(guest_pattern(BULK)).hexdigest()))

    def test_a_thousand_connections_at_once(self):
        server = self.serve(self.first, echo)
        self.assert_ran(self.guest('many', '5001', '1000', input=b'', timeout=300), b'1000 connections\n')
        self.assertEqual(len(server.connections), 1000)

    def test_a_stalled_connection_stalls_no_other(self):
        held = threading.Event()
        self.serve(self.first, lambda c: held.wait(60))  # never reads
        self.serve(self.second, echo)
        stalled = self.host.start('exec', 'vs', 'sh', '-c', 'head -c 50000000 /dev/zero | vsock-tool connect 5001')
        try:
            data = pattern(2 * MIB)
            self.assert_ran(self.guest('connect', '5000', input=data), data)
            self.assertIsNone(stalled.process.poll())
        finally:
            stalled.process.terminate()
            held.set()
            stalled.finish()

    def test_a_socket_where_nobody_listens_refuses_at_once(self):
        self.assertFalse(self.first.exists())
        # ECONNRESET: what a reset in answer to a request becomes in Linux' driver (vmw_vsock_virtio_transport_common).
        self.assert_ran(self.guest('errno', '5001'), b'104\n')
        self.assert_ran(self.guest('errno', '7777'), b'104\n')
        self.assert_ran(self.guest('errno', '1023'), b'104\n')

    def test_other_cids_lead_nowhere(self):
        server = self.serve(self.first, echo)
        # Its own CID, that of no machine, and that of the loopback, which the guest's kernel has no transport for.
        for cid, errno in (('3', b'19\n'), ('4', b'104\n'), ('1', b'104\n')):
            self.assert_ran(self.guest('cid', cid, '5001'), errno)
        self.assertEqual(server.connections, [])
        self.assert_ran(self.guest('cid', '2', '5001'), b'0\n')

    def test_a_server_may_be_restarted(self):
        for word in (b'one', b'two'):
            server = Server(self.first, lambda c, w=word: (c.sendall(w), c.close()))
            try:
                self.assert_ran(self.guest('connect', '5001', input=b''), word)
            finally:
                server.close()
            self.assert_ran(self.guest('errno', '5001'), b'104\n')

    def test_a_server_that_dies_ends_the_guest_s_connection(self):
        server = subprocess.Popen(['/usr/bin/python3', '-c', DIES, self.first], stdout=subprocess.PIPE)
        try:
            self.assertEqual(server.stdout.readline(), b'up\n')
            script = '(echo x; sleep 3) | vsock-tool connect 5001; echo ended'
            guest = self.host.start('exec', 'vs', 'sh', '-c', script)
            guest.wait_for(b'ended\n')
            guest.process.terminate()
            guest.finish()
        finally:
            server.wait()
            server.stdout.close()
            self.first.unlink()

    def test_the_host_reaches_a_port_of_the_guest(self):
        self.assertEqual(stat.S_IMODE(self.into.stat().st_mode), 0o600)
        guest = self.host.start('exec', '-i', 'vs', 'vsock-tool', 'listen', '6000', stdin=subprocess.PIPE)
        self.wait_for_err(guest, b'listening')
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(str(self.into))
            s.sendall(b'host to guest')
            s.shutdown(socket.SHUT_WR)
            guest.wait_for(b'host to guest')
            guest.process.stdin.write(b'and back')
            guest.process.stdin.close()
            self.assertEqual(receive_all(s), b'and back')
        self.assert_ran(guest.finish(), b'host to guest', None)

    def wait_for_err(self, started, text):
        with started.changed:
            self.assertTrue(started.changed.wait_for(lambda: text in started.err, e2e.TIMEOUT), bytes(started.err))

    def test_a_port_where_no_guest_program_listens_closes(self):
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(e2e.TIMEOUT)
            s.connect(str(self.into))
            try:
                self.assertEqual(s.recv(1), b'')
            except ConnectionResetError:
                pass

    def hybrid(self, line):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(e2e.TIMEOUT)
        s.connect(str(self.uds))
        s.sendall(line)
        self.addCleanup(s.close)
        return s

    def test_the_hybrid_socket_takes_the_port_from_its_client(self):
        guest = self.host.start('exec', 'vs', 'vsock-tool', 'echo', '7000')
        self.wait_for_err(guest, b'listening')
        try:
            clients = [self.hybrid(b'CONNECT 7000\n') for _ in range(3)]
            for i, s in enumerate(clients):
                answer = b''
                while not answer.endswith(b'\n'):
                    answer += s.recv(1)
                self.assertRegex(answer, rb'\AOK \d+\n\Z')
                s.sendall(b'%d' % i)
            for i, s in enumerate(clients):
                self.assertEqual(s.recv(1), b'%d' % i)
        finally:
            guest.process.terminate()
            guest.finish()

    def test_the_hybrid_socket_refuses_the_rest(self):
        for line in (b'CONNECT 1023\n', b'CONNECT 9\n', b'CONNECT x\n', b'GET / HTTP/1.1\n', b'CONNECT ' + b'1' * 5000):
            s = self.hybrid(line)
            try:
                self.assertEqual(s.recv(1), b'', line)
            except ConnectionResetError:
                pass

    def test_a_guest_reaches_sockets_beside_the_hybrid_one(self):
        self.serve(self.uds.with_name('uds.sock_8000'), lambda c: (c.sendall(b'by name'), c.close()))
        self.assert_ran(self.guest('connect', '8000', input=b''), b'by name')


class Refused(e2e.Case):
    def test_ports_and_paths_that_cannot_be(self):
        home = self.host.base / 'home'
        (home / 'file').write_text('x')
        for value, *words in (('0:/run/x', 'port 0'), ('4294967295:/run/x', '4294967295'), ('1023:/run/x', 'agent'),
                              ('5:run/x', 'absolute'), ('5:/' + 'x' * 107, '107'), ('x:/run/x', 'PORT:SOCKET'),
                              ('5', 'PORT:SOCKET'), ('4294967296:/run/x', 'PORT:SOCKET'), ('5:', 'absolute')):
            self.assert_refused(self.host.run('--vsock', value, '--', 'true'), '--vsock', *words)
        self.assert_refused(self.host.run('--vsock', '5:/run/x', '--vsock', '5:/run/y', '--', 'true'), 'port 5',
                            'before')
        self.assert_refused(self.host.run('--vsock', f'5:{home}/file', '--', 'true'), 'port 5', 'no socket')
        self.assert_refused(self.host.run('--vsock', f'5:{home}/file:listen', '--', 'true'), 'port 5', 'no socket')
        self.assert_refused(self.host.run('--vsock', f'5:{home}/none/x:listen', '--', 'true'), 'port 5', 'none/x')
        self.assert_refused(self.host.run('--vsock-uds', 'rel', '--', 'true'), '--vsock-uds', 'absolute')
        self.assert_refused(self.host.run('-d', '-t', '--', 'true'), '-d', '-t')

    def test_a_socket_that_is_in_use(self):
        path = self.host.base / 'home' / 'used.sock'
        server = Server(path, lambda c: c.close())
        try:
            self.assert_refused(self.host.run('--vsock', f'5:{path}:listen', '--', 'true'), 'port 5', 'in use')
        finally:
            server.close()

    def test_sockets_go_with_their_vm(self):
        path = self.host.base / 'home' / 'gone.sock'
        self.assert_ran(self.host.run('--vsock', f'5:{path}:listen', '--', 'true'))
        self.assertFalse(path.exists())


if __name__ == '__main__':
    tap.main()
