#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Images from a container engine: Podman's service, which speaks Docker's API, and, for what goes wrong and for the
forms that Docker has, a server that answers as Docker Engine API v1.43 describes it (ImageInspect, ImageGet)."""
import hashlib
import http.server
import io
import json
import os
import pathlib
import re
import shutil
import socket
import socketserver
import ssl
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
import unittest
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'support'))
import ocilayout
import storetest
import tap

REGISTRY_ONLY, LOCAL_FIRST, REGISTRY_FIRST, LOCAL_ONLY = map(str, range(4))


def tar_of(members):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode='w') as t:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            t.addfile(info, io.BytesIO(data))
    return out.getvalue()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def log_message(self, *_):
        pass

    def address_string(self):
        return 'local'

    def answer(self, status, body, cut=None):
        self.send_response(status)
        self.send_header('Content-Type', 'application/json')
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        try:
            self.wfile.write(body[:cut])
        except OSError:
            pass
        if cut is not None:
            self.close_connection = True

    def do_GET(self):
        s = self.server
        path = urllib.parse.unquote(self.path)
        s.requests.append(path)
        path = path.removeprefix(s.prefix)
        if path.startswith('/images/get?names='):
            name = path.removeprefix('/images/get?names=')
            if name in s.exports:
                return self.answer(200, s.exports[name], s.cut)
        elif path.startswith('/images/') and path.endswith('/json'):
            name = path[len('/images/'):-len('/json')]
            if name in s.images:
                found = s.images[name]
                return self.answer(200, found if isinstance(found, bytes) else json.dumps(found).encode())
        self.answer(*s.failure)


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True

    def __init__(self, path):
        super().__init__(path, Handler)
        os.chmod(path, 0o666)
        self.reset()

    def reset(self):
        self.requests, self.images, self.exports = [], {}, {}
        self.prefix, self.cut, self.failure = '', None, (404, b'{"message":"No such image"}')

    def handle_error(self, *_):
        pass


class TcpServer(http.server.ThreadingHTTPServer):
    daemon_threads = True
    reset, handle_error = Server.reset, Server.handle_error


class DaemonTest(storetest.StoreTest):
    def serve(self, server):
        self.addCleanup(server.server_close)
        thread = threading.Thread(target=server.serve_forever, kwargs={'poll_interval': 0.05})
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(server.shutdown)
        return server

    def setUp(self):
        super().setUp()
        os.chmod(self.base, 0o755)
        # Nothing of this machine's own engines.
        self.environment = {'XDG_RUNTIME_DIR': '', 'DOCKER_HOST': f'unix://{self.base}/engine.sock'}
        for name in ('DOCKER_CONFIG', 'DOCKER_CONTEXT', 'DOCKER_API_VERSION', 'DOCKER_CERT_PATH', 'DOCKER_TLS_VERIFY'):
            self.environment[name] = ''


class Fake(DaemonTest):
    def setUp(self):
        super().setUp()
        self.server = self.serve(Server(f'{self.base}/engine.sock'))
        self.image = ocilayout.Image([ocilayout.tar(('f', b'1')), ocilayout.tar(('g', b'2'))], ocilayout.plain)
        manifest = json.loads(self.image.manifest)
        self.config = manifest['config']['digest']
        self.members = {'c.json': self.image.blobs[self.config]}
        for i, layer in enumerate(manifest['layers']):
            self.members[f'{i}.tar'] = self.image.blobs[layer['digest']]
        self.members['manifest.json'] = json.dumps([{'Config': 'c.json', 'RepoTags': None,
                                                     'Layers': ['0.tar', '1.tar']}]).encode()
        self.offer(self.config, tar_of(self.members))

    def offer(self, identity, export, architecture=ocilayout.ARCHITECTURE, system='linux', names=('app:1',)):
        for name in (*names, identity):
            self.server.images[name] = {'Id': identity, 'Os': system, 'Architecture': architecture, 'Size': 1}
        self.server.exports[identity] = export

    def test_inspected_then_exported_by_id(self):
        path = self.pull_good('docker-daemon:app:1')
        self.assertEqual(self.content(path), {'f': b'1', 'g': b'2'})
        self.assertEqual(self.server.requests, ['/images/app:1/json', f'/images/get?names={self.config}'])
        self.assertEqual(self.run_tool('--list').stdout.split()[0], 'docker-daemon:docker.io/library/app:1')
        self.assertEqual(self.run_tool('--list').stdout.count('\n'), 2)    # and the total

    def test_known_image_is_not_exported(self):
        path = self.pull_good('docker-daemon:app:1')
        self.server.requests.clear()
        self.assertEqual(self.pull_good('docker-daemon:app:1'), path)
        self.assertEqual(self.pull_good(f'docker-daemon:{self.config}'), path)
        self.environment['PULL_TOOL_SOURCE'] = LOCAL_FIRST
        self.assertEqual(self.pull_good('app:1', 'always'), path)
        self.assertFalse(any('get?' in r for r in self.server.requests), self.server.requests)
        # What is gone is exported again.
        shutil.rmtree(os.path.dirname(path))
        self.assertEqual(self.pull_good('docker-daemon:app:1'), path)
        self.assertEqual(self.server.requests[-1], f'/images/get?names={self.config}')

    def test_name_that_means_another_image_now(self):
        first = self.pull_good('docker-daemon:app:1')
        image = ocilayout.Image([ocilayout.tar(('f', b'3'))], ocilayout.plain)
        manifest = json.loads(image.manifest)
        identity = manifest['config']['digest']
        self.offer(identity, tar_of({
            'c': image.blobs[identity], 'l': image.blobs[manifest['layers'][0]['digest']],
            'manifest.json': b'[{"Config":"c","RepoTags":["app:1"],"Layers":["l"]}]'}))
        self.assertNotEqual(self.pull_good('docker-daemon:app:1'), first)
        self.assertEqual(self.pull_good('docker-daemon:app:1', 'never'), self.pull_good('docker-daemon:app:1'))

    def test_engine_with_the_registries_form(self):
        """The id is a manifest's digest, or an index's; the export is an OCI layout as well."""
        other = ocilayout.Image([ocilayout.tar(('which', b'other'))], architecture=ocilayout.FOREIGN)
        index = ocilayout.index(other.descriptor, self.image.descriptor)
        blobs = {**self.image.blobs, ocilayout.digest(index): index}
        layout = {'blobs/' + d.replace(':', '/'): data for d, data in blobs.items()}
        layout['manifest.json'] = self.members['manifest.json']
        for identity in (ocilayout.digest(self.image.manifest), ocilayout.digest(index)):
            self.server.reset()
            self.offer(identity, tar_of({**self.members, **layout}))
            path = self.pull_good('docker-daemon:app:1')
            # The registry's own digest.
            self.assertIn(hashlib.sha256(self.image.manifest).hexdigest(), path)
            self.clear_store()

    def test_classic_engine_whose_export_is_a_layout_too(self):
        layout = {'blobs/' + self.config.replace(':', '/'): self.image.blobs[self.config]}
        self.offer(self.config, tar_of({**self.members, **layout}))
        self.assertEqual(self.content(self.pull_good('docker-daemon:app:1')), {'f': b'1', 'g': b'2'})

    def test_wrong_image_is_refused(self):
        identity = 'sha256:' + '1' * 64
        self.offer(identity, tar_of(self.members))
        self.assertIn(f'it has the image config {self.config}, asked for was {identity}',
                      self.pull_bad('docker-daemon:app:1'))

    def test_other_platform_counts_as_missing(self):
        self.offer(self.config, tar_of(self.members), architecture=ocilayout.FOREIGN)
        error = self.pull_bad('docker-daemon:app:1')
        self.assertIn(f'has it for linux/{ocilayout.FOREIGN}, wanted is linux/{ocilayout.ARCHITECTURE}', error)
        self.assertEqual(self.server.requests, ['/images/app:1/json'])
        self.assertTrue(self.pull('docker-daemon:app:1').stderr.startswith('-6 '))

    def test_answers_that_are_refused(self):
        good = self.server.images['app:1']
        for answer, words in ((b'<', 'not JSON'), (b'[]', 'not an object'), (b'{}', "'Id' is missing"),
                              ({**good, 'Id': 'x'}, 'digest'), ({**good, 'Os': None}, "'Os' is missing"),
                              ({**good, 'Os': 'x' * 32}, "'Os' has more than 31 characters"),
                              ({**good, 'Architecture': 7}, "'Architecture'"),
                              (b'{' + b' ' * (8 << 20) + b'}', 'more than the limit of 8388608 bytes')):
            self.server.images['app:1'] = answer
            with self.subTest(words):
                self.assertIn(words, self.pull_bad('docker-daemon:app:1'))
        self.server.images['app:1'] = {**good, 'Os': 'x' * 31}
        self.assertIn('has it for ' + 'x' * 31, self.pull_bad('docker-daemon:app:1'))

    def test_failures_of_the_engine(self):
        for failure, code, words in (((404, b'{"message":"No such image: x"}'), -6, 'status 404: No such image: x'),
                                     ((500, b'{"message":"broken\\u001b[0m"}'), -15, 'status 500: broken'),
                                     ((503, b'<html>'), -15, 'status 503'),
                                     ((400, b'{"message":7}'), -15, 'status 400'),
                                     ((301, b''), -15, 'status 301'), ((200, b''), -4, 'not JSON')):
            self.server.failure = failure
            with self.subTest(words):
                result = self.pull('docker-daemon:nope')
                self.assertTrue(result.stderr.startswith(f'{code} pull docker-daemon:nope: '), result.stderr)
                self.assertIn(words, result.stderr)
                self.assertIn(f'{self.base}/engine.sock', result.stderr) if code != -4 else None

    def test_export_that_breaks_off(self):
        whole = len(self.server.exports[self.config])
        for cut in (0, 1, 700, whole - 1):
            self.server.cut = cut
            with self.subTest(cut):
                self.assertIn('export the image', self.pull_bad('docker-daemon:app:1'))
        self.server.cut = None
        self.server.exports[self.config] = b'garbage' * 1000
        self.assertIn('export the image: malformed tar', self.pull_bad('docker-daemon:app:1'))
        self.server.exports.clear()
        self.assertIn('status 404', self.pull_bad('docker-daemon:app:1'))

    def test_cancelled_during_the_export(self):
        self.server.exports[self.config] = tar_of({**self.members, 'noise': bytes(300 << 20)})
        result = self.pull('docker-daemon:app:1', cancel=3)
        self.assertIn('cancelled', result.stderr)
        self.assert_clean()

    def test_memory_does_not_grow_with_the_image(self):
        self.server.exports[self.config] = tar_of({**self.members, 'noise': bytes(300 << 20)})
        process = subprocess.Popen(self.command('docker-daemon:app:1'), env=self.variables(),
                                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        peak = 0
        while process.poll() is None:
            # Of the program that runs now: what a parent had before its exec counts in rusage.
            found = re.search(r'Name:\s*pull-tool\n(?:.*\n)*VmHWM:\s*(\d+) kB',
                              pathlib.Path(f'/proc/{process.pid}/status').read_text())
            peak = max(peak, int(found[1]) if found else 0)
            time.sleep(0.005)
        self.assertEqual(process.returncode, 0)
        # With the sanitizers each thing is several times as large, but not as large as the image.
        self.assertIn(peak, range(1, 200 << 10))

    def test_digest_cannot_be_proved(self):
        name = f'app@sha256:{"0" * 64}'
        self.assertIn('cannot prove', self.pull_bad(f'docker-daemon:{name}'))
        self.environment['PULL_TOOL_SOURCE'] = LOCAL_ONLY
        self.assertIn('cannot prove', self.pull_bad(name))
        self.assertEqual(self.server.requests, [])
        # The engine is not asked for what only a registry can prove.
        self.environment['PULL_TOOL_SOURCE'] = LOCAL_FIRST
        self.pull_bad(f'127.0.0.1:1/{name}')
        self.assertEqual(self.server.requests, [])

    # Order of the sources

    def test_orders(self):
        name = '127.0.0.1:1/app:1'
        self.offer(self.config, tar_of(self.members), names=(name,))
        for order in (LOCAL_FIRST, REGISTRY_FIRST, LOCAL_ONLY):
            self.environment['PULL_TOOL_SOURCE'] = order
            with self.subTest(order):
                self.assertEqual(self.content(self.pull_good(name))['g'], b'2')
                self.assertEqual(self.run_tool('--list').stdout.split()[0], name)
                self.clear_store()
        self.server.requests.clear()
        self.environment['PULL_TOOL_SOURCE'] = REGISTRY_ONLY
        self.assertTrue(self.pull(name).stderr.startswith('-15 '))
        self.assertEqual(self.server.requests, [])

    def test_all_reasons_are_told(self):
        for order, first, second in ((LOCAL_FIRST, 'container engine', 'registry'),
                                     (REGISTRY_FIRST, 'registry', 'container engine')):
            self.environment['PULL_TOOL_SOURCE'] = order
            self.environment['PULL_TOOL_LOG'] = '4'
            result = self.pull('127.0.0.1:1/nope:2')
            self.assertEqual(result.returncode, 125)
            lines = result.stderr.splitlines()
            self.assertIn(f'log image: source 1 of 2, {first}, does not have 127.0.0.1:1/nope:2: ', lines[0])
            self.assertRegex(lines[-1], f'^-(6|15) pull 127.0.0.1:1/nope:2: {first}: .*; {second}: ')
            for reason in ('No such image', 'port 1'):
                self.assertIn(reason, lines[-1])
        self.environment['PULL_TOOL_SOURCE'] = LOCAL_ONLY
        self.assertIn('No such image', self.pull_bad_line('127.0.0.1:1/nope:2'))

    def pull_bad_line(self, name):
        result = self.pull(name)
        self.assertEqual(result.returncode, 125)
        return result.stderr.splitlines()[-1]

    def test_cancelling_stops_at_once(self):
        self.environment['PULL_TOOL_SOURCE'] = LOCAL_FIRST
        self.server.exports[self.config] = tar_of({**self.members, 'noise': bytes(300 << 20)})
        error = self.pull('app:1', cancel=3).stderr
        self.assertIn('cancelled', error)
        self.assertNotIn('registry', error)

    def test_engine_that_hangs_leaves_it_to_the_registry(self):
        with socket.socket(socket.AF_UNIX) as silent:
            silent.bind(f'{self.base}/silent.sock')
            silent.listen()
            self.environment.update(DOCKER_HOST=f'unix://{self.base}/silent.sock', PULL_TOOL_SOURCE=LOCAL_FIRST,
                                    PULL_TOOL_STALL_MS='300')
            self.assertRegex(self.pull_bad_line('localhost:1/app:1'),
                             'container engine: .*no byte for 300 ms; registry: .*localhost:1')

    # Where the engine is

    def test_api_version(self):
        self.environment['DOCKER_API_VERSION'] = '1.40'
        self.server.prefix = '/v1.40'
        self.pull_good('docker-daemon:app:1')
        self.assertEqual(self.server.requests[0], '/v1.40/images/app:1/json')

    def test_docker_host_alone_counts(self):
        for host, words in (('ssh://me@host', 'unix://PATH or tcp://HOST:PORT is wanted'),
                            ('unix://engine.sock', 'is not the absolute path'),
                            ('unix:///' + 'x' * 107, 'at most 107 bytes'), ('tcp://', 'no host is named'),
                            ('tcp://127.0.0.1:1', 'container engine at http://127.0.0.1:1'),
                            ('unix:///nowhere/x.sock', "DOCKER_HOST: '/nowhere/x.sock': No such file"),
                            ('unix:///' + 'x' * 1100, 'more than 1024 bytes')):
            self.environment['DOCKER_HOST'] = host
            with self.subTest(host[:40]):
                self.assertIn(words, self.pull_bad('docker-daemon:app:1'))

    def runtime(self, name):
        folder = self.folder('runtime')
        path = os.path.join(folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        self.environment.update(XDG_RUNTIME_DIR=folder, DOCKER_HOST='')
        return path

    @unittest.skipIf(os.path.exists('/var/run/docker.sock'), 'this machine has a Docker of its own')
    def test_sockets_are_tried_in_order(self):
        for name in ('docker.sock', 'podman/podman.sock'):
            path = self.runtime(name)
            os.symlink(f'{self.base}/engine.sock', path)
            with self.subTest(name):
                self.pull_good('docker-daemon:app:1')
            os.unlink(path)
        error = self.pull_bad('docker-daemon:app:1')
        for tried in ('/var/run/docker.sock', '/runtime/docker.sock', '/podman/podman.sock'):
            self.assertRegex(error, f"no container engine answers: .*'[^']*{tried}': No such file")
        # A socket on which nobody listens costs a connect.
        with socketserver.UnixStreamServer(self.runtime('docker.sock'), Handler):
            pass
        os.symlink(f'{self.base}/engine.sock', self.runtime('podman/podman.sock'))
        self.pull_good('docker-daemon:app:1')

    def context(self, host, name='mine', **more):
        folder = pathlib.Path(self.base, '.docker')
        meta = folder / 'contexts' / 'meta' / hashlib.sha256(name.encode()).hexdigest()
        meta.mkdir(parents=True, exist_ok=True)
        self.environment['DOCKER_HOST'] = ''
        (folder / 'config.json').write_text(json.dumps({'auths': {}, 'currentContext': name}))
        (meta / 'meta.json').write_text(json.dumps({'Name': name, 'Metadata': {}, 'Endpoints': {
            'docker': {'Host': host, 'SkipTLSVerify': False, **more}}}))
        return folder, meta

    def test_current_context(self):
        folder, meta = self.context(f'unix://{self.base}/engine.sock')
        self.pull_good('docker-daemon:app:1')
        for text, words in (('{', 'not JSON'), ('{}', "no 'docker' in 'Endpoints'"), ('[]', 'not an object'),
                            ('{"Endpoints":{"docker":{}}}', "'Host' is missing"),
                            ('{"Endpoints":{"docker":{"Host":"x"}}}', "container engine at 'x'"),
                            ('{' + ' ' * 65536 + '}', 'meta.json')):
            (meta / 'meta.json').write_text(text)
            with self.subTest(words):
                self.assertRegex(self.pull_bad('docker-daemon:app:1'), f"Docker context 'mine': .*{words}")
        (folder / 'config.json').write_text('{"currentContext":"gone"}')
        self.assertIn("Docker context 'gone'", self.pull_bad('docker-daemon:app:1'))
        self.environment['DOCKER_CONTEXT'] = 'other'
        self.context(f'unix://{self.base}/engine.sock', 'other')
        (folder / 'config.json').write_text('{"currentContext":"gone"}')
        self.pull_good('docker-daemon:app:1')
        (folder / 'config.json').write_text('{')
        self.pull_good('docker-daemon:app:1')
        self.environment['DOCKER_CONTEXT'] = ''
        self.assertIn('config.json: not JSON', self.pull_bad('docker-daemon:app:1'))

    @unittest.skipIf(os.path.exists('/var/run/docker.sock'), 'this machine has a Docker of its own')
    def test_context_that_does_not_answer(self):
        self.context('unix:///nowhere.sock')
        os.symlink(f'{self.base}/engine.sock', self.runtime('docker.sock'))
        self.pull_good('docker-daemon:app:1')

    def test_tls(self):
        server = TcpServer(('127.0.0.1', 0), Handler)
        server.reset()
        server.images, server.exports = self.server.images, self.server.exports
        certificates = self.folder('certificates')

        def openssl(*arguments):
            subprocess.run(['openssl', *arguments], cwd=certificates, check=True, stdin=subprocess.DEVNULL,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        openssl('req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', 'ca.key', '-out', 'ca.pem', '-days', '2',
                '-subj', '/CN=test ca')
        for name in ('server', 'client'):
            openssl('req', '-newkey', 'rsa:2048', '-nodes', '-keyout', f'{name}.key', '-out', f'{name}.csr', '-subj',
                    f'/CN={name}')
            pathlib.Path(certificates, 'ext').write_text('subjectAltName=IP:127.0.0.1\n')
            openssl('x509', '-req', '-in', f'{name}.csr', '-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial',
                    '-out', f'{name}.pem', '-days', '2', '-extfile', 'ext')
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(f'{certificates}/server.pem', f'{certificates}/server.key')
        context.load_verify_locations(f'{certificates}/ca.pem')
        context.verify_mode = ssl.CERT_REQUIRED
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        self.serve(server)
        mine = self.folder('mine')
        for source, target in (('ca.pem', 'ca.pem'), ('client.pem', 'cert.pem'), ('client.key', 'key.pem')):
            shutil.copy(f'{certificates}/{source}', f'{mine}/{target}')
        host = f'tcp://127.0.0.1:{server.server_port}'
        self.environment.update(DOCKER_HOST=host, DOCKER_CERT_PATH=mine, DOCKER_TLS_VERIFY='1')
        path = self.pull_good('docker-daemon:app:1')
        self.assertEqual(server.requests[0], '/images/app:1/json')
        # The same by a context.
        self.environment.update(DOCKER_CERT_PATH='', DOCKER_TLS_VERIFY='')
        folder, meta = self.context(host)
        shutil.copytree(mine, folder / 'contexts' / 'tls' / meta.name / 'docker')
        self.assertEqual(self.pull_good('docker-daemon:app:1'), path)
        # Without the authority's certificate the server is nobody.
        os.unlink(f'{mine}/ca.pem')
        self.environment.update(DOCKER_HOST=host, DOCKER_CERT_PATH=mine, DOCKER_TLS_VERIFY='1')
        self.assertIn('certificate', self.pull_bad('docker-daemon:app:1'))
        self.environment['DOCKER_TLS_VERIFY'] = ''
        self.assertEqual(self.pull_good('docker-daemon:app:1'), path)
        self.environment['DOCKER_CERT_PATH'] = '/nowhere'
        self.assertIn("the folder of certificates '/nowhere'", self.pull_bad('docker-daemon:app:1'))


@unittest.skipUnless(os.getuid() == 0, 'Podman with its plainest storage driver needs root')
class Podman(DaemonTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.home = tempfile.mkdtemp(prefix='podman-')
        cls.addClassCleanup(shutil.rmtree, cls.home, ignore_errors=True)
        cls.podman = ['podman', '--root', f'{cls.home}/root', '--runroot', f'{cls.home}/run', '--tmpdir',
                      f'{cls.home}/tmp', '--storage-driver', 'vfs']
        cls.socket = f'{cls.home}/podman.sock'
        # What podman writes of its own is no part of a test's output.
        cls.service = subprocess.Popen([*cls.podman, 'system', 'service', '--time=0', f'unix://{cls.socket}'],
                                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        cls.addClassCleanup(cls.service.wait)
        cls.addClassCleanup(cls.service.kill)
        deadline = time.monotonic() + storetest.TIMEOUT
        while not os.path.exists(cls.socket):
            assert time.monotonic() < deadline and cls.service.poll() is None, 'podman does not start'
            time.sleep(0.05)

    def test_image_of_podman(self):
        image = ocilayout.Image([ocilayout.tar(('f', b'1'), ('d', None)), ocilayout.tar(('g', b'2'))])
        folder = self.layout(t=image)
        subprocess.run(['skopeo', '--insecure-policy', 'copy', '-q', f'oci:{folder}:t',
                        f'docker-archive:{self.base}/d.tar:example.com/app:1'], check=True, stdin=subprocess.DEVNULL)
        subprocess.run([*self.podman, 'load', '-q', '-i', f'{self.base}/d.tar'], check=True,
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.environment['DOCKER_HOST'] = f'unix://{self.socket}'
        path = self.pull_good('docker-daemon:example.com/app:1')
        self.assertEqual(self.content(path), self.content(self.pull_good(f'oci:{folder}:t')))
        # The layers come plain from podman, as skopeo writes them.
        self.assertEqual(self.pull_good('docker-daemon:example.com/app:1'), path)
        identity = subprocess.run([*self.podman, 'image', 'inspect', '--format', '{{.Id}}', 'example.com/app:1'],
                                  check=True, capture_output=True, text=True,
                                  stdin=subprocess.DEVNULL).stdout.strip()
        self.assertEqual(self.pull_good(f'docker-daemon:sha256:{identity}'), path)
        self.environment['PULL_TOOL_SOURCE'] = LOCAL_FIRST
        self.assertEqual(self.pull_good('example.com/app:1'), path)
        error = self.pull_bad('docker-daemon:example.com/nope')
        self.assertIn('status 404', error)
        self.assertEqual(sorted(line.split()[0] for line in self.run_tool('--list').stdout.splitlines()),
                         sorted(['docker-daemon:example.com/app:1', f'docker-daemon:sha256:{identity}',
                                 'example.com/app:1', f'oci:{folder}:t', 'total']))


if __name__ == '__main__':
    tap.main()
