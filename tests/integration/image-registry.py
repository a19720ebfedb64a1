#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Images from a registry: a real one, and one that is wrong in every way that it can be. After each failure the store
holds nothing of it, and no process is left."""
import os
import pathlib
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'support'))
import badregistry
import ocilayout
import registry
import storetest
import tap
from badregistry import always, answer, errors, first


class RealRegistry(storetest.StoreTest):
    """Debian's docker-registry, filled by skopeo."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.registry = registry.Registry()
        cls.addClassCleanup(cls.registry.close)

    def push(self, layout, name):
        subprocess.run(['skopeo', 'copy', '--quiet', '--all', '--dest-tls-verify=false', f'oci:{layout}',
                        f'docker://{self.registry.address}/{name}'], check=True, stdin=subprocess.DEVNULL)

    def test_image_of_two_layers_is_pulled(self):
        image = ocilayout.Image([ocilayout.tar(('a', b'lower'), ('d', None), ('d/old', b'x')),
                                 ocilayout.tar(('a', b'upper'), ('d/.wh.old', b''))])
        self.push(self.layout(t=image) + ':t', 'two:1')
        files = self.content(self.pull_good(f'{self.registry.address}/two:1'))
        self.assertEqual(files['a'], b'upper')
        self.assertNotIn('d/old', files)
        self.assertIn('d', files)

    def test_index_leads_to_the_platform(self):
        mine = ocilayout.Image([ocilayout.tar(('which', b'mine'))])
        other = ocilayout.Image([ocilayout.tar(('which', b'other'))], architecture=ocilayout.FOREIGN)
        index = ocilayout.index(other.descriptor, mine.descriptor)
        blobs = {**mine.blobs, **other.blobs, ocilayout.digest(index): index}
        descriptor = {'mediaType': ocilayout.INDEX, 'digest': ocilayout.digest(index), 'size': len(index)}
        layout = ocilayout.write(self.folder('index'), blobs, [ocilayout.tagged(descriptor, 't')])
        self.push(layout + ':t', 'multi:1')
        name = f'{self.registry.address}/multi:1'
        self.assertEqual(self.content(self.pull_good(name))['which'], b'mine')
        self.assertEqual(self.content(self.pull_good(name, 'missing', f'linux/{ocilayout.FOREIGN}'))['which'], b'other')
        error = self.pull_bad(name, 'missing', 'linux/mips64le')
        self.assertIn('no image for linux/mips64le; there is linux/', error)
        by_digest = f'{self.registry.address}/multi@{ocilayout.digest(index)}'
        self.assertEqual(self.content(self.pull_good(by_digest))['which'], b'mine')

    def test_every_compression_is_pulled(self):
        for compress in (ocilayout.plain, ocilayout.gz, ocilayout.zstd):
            with self.subTest(compress.__name__):
                content = compress.__name__.encode() * 1000
                self.push(self.layout(t=ocilayout.Image([ocilayout.tar(('f', content))], compress)) + ':t', 'c:1')
                self.assertEqual(self.content(self.pull_good(f'{self.registry.address}/c:1', 'always'))['f'], content)

    def test_unknown_names_are_told(self):
        self.push(self.layout(t=self.image()) + ':t', 'known:1')
        self.assertRegex(self.pull_bad(f'{self.registry.address}/known:2'),
                         r'manifests/2: 404 not found: MANIFEST_UNKN')
        self.assertRegex(self.pull_bad(f'{self.registry.address}/nobody:1'), r'nobody/manifests/1: 404 not found')

    def test_policies(self):
        name = f'{self.registry.address}/policy:1'
        self.push(self.layout(t=ocilayout.Image([ocilayout.tar(('f', b'1'))])) + ':t', 'policy:1')
        self.assertIn('not in the image store', self.pull_bad(name, 'never'))
        one = self.pull_good(name)
        self.push(self.layout(t=ocilayout.Image([ocilayout.tar(('f', b'2'))])) + ':t', 'policy:1')
        self.assertEqual(self.pull_good(name), one)
        self.assertEqual(self.pull_good(name, 'never'), one)
        two = self.pull_good(name, 'always')
        self.assertNotEqual(two, one)
        self.assertEqual(self.pull_good(name), two)


