#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Blobs that are not in their registry: at the URLs of their descriptors, or inside the descriptors themselves."""
import base64
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'support'))
import badregistry
import ocilayout
import storetest
import tap
from badregistry import always, answer, first

class Case(storetest.StoreTest):
    def setUp(self):
        super().setUp()
        self.environment = {'XDG_RUNTIME_DIR': self.base}
        self.server = badregistry.BadRegistry()
        self.addCleanup(self.server.close)
        self.name = f'{self.server.address}/some/app:t'

    def serve(self, change):
        """An image whose manifest is what @change(manifest) makes of it; gives the image."""
        made = ocilayout.Image([ocilayout.tar(('f', b'content'), ('g', bytes(range(256)) * 999))],
                               change=lambda manifest, _: change(manifest))
        self.server.blobs, self.server.tags = dict(made.blobs), {'t': (made.manifest, ocilayout.MANIFEST)}
        self.server.requests.clear()
        return made


class Foreign(Case):
    def setUp(self):
        super().setUp()
        self.other = badregistry.BadRegistry()
        self.addCleanup(self.other.close)
        self.url = f'http://{self.other.address}/layer'

    def foreign(self, *urls):
        """The layer is at /layer of the other server alone."""
        def change(manifest):
            manifest['layers'][0]['urls'] = list(urls)
            self.digest = manifest['layers'][0]['digest']
        made = self.serve(change)
        self.data = self.server.blobs.pop(self.digest)
        self.other.requests.clear()
        self.other.hooks = [('^/layer', always(200, self.data))]
        return made

    def asked(self):
        return [path for path, _ in self.other.requests]

    def test_url_is_asked_after_the_registry(self):
        self.foreign(f'http://{self.other.address}/absent', self.url)
        self.assertEqual(self.content(self.pull_good(self.name))['f'], b'content')
        self.assertEqual(self.server.count(self.digest), 1)
        self.assertEqual(self.asked(), ['/absent', '/layer'])

    def test_registry_that_has_it_is_enough(self):
        self.foreign(self.url)
        self.server.blobs[self.digest] = self.data
        self.pull_good(self.name)
        self.assertEqual(self.asked(), [])

    def test_credentials_stay_with_the_registry(self):
        self.foreign(self.url)
        auth = base64.b64encode(b'alice:secret').decode()
        pathlib.Path(self.folder('.docker'), 'config.json').write_text(json.dumps(
            {'auths': {address: {'auth': auth} for address in (self.server.address, self.other.address)}}))

        def check(handler):
            if handler.headers.get('Authorization') == f'Basic {auth}':
                return False
            answer(handler, 401, b'', {'WWW-Authenticate': 'Basic realm="x"'})
        self.server.hooks = [('^/v2/', check)]
        self.pull_good(self.name)
        self.assertEqual(self.asked(), ['/layer'])
        self.assertNotIn('Authorization', self.other.requests[0][1])
        self.clear_store()
        self.other.requests.clear()
        self.other.hooks = [('', lambda h: answer(h, 401, b'', {'WWW-Authenticate': 'Basic realm="x"'}))]
        self.assertIn('401 unauthorized', self.pull_bad(self.name))
        self.assertEqual(self.asked(), ['/layer'])

    def test_all_errors_are_told(self):
        self.foreign(f'http://{self.other.address}/one?token=hidden', f'http://{self.other.address}/two')
        self.other.hooks = [('^/one', always(403)), ('^/two', always(404))]
        error = self.pull_bad(self.name)
        self.assertRegex(error, rf'blobs/{self.digest}: 404 not found.*; and URL 1 of 2: '
                                rf'GET http://{self.other.address}/one: 403 .*; and URL 2 of 2: '
                                rf'GET http://{self.other.address}/two: 404 not found')
        self.assertNotIn('hidden', error)
        self.assertEqual(self.asked(), ['/one?token=hidden', '/two'])

    def test_content_is_verified(self):
        self.foreign(self.url)
        self.other.hooks = [('', always(200, self.data[:-1] + b'x'))]
        self.assertIn('digest', self.pull_bad(self.name))
        self.other.hooks = [('', always(200, self.data + b'x'))]
        self.assertRegex(self.pull_bad(self.name), rf'URL 1 of 1: .*{len(self.data) + 1} bytes, manifest says')

    def test_body_that_breaks_off_goes_on_at_the_next_url(self):
        half = 1000
        self.foreign(f'http://{self.other.address}/breaks', self.url)

        def rest(handler):
            self.assertEqual(handler.headers['Range'], f'bytes={half}-')
            answer(handler, 206, self.data[half:],
                   {'Content-Range': f'bytes {half}-{len(self.data) - 1}/{len(self.data)}'})
        self.other.hooks = [('^/breaks', first(1, lambda h: answer(h, 200, self.data[:half], length=len(self.data)))),
                            ('^/breaks', always(404)), ('^/layer', rest)]
        self.pull_good(self.name)
        self.assertEqual(self.asked(), ['/breaks', '/breaks', '/layer'])

    def test_urls_that_are_refused(self):
        """As registry.test, reached through a proxy, which is the registry's own server."""
        proxy = f'http://{self.server.address}'
        self.environment.update(http_proxy=proxy, PULL_TOOL_INSECURE='registry.test:5000', https_proxy=proxy)
        for url, words in ((self.url, "internal address '127.0.0.1'"), ('http://10.0.0.1/x', 'internal address'),
                           ('https://192.168.1.1/x', 'internal address'), ('https://[::1]/x', 'internal address'),
                           ('https://localhost/x', 'internal address'),
                           ('http://169.254.169.254/x', 'internal address'),
                           ('http://me:secret@h.example/x', 'has a user in it'),
                           ('ftp://h.example/x', 'neither https nor http'), ('file:///etc/passwd', 'neither https nor'),
                           ('nonsense', 'URL 1 of 1'), ('', 'is not a URL')):
            with self.subTest(url):
                self.foreign(url)
                error = self.pull_bad('registry.test:5000/some/app:t')
                self.assertIn(words, error)
                self.assertNotIn('secret', error)
                self.assertEqual(self.asked(), [])

    def test_redirects_keep_to_the_rules(self):
        self.foreign(f'http://{self.other.address}/first')
        self.other.hooks.insert(0, ('^/first', always(302, Location='/layer')))
        self.pull_good(self.name)
        self.clear_store()
        self.other.hooks[0] = ('^/first', always(302, Location='file:///etc/passwd'))
        self.assertIn('neither https nor http', self.pull_bad(self.name))

    def test_other_sources_do_not_ask(self):
        made = self.foreign(self.url)
        made.blobs.pop(self.digest)
        self.assertIn(self.digest[7:], self.pull_bad(f'oci:{self.layout(t=made)}:t'))
        self.assertEqual(self.asked(), [])

    def test_number_and_length_of_urls(self):
        root = f'http://{self.other.address}/'
        self.foreign(*[root + 'absent'] * 7, self.url)
        self.pull_good(self.name)
        self.assertEqual(len(self.asked()), 8)
        self.clear_store()
        self.foreign(self.url.ljust(2048, '/'))
        self.pull_good(self.name)
        self.foreign(*[self.url] * 9)
        self.assertIn('layers, entry 1: 9 urls, the limit is 8', self.pull_bad(self.name, 'always'))
        self.foreign(self.url.ljust(2049, '/'))
        self.assertIn('url 1 has 2049 bytes, the limit is 2048', self.pull_bad(self.name, 'always'))


