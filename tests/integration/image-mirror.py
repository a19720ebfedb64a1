#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Registries that are slow, busy, broken or lying, and the mirrors that stand in for them."""
import base64
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'support'))
import badregistry
import certificates
import ocilayout
import storetest
import tap
from badregistry import always, answer, errors, first


class Case(storetest.StoreTest):
    def setUp(self):
        super().setUp()
        self.good = ocilayout.Image([ocilayout.tar(('f', b'content'), ('r', os.urandom(300000)))], ocilayout.plain)
        self.server = self.registry()
        self.name = f'{self.server.address}/some/app:t'
        self.layer = max(self.good.blobs, key=lambda d: len(self.good.blobs[d]))
        self.data = self.good.blobs[self.layer]
        self.environment = {'XDG_RUNTIME_DIR': self.base}

    def registry(self, blobs=None, tags=None):
        server = badregistry.BadRegistry(self.good.blobs if blobs is None else blobs,
                                         {'t': (self.good.manifest, ocilayout.MANIFEST)} if tags is None else tags)
        self.addCleanup(server.close)
        return server

    def hook(self, pattern, function):
        self.server.hooks.append((pattern, function))


class Patience(Case):
    def test_every_temporary_status_is_tried_again(self):
        for status in (408, 429, 499, 500, 502, 503, 504, 522):
            with self.subTest(status):
                self.server.hooks = [('/manifests/', first(1, always(status, Retry_After='0')))]
                self.server.requests.clear()
                self.pull_good(self.name, 'always')
                self.assertEqual(self.server.count('/manifests/'), 2)

    def test_other_statuses_are_not(self):
        for status in (400, 401, 403, 404, 405, 501):
            with self.subTest(status):
                self.server.hooks = [('/manifests/', always(status))]
                self.server.requests.clear()
                self.pull_bad(self.name)
                self.assertEqual(self.server.count('/manifests/'), 1)

    def test_date_to_retry_after(self):
        then = time.strftime('%a, %d %b %Y %H:%M:%S GMT', time.gmtime(time.time() + 2.5))
        self.hook('/manifests/', first(1, always(503, Retry_After=then)))
        start = time.monotonic()
        self.pull_good(self.name)
        self.assertGreaterEqual(time.monotonic() - start, 1)
        self.assertLess(time.monotonic() - start, 20)

    def test_busy_blob_is_waited_for(self):
        self.hook(self.layer, first(2, always(429, Retry_After='0')))
        self.pull_good(self.name)
        self.assertEqual(self.server.count(self.layer), 3)

    def stall(self, sent):
        def send(handler):
            handler.send_response(200)
            handler.send_header('Content-Length', str(len(self.data)))
            handler.end_headers()
            handler.wfile.write(self.data[:sent])
            handler.wfile.flush()
            time.sleep(5)
            handler.close_connection = True
        return send

    def test_stalled_body_is_taken_up_again(self):
        self.environment['PULL_TOOL_STALL_MS'] = '500'
        self.hook(self.layer, first(1, self.stall(1000)))
        self.pull_good(self.name)
        self.assertEqual(self.server.count(self.layer), 2)

    def test_registry_that_stalls_for_ever_is_given_up(self):
        self.environment['PULL_TOOL_STALL_MS'] = '300'
        self.hook(self.layer, self.stall(1000))
        start = time.monotonic()
        self.assertRegex(self.pull_bad(self.name), rf'blobs/{self.layer}: no byte for 300 ms')
        self.assertLess(time.monotonic() - start, 30)
        self.assertLessEqual(self.server.count(self.layer), 5)

    def drip(self, pause, **headers):
        """From where it was asked on, a byte each time."""
        def send(handler):
            start = int(handler.headers.get('Range', 'bytes=0-')[6:-1])
            handler.send_response(206 if start else 200)
            if start:
                handler.send_header('Content-Range', f'bytes {start}-{len(self.data) - 1}/{len(self.data)}')
            handler.send_header('Content-Length', str(len(self.data) - start))
            handler.end_headers()
            for at in range(start, len(self.data)):
                handler.wfile.write(self.data[at:at + 1])
                handler.wfile.flush()
                time.sleep(pause)
        return send

    def test_body_that_drips_is_taken_up_again(self):
        self.environment.update(PULL_TOOL_STALL_MS='400', PULL_TOOL_SLOW_MS='500')
        self.hook(self.layer, first(2, self.drip(0.05)))
        self.pull_good(self.name)
        self.assertEqual(self.server.count(self.layer), 3)

    def test_registry_that_drips_for_ever_is_given_up(self):
        self.environment.update(PULL_TOOL_STALL_MS='400', PULL_TOOL_SLOW_MS='500')
        self.hook(self.layer, self.drip(0.05))
        self.assertRegex(self.pull_bad(self.name), rf'blobs/{self.layer}: too slow: \d+ bytes in \d+ ms')
        self.assertEqual(self.server.count(self.layer), 4)

    def test_head_that_drips_is_given_up(self):
        def send(handler):
            handler.wfile.write(b'HTTP/1.1 200 OK\r\n')
            while True:
                handler.wfile.write(b'X: y\r\n')
                handler.wfile.flush()
                time.sleep(0.05)
        self.environment.update(PULL_TOOL_STALL_MS='300')
        self.hook('/manifests/', send)
        self.assertIn('too slow: no whole answer in 1500 ms', self.pull_bad(self.name))

    def test_silent_registry_is_given_up(self):
        self.environment['PULL_TOOL_STALL_MS'] = '200'
        self.hook('/manifests/', lambda _: time.sleep(5))
        start = time.monotonic()
        self.assertIn('no byte for 200 ms', self.pull_bad(self.name))
        self.assertLess(time.monotonic() - start, 30)