class Hostile(storetest.StoreTest):
    def setUp(self):
        super().setUp()
        self.good = self.image()
        self.server = badregistry.BadRegistry(self.good.blobs, {'t': (self.good.manifest, ocilayout.MANIFEST)})
        self.addCleanup(self.server.close)
        self.name = f'{self.server.address}/some/app:t'
        self.layer = next(d for d in self.good.blobs if self.good.blobs[d][:2] == b'\x1f\x8b')

    def hook(self, pattern, function):
        self.server.hooks.append((pattern, function))

    def serve(self, image):
        self.server.blobs, self.server.tags = image.blobs, {'t': (image.manifest, ocilayout.MANIFEST)}

    def test_right_by_default(self):
        self.assertEqual(self.content(self.pull_good(self.name))['f'], b'content')
        self.assertTrue(all(h.get('User-Agent', '').startswith('microvm/') for _, h in self.server.requests))
        accept = next(h['Accept'] for p, h in self.server.requests if 'manifests' in p)
        self.assertNotIn('manifest.v1+json, application/vnd.docker.distribution.manifest.v1', accept)
        self.assertIn('vnd.oci.image.index.v1+json', accept)

    def test_down(self):
        self.server.close()
        start = time.monotonic()
        error = self.pull_bad(self.name)
        self.assertRegex(error, r'^pull 127\S+/some/app:t: GET https://\S+/manifests/t: .*; and by http: '
                                r'GET http://\S+/manifests/t: ')
        self.assertLess(time.monotonic() - start, 5)
        self.server = badregistry.BadRegistry()

    def test_statuses_are_told(self):
        for status, words in ((404, '404 not found: NAME_UNKNOWN: who'), (403, '403 forbidden'), (410, '410 gone'),
                              (418, 'manifests/t: 418')):
            with self.subTest(status):
                self.server.hooks = [('/manifests/', always(status, errors('NAME_UNKNOWN', 'who')))]
                self.assertIn(words, self.pull_bad(self.name))
        self.server.hooks = [('/manifests/', always(404, b'<html>'))]
        self.assertIn('manifests/t: 404 not found', self.pull_bad(self.name))
        self.server.hooks = [('/manifests/', always(204))]
        self.assertIn('manifests/t: 204', self.pull_bad(self.name))

    def test_control_characters_are_escaped(self):
        self.hook('/manifests/', always(404, errors('X\x1b[31m', 'line\nbreak')))
        error = self.pull_bad(self.name)
        self.assertNotIn('\x1b', error)
        self.assertEqual(error.strip().count('\n'), 0)

    def test_temporary_failures_are_tried_three_times(self):
        self.hook('/manifests/', always(500, errors('UNKNOWN', 'sorry')))
        start = time.monotonic()
        self.assertIn('500 internal server error: UNKNOWN: sorry', self.pull_bad(self.name))
        self.assertEqual(self.server.count('/manifests/'), 3)
        self.assertGreaterEqual(time.monotonic() - start, 4)
        self.server.hooks = [('/manifests/', first(1, always(503)))]
        self.pull_good(self.name)

    def test_connection_that_breaks_is_tried_again(self):
        def slam(handler):
            handler.close_connection = True
            handler.connection.close()
        self.hook('/manifests/', first(1, slam))
        self.pull_good(self.name)
        self.assertEqual(self.server.count('/manifests/'), 2)

    def test_patience_as_asked(self):
        self.hook('/manifests/', first(1, always(429, Retry_After='1')))
        start = time.monotonic()
        self.pull_good(self.name)
        self.assertGreaterEqual(time.monotonic() - start, 1)
        self.assertEqual(self.server.count('/manifests/'), 2)

    def test_patience_has_an_end_by_cancel(self):
        self.hook('/manifests/', always(429, Retry_After='100000'))
        start = time.monotonic()
        self.assertIn('cancelled', self.pull_bad(self.name, cancel=5))
        self.assertLess(time.monotonic() - start, 5)

    # Tokens

    def challenge(self, realm=None, service='svc', scope=None):
        realm = realm or f'http://{self.server.address}/token'
        text = f'Bearer realm="{realm}",service="{service}"' + (f',scope="{scope}"' if scope else '')

        def check(handler):
            if handler.headers.get('Authorization') == 'Bearer good':
                return False
            answer(handler, 401, errors('UNAUTHORIZED', 'who are you'), {'WWW-Authenticate': text})
        return check

    def test_anonymous_token_is_fetched(self):
        self.hook('^/v2/', self.challenge())
        self.hook('^/token', always(200, b'{"token":"bad","access_token":"good","expires_in":300}'))
        self.pull_good(self.name)
        token = [p for p, _ in self.server.requests if p.startswith('/token')]
        self.assertEqual(token, ['/token?service=svc&scope=repository%3asome%2fapp%3apull'])

    def test_expired_token_is_renewed_once(self):
        self.hook('^/v2/', self.challenge(scope='repository:some/app:pull'))
        self.hook('^/token', first(1, always(200, b'{"token":"stale"}')))
        self.hook('^/token', always(200, b'{"token":"good"}'))
        self.pull_good(self.name)
        self.assertEqual(self.server.count('^/token'), 2)

    def test_token_that_is_never_good_ends(self):
        self.hook('^/v2/', self.challenge())
        self.hook('^/token', always(200, b'{"token":"stale"}'))
        self.assertIn('401 unauthorized: UNAUTHORIZED: who are you', self.pull_bad(self.name))
        self.assertEqual(self.server.count('^/token'), 2)

    def test_unusable_token_answers(self):
        for body, words in ((b'{}', 'no token in the response'), (b'<html>', 'token: not JSON'),
                            (b'{"token":"a\\r\\nX-Evil: 1"}', 'malformed'), (b'{"token":7}', "'token'"),
                            (b' ' * (65 << 10), 'limit of 65536')):
            with self.subTest(words):
                self.server.hooks = [('^/v2/', self.challenge()), ('^/token', always(200, body))]
                self.assertIn(words, self.pull_bad(self.name))
        self.server.hooks = [('^/v2/', self.challenge()), ('^/token', always(403))]
        self.assertRegex(self.pull_bad(self.name), r'ask for a token: GET http://\S+/token: 403 forbidden')

    def test_realms_that_are_refused(self):
        for realm, words in (('http://127.0.0.2:1/token', 'internal address'), ('http://10.0.0.1/token', 'internal'),
                             ('http://[::1]:1/token', 'internal'), ('http://169.254.169.254/x', 'internal'),
                             ('http://2130706433/x', 'internal'), ('file:///etc/passwd', 'neither https nor http'),
                             ('nonsense', 'realm')):
            with self.subTest(realm):
                self.server.hooks = [('^/v2/', self.challenge(realm))]
                self.assertIn(words, self.pull_bad(self.name))

    def test_challenges_that_cannot_be_met(self):
        for headers, words in (({}, 'not known here'), ({'WWW-Authenticate': 'Basic realm="x"'}, 'a user name'),
                               ({'WWW-Authenticate': 'Negotiate'}, 'not known here'),
                               ({'WWW-Authenticate': 'Bearer service="x"'}, 'names no realm'),
                               ({'WWW-Authenticate': 'Bearer realm="x'}, 'no end')):
            with self.subTest(words):
                self.server.hooks = [('^/v2/', lambda h, headers=headers: answer(h, 401, b'', headers))]
                self.assertIn(words, self.pull_bad(self.name))

    # Redirects

    def test_redirect_to_another_host_gets_no_token(self):
        other = badregistry.BadRegistry(self.good.blobs)
        self.addCleanup(other.close)
        self.hook('^/v2/', self.challenge())
        self.hook('^/token', always(200, b'{"token":"good"}'))
        self.server.hooks.insert(0, ('/blobs/', lambda h: answer(h, 307, b'', {
            'Location': f'http://localhost:{other.port}{h.path}?signature=secret'})
            if h.headers.get('Authorization') else False))
        self.pull_good(self.name)
        self.assertEqual(other.count('/blobs/'), 2)
        self.assertFalse([h for _, h in other.requests if 'Authorization' in h])

    def test_redirects_that_are_refused(self):
        for target, words in ((f'http://127.0.0.2:{self.server.port}/x', 'internal address'),
                              ('http://10.1.2.3/', 'internal address'),
                              ('file:///etc/passwd', 'neither https nor http'),
                              (f'http://{self.server.address}/v2/some/app/manifests/t', 'more than 10 redirects')):
            with self.subTest(target):
                self.server.hooks = [('/manifests/', always(302, Location=target))]
                self.assertIn(words, self.pull_bad(self.name))

    def test_query_of_a_redirect_is_not_told(self):
        self.hook('/blobs/', lambda h: answer(h, 302, b'', {'Location': '/elsewhere?signature=secret'}))
        error = self.pull_bad(self.name)
        self.assertNotIn('secret', error)
        self.assertIn('404', error)

    # Documents

    def test_manifests_that_are_refused(self):
        good = self.good.manifest
        cases = (
            (b'<html>hello', 'text/html', 'not JSON'),
            (b'', ocilayout.MANIFEST, 'not JSON'),
            (b'\xff\xfe\x00', ocilayout.MANIFEST, 'not JSON'),
            (b'{"schemaVersion":1}', 'application/vnd.docker.distribution.manifest.v1+prettyjws', 'schema 1 images'),
            (b'{"schemaVersion":1}', 'application/json', 'schema 1 images'),
            (good, ocilayout.INDEX, 'led to it'),
            (b'[' * 100000, ocilayout.MANIFEST, 'nested deeper'),
            (good + b' ' * (5 << 20), ocilayout.MANIFEST, 'limit of 4194304'),
            (ocilayout.index() + b' ' * (9 << 20), ocilayout.INDEX, 'limit of 8388608'),
            (good.replace(b'.tar+gzip', b'.tar+evil'), ocilayout.MANIFEST, 'unknown media type'),
            (good.replace(b'.config.v1+json', b'.artifact.v1'), ocilayout.MANIFEST, 'an artifact of type'),
            (ocilayout.index(), ocilayout.INDEX, 'no image for linux/'),
        )
        for data, media_type, words in cases:
            with self.subTest(words):
                self.server.tags = {'t': (data, media_type)}
                self.assertIn(words, self.pull_bad(self.name))

    def test_index_without_the_platform_lists_what_is_there(self):
        other = ocilayout.Image([ocilayout.tar(('f', b'x'))], architecture=ocilayout.FOREIGN)
        attestation = {**other.descriptor, 'platform': {'os': 'unknown', 'architecture': 'unknown'}}
        self.server.tags = {'t': (ocilayout.index(other.descriptor, attestation), ocilayout.INDEX)}
        self.assertIn(f'no image for linux/{ocilayout.ARCHITECTURE}', self.pull_bad(self.name))
        self.assertTrue(self.pull_bad(self.name).strip().endswith(f'there is linux/{ocilayout.FOREIGN}'))

    def test_index_in_an_index_has_a_limit(self):
        descriptor = self.good.descriptor
        for depth in range(1, 7):
            data = ocilayout.index(descriptor)
            self.server.blobs[ocilayout.digest(data)] = data
            self.server.tags = {'t': (data, ocilayout.INDEX)}
            descriptor = {'mediaType': ocilayout.INDEX, 'digest': ocilayout.digest(data), 'size': len(data),
                          'platform': descriptor['platform']}
            with self.subTest(depth):
                if depth <= 4:
                    self.pull_good(self.name, 'always')
                else:
                    self.assertIn('more than 4 indexes', self.pull_bad(self.name, 'always'))

    def test_manifest_by_digest_is_verified(self):
        name = f'{self.server.address}/some/app@{ocilayout.digest(self.good.manifest)}'
        self.server.blobs[ocilayout.digest(self.good.manifest)] = self.good.manifest + b' '
        self.assertIn('content has the digest sha256:', self.pull_bad(name))
        self.server.tags = {'t': (ocilayout.index(self.good.descriptor), ocilayout.INDEX)}
        self.assertRegex(self.pull_bad(self.name), r'\d+ bytes, index says \d+')

    def test_platform_of_a_single_manifest_is_checked(self):
        self.serve(ocilayout.Image([ocilayout.tar(('f', b'x'))], architecture=ocilayout.FOREIGN))
        self.assertIn(f'the image is for linux/{ocilayout.FOREIGN}, wanted is linux/', self.pull_bad(self.name))
        self.pull_good(self.name, 'missing', f'linux/{ocilayout.FOREIGN}')
        # The store has the image now, but not for this platform.
        self.assertIn('wanted is linux/', self.pull_bad(self.name))

    def test_configs_that_are_refused(self):
        def diff_ids(_, config):
            config['rootfs']['diff_ids'] *= 2

        def no_layers(_, config):
            config['rootfs']['type'] = 'other'

        def too_large(manifest, _):
            manifest['config']['size'] = (8 << 20) + 1

        def wrong_size(manifest, _):
            manifest['config']['size'] = 3

        for change, words in ((diff_ids, 'the manifest has 1 layers, the image config 2 diffIDs'),
                              (no_layers, "rootfs type 'other'"), (too_large, 'the limit is 8388608'),
                              (wrong_size, 'bytes, manifest says 3')):
            with self.subTest(change.__name__):
                self.serve(ocilayout.Image([ocilayout.tar(('f', b'x'))], change=change))
                self.assertIn(words, self.pull_bad(self.name))

    # Layers

    def test_layers_that_are_refused(self):
        data = self.good.blobs[self.layer]
        cases = ((data + b'x', rf'layer 1 of 1: {self.layer}: {len(data) + 1} bytes, manifest says {len(data)}'),
                 (data[:-1], rf'{len(data) - 1} bytes, manifest says {len(data)}'),
                 (bytes([data[0]]) + data[1:-1] + b'\xff', 'digest|checksum'),
                 (os.urandom(len(data)), 'content has the digest'))
        for body, words in cases:
            with self.subTest(words):
                self.server.hooks = [(self.layer, lambda h, body=body: answer(h, 200, body))]
                self.assertRegex(self.pull_bad(self.name), words)

    def test_layer_without_length_is_counted(self):
        data = self.good.blobs[self.layer]

        def unframed(body):
            def send(handler):
                handler.send_response(200)
                handler.send_header('Connection', 'close')
                handler.end_headers()
                handler.wfile.write(body)
                handler.close_connection = True
            return send
        self.server.hooks = [(self.layer, unframed(data[:-3]))]
        self.assertIn(f'{len(data) - 3} bytes, manifest says {len(data)}', self.pull_bad(self.name))
        self.server.hooks = [(self.layer, unframed(data + b'abc'))]
        self.assertIn(f'bytes or more, manifest says {len(data)}', self.pull_bad(self.name))
        self.server.hooks = [(self.layer, unframed(data))]
        self.pull_good(self.name)

    def test_wrong_diff_id_is_told(self):
        def change(_, config):
            config['rootfs']['diff_ids'][0] = 'sha256:' + '0' * 64
        self.serve(ocilayout.Image([ocilayout.tar(('f', b'x'))], change=change))
        self.assertIn('diffID sha256:0000', self.pull_bad(self.name))

    def test_body_that_breaks_off_is_taken_up_again(self):
        self.good = ocilayout.Image([ocilayout.tar(('f', os.urandom(3 << 20)))], ocilayout.plain)
        self.serve(self.good)
        layer = max(self.good.blobs, key=lambda d: len(self.good.blobs[d]))
        data = self.good.blobs[layer]

        def half(handler):
            answer(handler, 200, data[:1 << 20], length=len(data))

        def ranged(handler):
            start = int(handler.headers['Range'].removeprefix('bytes=').rstrip('-'))
            answer(handler, 206, data[start:], {'Content-Range': f'bytes {start}-{len(data) - 1}/{len(data)}'})
        self.server.hooks = [(layer, first(1, half)), (layer, ranged)]
        self.pull_good(self.name)
        self.assertEqual(self.server.requests[-1][1]['Range'], f'bytes={1 << 20}-')
        # A server that knows no ranges sends all of it again; one that never gets further ends the pull.
        self.clear_store()
        self.server.hooks = [(layer, first(1, half))]
        self.pull_good(self.name)
        self.clear_store()
        self.server.requests.clear()
        self.server.hooks = [(layer, half)]
        self.assertRegex(self.pull_bad(self.name), 'transfer closed|shorter')
        self.assertLessEqual(self.server.count(layer), 5)

    def test_hostile_tars_end_the_pull(self):
        link = ocilayout.entry('l', b'2', '../../../outside')
        cases = ((('../evil', b'x'), 'climbs out'), (('a/../../evil', b'x'), 'climbs'),
                 ((ocilayout.entry('h', b'1', '../../evil'), None), 'climbs out'))
        for bad, words in cases:
            with self.subTest(words):
                self.serve(ocilayout.Image([ocilayout.tar(('ok', b'x')), ocilayout.tar(bad)]))
                self.assertRegex(self.pull_bad(self.name), rf'layer 2 of 2: sha256:\w+: .*{words}')
        self.serve(ocilayout.Image([ocilayout.tar((link, None), ('l/evil', b'x'))]))
        self.assertIn("'l/evil': a symlink on the way leads to 'outside', which is missing", self.pull_bad(self.name))
        self.serve(ocilayout.Image([ocilayout.tar(('f', b'x' * 10000))[:5000]]))
        self.assertIn('Truncated tar', self.pull_bad(self.name))
        self.serve(ocilayout.Image([ocilayout.tar(('f', b'x'))], lambda t: ocilayout.gz(t)[:-5]))
        self.assertIn('ends too early', self.pull_bad(self.name))
        self.serve(ocilayout.Image([ocilayout.tar(('f', b'x'))], lambda t: ocilayout.gz(t) + b'junk'))
        self.assertIn('gzip', self.pull_bad(self.name))

    # Time, cancelling, company

    def test_slow_server_is_waited_for(self):
        self.hook(self.layer, badregistry.slowly(self.good.blobs[self.layer], 2))
        self.pull_good(self.name)

    def test_cancel_ends_a_slow_download_soon(self):
        self.hook(self.layer, badregistry.slowly(self.good.blobs[self.layer], 60))
        start = time.monotonic()
        self.assertIn('cancelled', self.pull_bad(self.name, cancel=20))
        self.assertLess(time.monotonic() - start, 10)

    def test_cancel_at_any_report_leaves_nothing(self):
        for at in range(1, 8):
            with self.subTest(at):
                self.assertIn('cancelled', self.pull_bad(self.name, cancel=at, store=f'cancel-{at}')) \
                    if at <= 4 else self.pull(self.name, cancel=at, store=f'cancel-{at}')
                self.assert_clean(f'cancel-{at}')

    def test_progress_comes_ten_times_a_second(self):
        self.hook(self.layer, badregistry.slowly(self.good.blobs[self.layer], 2))
        result = self.pull(self.name, progress=True)
        reports = [line for line in result.stderr.splitlines() if line.startswith('progress 1 1/1 ')]
        self.assertGreaterEqual(len(reports), 20)
        size = len(self.good.blobs[self.layer])
        self.assertEqual(reports[-1].split()[3], f'{size}/{size}')

    def test_killed_pull_is_cleaned_by_the_next(self):
        self.hook(self.layer, first(1, badregistry.slowly(self.good.blobs[self.layer], 60)))
        process = self.start(self.name)
        self.wait_for(lambda: self.server.count(self.layer))
        process.kill()
        process.wait()
        self.assertTrue(self.temporary())
        self.pull_good(self.name)
        self.assert_clean()

    def test_running_pull_is_not_cleaned_by_another(self):
        self.hook(self.layer, first(1, badregistry.slowly(self.good.blobs[self.layer], 3)))
        process = self.start(self.name)
        self.wait_for(lambda: self.server.count(self.layer))
        self.run_tool('--list')
        self.assertTrue(self.temporary())
        self.assertEqual(process.wait(), 0)

    def test_two_pulls_at_once_fetch_once(self):
        self.hook(self.layer, first(1, badregistry.slowly(self.good.blobs[self.layer], 1)))
        processes = [self.start(self.name) for _ in range(3)]
        paths = {p.communicate()[0] for p in processes}
        self.assertEqual([p.returncode for p in processes], [0, 0, 0])
        self.assertEqual(len(paths), 1)
        self.assertEqual(self.server.count(self.layer), 1)
        self.assert_clean()

    def test_digest_is_never_asked_again(self):
        name = f'{self.server.address}/some/app@{ocilayout.digest(self.good.manifest)}'
        self.pull_good(name)
        before = len(self.server.requests)
        self.pull_good(name, 'always')
        self.assertEqual(len(self.server.requests), before)

    def test_unchanged_tag_costs_one_manifest(self):
        self.pull_good(self.name)
        before = len(self.server.requests)
        self.pull_good(self.name, 'always')
        self.assertEqual([p for p, _ in self.server.requests[before:]], ['/v2/some/app/manifests/t'])

    def test_unchanged_index_costs_one_request(self):
        """Until it is another index, which may hold the same image."""
        other = ocilayout.Image([ocilayout.tar(('f', b'x'))], architecture=ocilayout.FOREIGN)
        self.server.blobs.update(other.blobs)
        for descriptors in ((other.descriptor, self.good.descriptor), (self.good.descriptor,)):
            self.server.tags = {'t': (ocilayout.index(*descriptors), ocilayout.INDEX)}
            one = self.pull_good(self.name, 'always')
            self.server.requests.clear()
            self.assertEqual(self.pull_good(self.name, 'always'), one)
            self.assertEqual([p for p, _ in self.server.requests], ['/v2/some/app/manifests/t'])
        foreign = f'linux/{ocilayout.FOREIGN}'
        self.assertIn(f'no image for {foreign}', self.pull_bad(self.name, 'always', foreign))

    def test_bad_names_ask_nobody(self):
        for name in ('Upper/case', f'{self.server.address}/a//b', f'{self.server.address}/x:', 'docker-archive:/x',
                     f'{self.server.address}/x@sha256:00'):
            with self.subTest(name):
                self.assertIn('pull ', self.pull_bad(name))
        self.assertIn('not a platform', self.pull_bad(self.name, 'missing', 'linux'))
        self.assertEqual(self.server.requests, [])

    def test_proxy_is_not_asked_for_loopback(self):
        self.environment = {'http_proxy': 'http://127.0.0.1:9', 'https_proxy': 'http://127.0.0.1:9'}
        self.pull_good(self.name)


if __name__ == '__main__':
    tap.main()