def inline(descriptor, data):
    descriptor['data'] = base64.b64encode(data).decode()


class Inline(Case):
    def setUp(self):
        super().setUp()
        self.made = self.serve(lambda _: None)
        self.blobs = dict(self.made.blobs)

    def with_data(self, change=lambda manifest: None):
        """The manifest of the same image with its blobs inside, as @change leaves them."""
        manifest = json.loads(self.made.manifest)
        for descriptor in (manifest['config'], manifest['layers'][0]):
            inline(descriptor, self.blobs[descriptor['digest']])
        change(manifest)
        data = json.dumps(manifest).encode()
        self.server.tags = {'t': (data, ocilayout.MANIFEST)}
        self.server.requests.clear()
        return data

    def test_config_and_layers_are_not_asked_for(self):
        self.with_data()
        self.server.blobs = {}
        self.assertEqual(self.content(self.pull_good(self.name))['f'], b'content')
        self.assertEqual([p for p, _ in self.server.requests], ['/v2/some/app/manifests/t'])

    def test_manifest_of_an_index_is_not_asked_for(self):
        entry = dict(self.made.descriptor)
        inline(entry, self.made.manifest)
        index = ocilayout.index(entry)
        self.server.tags = {'t': (index, ocilayout.INDEX)}
        self.server.blobs.pop(ocilayout.digest(self.made.manifest), None)
        self.pull_good(self.name)
        self.assertEqual(self.server.count('/manifests/'), 1)

    def test_layout_without_the_blobs(self):
        data = self.with_data()
        descriptor = {'mediaType': ocilayout.MANIFEST, 'digest': ocilayout.digest(data), 'size': len(data)}
        layout = ocilayout.write(self.folder('embedded'), {ocilayout.digest(data): data},
                                 [ocilayout.tagged(descriptor, 't')])
        self.pull_good(f'oci:{layout}:t')

    def test_wrong_data_is_named(self):
        def other(manifest):
            layer = manifest['layers'][0]
            data = self.blobs[layer['digest']]
            inline(layer, data[:-1] + bytes([data[-1] ^ 1]))

        def shorter(manifest):
            layer = manifest['layers'][0]
            inline(layer, self.blobs[layer['digest']][:-1])

        def no_base64(manifest):
            manifest['config']['data'] = '*' * 8

        def no_text(manifest):
            manifest['config']['data'] = 7
        layer = json.loads(self.made.manifest)['layers'][0]['digest']
        config = json.loads(self.made.manifest)['config']['digest']
        for change, words in ((other, f'layers, entry 1: data of {layer}: it has the digest sha256:'),
                              (shorter, f'data of {layer}: '), (no_base64, f'config: data of {config}: not base64'),
                              (no_text, "key 'data' is not")):
            with self.subTest(change.__name__):
                self.with_data(change)
                self.assertIn(words, self.pull_bad(self.name))
                self.assertEqual(len(self.server.requests), 1)


if __name__ == '__main__':
    tap.main()