class Bodies(Case):
    def part(self, start, end=None, content_range=None, **headers):
        """What is sent, and what it is called."""
        end = len(self.data) if end is None else end
        called = content_range or f'bytes {start}-{len(self.data) - 1}/{len(self.data)}'

        def send(handler):
            self.assertEqual(handler.headers['Range'], f'bytes={start}-')
            answer(handler, 206, self.data[start:end], {'Content-Range': called, **headers},
                   length=len(self.data) - start)
        return send

    def broken(self, end, **headers):
        def send(handler):
            answer(handler, 200, self.data[:end], headers, length=len(self.data))
        return send

    def ranged(self, pieces):
        """Knows ranges, and breaks off after each piece."""
        left = list(pieces)

        def send(handler):
            start = int(re.sub(r'\D', '', handler.headers.get('Range', '0')))
            end = min(len(self.data), start + left.pop(0)) if left else len(self.data)
            headers = {'Content-Range': f'bytes {start}-{len(self.data) - 1}/{len(self.data)}'} if start else {}
            answer(handler, 206 if start else 200, self.data[start:end], headers, length=len(self.data) - start)
        return send

    def test_break_at_many_offsets(self):
        size = len(self.data)
        for end in (0, 1, 511, 512, 16383, 16384, 65535, 65536, 131072, size // 2, size - 1):
            for whole in (False, True):
                with self.subTest(end=end, whole=whole):
                    self.server.hooks = [(self.layer, first(1, self.broken(end)) if whole else self.ranged([end]))]
                    self.server.requests.clear()
                    self.pull_good(self.name)
                    ranges = [h.get('Range') for p, h in self.server.requests if self.layer in p]
                    self.assertEqual(ranges, [None, f'bytes={end}-' if end else None])
                    self.clear_store()

    def test_progress_resets_the_patience(self):
        self.hook(self.layer, self.ranged([40000] * 7))
        self.pull_good(self.name)
        self.assertEqual(self.server.count(self.layer), 8)

    def test_a_part_that_is_not_what_was_asked(self):
        size = len(self.data)
        for called in (f'bytes 999-{size - 1}/{size}', f'bytes 1000-{size - 1}/{size + 1}', f'bytes 1000-{size}/{size}',
                       'bytes */7', 'lines 1-2/3', f'bytes 0-{size - 1}/{size}'):
            with self.subTest(called):
                self.server.hooks = [(self.layer, first(1, self.broken(1000))),
                                     (self.layer, first(1, self.part(1000, content_range=called)))]
                self.server.requests.clear()
                self.pull_good(self.name)
                # Then all of it, without a range.
                ranges = [h.get('Range') for p, h in self.server.requests if self.layer in p]
                self.assertEqual(ranges, [None, 'bytes=1000-', None])
                self.clear_store()
        self.server.hooks = [(self.layer, first(1, self.broken(1000))),
                             (self.layer, first(1, lambda h: answer(h, 206, self.data[1000:])))]
        self.pull_good(self.name)

    def test_range_not_satisfiable(self):
        self.server.hooks = [(self.layer, first(1, self.broken(1000))), (self.layer, first(1, always(416)))]
        self.pull_good(self.name)

    def test_entity_tag_goes_along(self):
        self.server.hooks = [(self.layer, first(1, self.broken(1000, ETag='"one"'))),
                             (self.layer, first(1, self.part(1000)))]
        self.pull_good(self.name)
        self.assertEqual(self.server.requests[-1][1]['If-Range'], '"one"')
        # One that has changed brings all of the body anew; its content is the same, says the digest.
        self.clear_store()
        self.server.hooks = [(self.layer, first(1, self.broken(1000, ETag='"one"'))),
                             (self.layer, lambda h: answer(h, 200, self.data, {'ETag': '"two"'}))]
        self.pull_good(self.name)
        # A weak one says nothing about bytes.
        self.clear_store()
        self.server.hooks = [(self.layer, first(1, self.broken(1000, ETag='W/"one"'))),
                             (self.layer, first(1, self.part(1000)))]
        self.pull_good(self.name)
        self.assertNotIn('If-Range', self.server.requests[-1][1])

    def test_changed_content_is_found(self):
        self.server.hooks = [(self.layer, first(1, self.broken(1000))),
                             (self.layer, lambda h: answer(h, 200, os.urandom(len(self.data))))]
        self.assertRegex(self.pull_bad(self.name), 'digest|tar')

    def test_endless_little_steps_end(self):
        self.good = ocilayout.Image([ocilayout.tar(('f', b'content'))], ocilayout.plain)
        self.server.blobs, self.server.tags = self.good.blobs, {'t': (self.good.manifest, ocilayout.MANIFEST)}
        self.layer = max(self.good.blobs, key=lambda d: len(self.good.blobs[d]))
        self.data = self.good.blobs[self.layer]
        self.hook(self.layer, self.ranged([1] * 1000))
        self.pull_bad(self.name)
        self.assertIn(self.server.count(self.layer), range(101, 105))   # libcurl may repeat one by itself

    def test_headers_have_a_limit(self):
        self.hook('/manifests/', first(3, always(200, b'{}', **{f'X_{i}': 'x' * 60000 for i in range(5)})))
        self.assertIn('more than 262144 bytes of headers', self.pull_bad(self.name))

    def test_warnings_are_shown_once(self):
        index = ocilayout.index(self.good.descriptor)
        self.server.tags = {'t': (index, ocilayout.INDEX)}
        warning = {'Warning': ['299 - "this \\"tag\\" goes\x1b[31m away"', '299 - "this \\"tag\\" goes\x1b[31m away"',
                               '199 - "no"', '299 - "' + 'x' * 5000 + '"']}
        documents = (('t', index, ocilayout.INDEX), ('sha256', self.good.manifest, ocilayout.MANIFEST))
        for key, data, media_type in documents:
            self.hook(f'/manifests/{key}', lambda h, data=data, media_type=media_type: answer(
                h, 200, data, {'Content-Type': media_type, **warning}))
        self.environment['PULL_TOOL_LOG'] = '2'
        lines = self.pull(self.name).stderr.splitlines()
        self.assertEqual(lines, [f'log registry: {self.server.address}: this "tag" goes\\x1b[31m away', lines[1]])
        self.assertLessEqual(len(lines[1]), 4200)


class Mirrors(Case):
    def setUp(self):
        super().setUp()
        self.mirror = self.registry()
        self.use(self.mirror)

    def use(self, *servers, suffix=''):
        self.environment['PULL_TOOL_MIRRORS'] = ' '.join(
            f'{self.server.address}={s if isinstance(s, str) else "http://" + s.address}{suffix}' for s in servers)

    def warned(self):
        """The pull's log."""
        self.environment['PULL_TOOL_LOG'] = '2'
        result = self.pull(self.name)
        self.assertEqual(result.returncode, 0, result.stderr)
        return result.stderr

    def test_mirror_alone_is_asked(self):
        self.pull_good(self.name)
        self.assertEqual(self.server.requests, [])
        self.assertEqual(len(self.mirror.requests), 3)

    def test_mirror_of_another_registry_is_not(self):
        self.environment['PULL_TOOL_MIRRORS'] = f'docker.io=http://{self.mirror.address} http://{self.mirror.address}'
        self.pull_good(self.name)
        self.assertEqual(self.mirror.requests, [])

    def test_docker_hub_is_meant_without_a_registry(self):
        library = {'t': (self.good.manifest, ocilayout.MANIFEST)}
        self.mirror.tags = library
        self.environment['PULL_TOOL_MIRRORS'] = f'http://{self.mirror.address}/'
        self.pull_good('alpine:t')
        self.assertEqual(self.mirror.requests[0][0], '/v2/library/alpine/manifests/t')

    def test_prefix_is_put_in_front(self):
        self.use(self.mirror, suffix='/cache/hub/')
        self.pull_good(self.name)
        self.assertEqual(self.mirror.requests[0][0], '/v2/cache/hub/some/app/manifests/t')

    def test_dead_mirror_is_passed_over_once(self):
        self.mirror.close()
        log = self.warned()
        self.assertEqual(log.count('\n'), 1, log)
        self.assertIn(f'mirror http://{self.mirror.address}: ', log)
        self.assertEqual(len(self.server.requests), 3)
        self.mirror = self.registry()

    def test_mirror_without_the_image_is_passed_over(self):
        self.mirror.tags = {}
        self.assertEqual(self.warned(), '')     # that is nothing to tell
        self.assertEqual(self.server.count('/manifests/'), 1)

    def test_mirrors_in_order(self):
        second = self.registry()
        self.mirror.tags = {}
        self.use(self.mirror, second)
        self.pull_good(self.name)
        self.assertEqual(self.server.requests, [])
        self.assertEqual(second.count('/manifests/'), 1)

    def test_everything_that_a_mirror_may_answer(self):
        for hook in (always(500), always(401), always(403), always(200, b'x' * (9 << 20)),
                     always(429, Retry_After='50'), always(302, Location='http://10.0.0.1/'),
                     lambda h: answer(h, 401, b'', {'WWW-Authenticate': 'Bearer'})):
            with self.subTest(hook):
                self.mirror.hooks = [('', hook)]
                self.pull_good(self.name, 'always')

    def test_lying_manifest_is_fetched_elsewhere(self):
        digest = ocilayout.digest(self.good.manifest)
        self.mirror.hooks = [(digest, always(200, self.good.manifest + b' '))]
        self.pull_good(f'{self.server.address}/some/app@{digest}')
        self.assertEqual(self.server.count('/manifests/'), 1)

    def test_blob_of_another_size_is_fetched_elsewhere(self):
        self.mirror.hooks = [(self.layer, always(200, self.data[:-1]))]
        self.pull_good(self.name)
        self.assertEqual(self.server.count(self.layer), 1)

    def test_lying_blob_is_never_taken(self):
        lie = (self.layer, always(200, self.data[:-1] + b'x'))
        self.mirror.hooks = self.server.hooks = [lie]
        self.assertIn('digest', self.pull_bad(self.name))
        self.server.hooks = []
        self.assertIn('not asked any more', self.warned())
        self.assertEqual(self.server.count(self.layer), 2)

    def test_lying_config_is_fetched_elsewhere(self):
        config = json.loads(self.good.manifest)['config']['digest']
        self.mirror.hooks = [(config, always(200, self.good.blobs[config][:-1] + b' '))]
        self.pull_good(self.name)
        self.assertEqual((self.mirror.count(config), self.server.count(config)), (1, 1))

    def test_blob_that_a_mirror_cannot_finish(self):
        half = len(self.data) // 2
        self.mirror.hooks = [(self.layer, first(1, lambda h: answer(h, 200, self.data[:half], length=len(self.data)))),
                             (self.layer, always(404))]
        self.server.hooks = [(self.layer, lambda h: answer(h, 206, self.data[half:], {
            'Content-Range': f'bytes {half}-{len(self.data) - 1}/{len(self.data)}'}))]
        self.pull_good(self.name)
        self.assertEqual(self.server.requests[-1][1]['Range'], f'bytes={half}-')

    def test_both_reasons_are_told(self):
        self.mirror.hooks = [('', always(500))]
        self.server.hooks = [('', always(404, errors('NAME_UNKNOWN', 'who')))]
        error = self.pull_bad(self.name)
        self.assertRegex(error, rf'mirror http://{self.mirror.address}: GET \S+: 500 internal server error; '
                                r'and the registry itself: GET \S+: 404 not found: NAME_UNKNOWN')

    def test_mirror_gets_its_own_credentials(self):
        def wants(user):
            good = 'Basic ' + base64.b64encode(f'{user}:x'.encode()).decode()
            return lambda h: False if h.headers.get('Authorization') == good else answer(
                h, 401, b'', {'WWW-Authenticate': 'Basic realm="x"'})
        os.makedirs(f'{self.base}/.docker')
        with open(f'{self.base}/.docker/config.json', 'w') as f:
            json.dump({'auths': {server.address: {'username': user, 'password': 'x'} for server, user in (
                (self.mirror, 'mirror'), (self.server, 'registry'))}}, f)
        self.mirror.hooks = [('', wants('mirror')), (self.layer, always(404))]
        self.server.hooks = [('', wants('registry'))]
        self.pull_good(self.name)
        self.assertEqual(self.server.count('/blobs/'), 2)   # asked for who we are, and told
        shown = {h.get('Authorization') for _, h in self.mirror.requests}
        self.assertFalse(shown & {h['Authorization'] for _, h in self.server.requests if 'Authorization' in h})

    def test_bad_mirrors(self):
        for text in ('x', 'ftp://x', 'http://', 'a b', 'http://u:p@x', 'http://x/?q', 'x/y=http://z', 'http://x/../y'):
            with self.subTest(text):
                self.environment['PULL_TOOL_MIRRORS'] = text
                self.assertIn('is wanted', self.pull_bad(self.name))


class Threads(Case):
    def setUp(self):
        super().setUp()
        self.good = ocilayout.Image([ocilayout.tar((f'{i}', os.urandom(200000))) for i in range(5)], ocilayout.plain)
        self.server.blobs, self.server.tags = self.good.blobs, {'t': (self.good.manifest, ocilayout.MANIFEST)}
        self.reader = str(pathlib.Path(storetest.pull_tool()).with_name('registry-tool'))

    def read(self, rounds=4):
        result = subprocess.run([self.reader, self.name, str(rounds)], env=self.variables(), text=True,
                                capture_output=True, timeout=storetest.TIMEOUT)
        self.assertEqual((result.returncode, result.stdout), (0, 'ok\n'), result.stderr)

    def test_blobs_are_read_at_once(self):
        self.read()
        self.assertEqual(self.server.count('/blobs/'), 24)

    def test_threads_share_a_token(self):
        issued = []

        def token(handler):
            issued.append(f't{len(issued)}')
            answer(handler, 200, json.dumps({'token': issued[-1], 'expires_in': 300}).encode())

        def check(handler):
            """The first token is good for the manifest alone."""
            good = issued[-1:] if len(issued) > 1 or '/manifests/' in handler.path else []
            if handler.headers.get('Authorization') in [f'Bearer {t}' for t in good]:
                return False
            answer(handler, 401, b'', {'WWW-Authenticate': f'Bearer realm="http://{self.server.address}/token"'})
        self.server.hooks = [('^/v2/', check), ('^/token', token)]
        self.read()
        self.assertEqual(len(issued), 2)

    def test_threads_and_broken_bodies(self):
        broken = set()

        def half(handler):
            if handler.path in broken:
                return False
            broken.add(handler.path)
            data = self.good.blobs[handler.path.rsplit('/', 1)[1]]
            answer(handler, 200, data[:len(data) // 2], length=len(data))
        self.hook('/blobs/', half)
        self.read()


class Command(Case):
    """The same wishes as options of `microvm pull`."""

    def microvm(self, *options, name=None):
        program = pathlib.Path(storetest.pull_tool()).parents[2] / 'src' / 'cli' / 'microvm'
        return subprocess.run([program, 'pull', '-q', '--data-dir', f'{self.base}/data', *options, name or self.name],
                              env=self.variables(), text=True, stdin=subprocess.DEVNULL, capture_output=True,
                              timeout=storetest.TIMEOUT)

    def test_mirror(self):
        mirror = self.registry()
        result = self.microvm('--registry-mirror', f'{self.server.address}=http://{mirror.address}')
        self.assertEqual((result.returncode, result.stderr), (0, ''))
        self.assertEqual(result.stdout.strip(), ocilayout.digest(self.good.manifest))
        self.assertEqual((len(mirror.requests), self.server.requests), (3, []))

    def test_credentials_and_authority(self):
        authority = certificates.Authority(self.folder('tls'))
        self.server = badregistry.BadRegistry(self.good.blobs, self.server.tags,
                                              authority.issue('server', 'IP:127.0.0.1'))
        self.addCleanup(self.server.close)
        self.name = f'{self.server.address}/some/app:t'
        good = 'Basic ' + base64.b64encode(b'alice:s3cret').decode()
        self.hook('', lambda h: False if h.headers.get('Authorization') == good else answer(
            h, 401, b'', {'WWW-Authenticate': 'Basic realm="x"'}))
        auth = f'{self.base}/auth.json'
        with open(auth, 'w') as f:
            json.dump({'auths': {self.server.address: {'username': 'alice', 'password': 's3cret'}}}, f)
        for options, words in (((), 'certificate'), (('--insecure-registry', self.server.address), 'a user name'),
                               (('--tls-ca', authority.certificate), 'a user name'),
                               (('--tls-ca', f'{self.base}/absent'), 'absent'),
                               (('--auth-file', f'{self.base}/absent'), 'absent')):
            with self.subTest(options):
                result = self.microvm(*options)
                self.assertEqual((result.returncode, result.stdout, result.stderr.count('\n')), (125, '', 1))
                self.assertIn(words, result.stderr)
        result = self.microvm('--tls-ca', authority.certificate, '--auth-file', auth)
        self.assertEqual((result.returncode, result.stderr), (0, ''))

    def test_layers_at_once(self):
        image = ocilayout.Image([ocilayout.tar((f'f{i}', os.urandom(5000))) for i in range(6)], ocilayout.plain)
        config = json.loads(image.manifest)['config']['digest']
        for jobs in (1, 3, 16):
            with self.subTest(jobs):
                lock, active, most = threading.Lock(), set(), []

                def slow(handler):
                    if config in handler.path:
                        return False
                    with lock:
                        active.add(handler.path)
                        most.append(len(active))
                    time.sleep(0.5)
                    with lock:
                        active.discard(handler.path)
                    return False
                server = self.registry(image.blobs, {'t': (image.manifest, ocilayout.MANIFEST)})
                server.hooks.append(('/blobs/', slow))
                result = self.microvm('--jobs', str(jobs), name=f'{server.address}/app-{jobs}:t')
                self.assertEqual((result.returncode, result.stderr), (0, ''))
                self.assertEqual(max(most), min(jobs, 6))
                shutil.rmtree(f'{self.base}/data')

    def test_options_that_are_none(self):
        for option, value, words in (('--registry-mirror', 'x', '[REGISTRY=]http[s]://HOST'),
                                     ('--insecure-registry', 'http://x', 'HOST[:PORT] is wanted'),
                                     ('--tls-ca', '', 'bad'), ('--auth-file', '', 'bad'),
                                     *(('--jobs', n, f"'{n}': 1 to 16 layers") for n in ('0', '17', 'x', ''))):
            with self.subTest(option):
                result = self.microvm(option, value)
                self.assertEqual((result.returncode, result.stderr.count('\n')), (125, 1))
                self.assertIn(words, result.stderr)
        self.assertEqual(self.server.requests, [])


class Library(Case):
    """Large libraries are there when they are needed, and only then."""

    def loaded(self, policy):
        self.environment['LD_DEBUG'] = 'files'
        text = self.pull(self.name, policy).stderr
        self.assertIn('calling init', text)
        return {name for name in ('libcurl', 'libarchive', 'libxml2', 'libicudata') if name in text}

    def test_first_pull_loads_them(self):
        self.assertEqual(self.loaded('missing') & {'libcurl', 'libarchive'}, {'libcurl', 'libarchive'})

    def test_stored_image_does_not_load_them(self):
        self.pull_good(self.name)
        for policy in ('missing', 'never'):
            with self.subTest(policy):
                self.assertEqual(self.loaded(policy), set())

    def test_unchanged_image_is_asked_for_and_not_read(self):
        self.pull_good(self.name)
        loaded = self.loaded('always')
        self.assertIn('libcurl', loaded)
        self.assertNotIn('libarchive', loaded)

    def test_missing_library_is_named(self):
        for user, file, package in (('registries', 'libcurl.so.4', 'libcurl4'),
                                    ('archives', 'libarchive.so.13', 'libarchive13')):
            with self.subTest(file):
                self.environment['LD_LIBRARY_PATH'] = self.folder(file)
                with open(f'{self.base}/{file}/{file}', 'w'):
                    pass
                self.assertIn(f'{user} need the library {file} (package {package}): ', self.pull_bad(self.name))


if __name__ == '__main__':
    tap.main()
