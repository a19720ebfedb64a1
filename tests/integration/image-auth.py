#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Who we are for a registry, and whom we trust: credentials from every place, helpers, token servers, certificates.
No secret is ever in a message."""
import base64
import json
import os
import pathlib
import socket
import ssl
import subprocess
import sys
import time
import urllib.parse
import warnings

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'support'))
import badregistry
import certificates
import ocilayout
import proxy
import registry
import storetest
import tap
from badregistry import always, answer, errors, first

SECRET = 'correct horse: battery/+=staple'
TOKEN = 'tok-5ecret.en_'


def basic(user, password):
    return 'Basic ' + base64.b64encode(f'{user}:{password}'.encode()).decode()


def entry(user='alice', password=SECRET, **more):
    return {'auth': basic(user, password).removeprefix('Basic '), **more}


class Case(storetest.StoreTest):
    def setUp(self):
        super().setUp()
        self.good = self.image()
        self.server = badregistry.BadRegistry(self.good.blobs, {'t': (self.good.manifest, ocilayout.MANIFEST)})
        self.addCleanup(self.server.close)
        self.name = f'{self.server.address}/some/app:t'
        # None of the host's own.
        self.environment = {'XDG_RUNTIME_DIR': os.path.join(self.base, 'runtime'), 'PATH': os.environ['PATH'],
                            'XDG_CONFIG_HOME': os.path.join(self.base, 'xdg'), 'DOCKER_CONFIG': '',
                            'REGISTRY_AUTH_FILE': ''}

    def hook(self, pattern, function):
        self.server.hooks.append((pattern, function))

    def write(self, path, value):
        full = os.path.join(self.base, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, 'w') as f:
            f.write(value if isinstance(value, str) else json.dumps(value))
        return full

    def config(self, value):
        return self.write('.docker/config.json', value)

    def auths(self, **more):
        self.config({'auths': {self.server.address: entry(**more)}})

    def wants(self, *authorizations, challenge='Basic realm="x"'):
        """Answers only who shows one of them."""
        def check(handler):
            if handler.headers.get('Authorization') in authorizations:
                return False
            answer(handler, 401, errors('UNAUTHORIZED', 'who are you'), {'WWW-Authenticate': challenge})
        return check

    def pull_bad(self, name, *arguments, **options):
        message = super().pull_bad(name, *arguments, **options)
        for secret in (SECRET, TOKEN, base64.b64encode(SECRET.encode()).decode()[:12], entry()['auth']):
            self.assertNotIn(secret, message)
        return message

    def helper(self, name, script):
        path = self.write(f'bin/docker-credential-{name}', '#!/bin/sh\n' + script)
        os.chmod(path, 0o755)
        self.environment['PATH'] = f'{self.base}/bin:{os.environ["PATH"]}'


class Files(Case):
    def setUp(self):
        super().setUp()
        self.hook('^/v2/', self.wants(basic('alice', SECRET)))

    def test_every_place_is_looked_at(self):
        value = {'auths': {self.server.address: entry()}}
        places = (('.docker/config.json', {}), ('other/config.json', {'DOCKER_CONFIG': f'{self.base}/other'}),
                  ('named.json', {'REGISTRY_AUTH_FILE': f'{self.base}/named.json'}),
                  ('runtime/containers/auth.json', {}), ('xdg/containers/auth.json', {}),
                  ('.config/containers/auth.json', {}))
        self.assertIn('a user name and a password', self.pull_bad(self.name))
        for path, environment in places:
            with self.subTest(path):
                full = self.write(path, value)
                before = self.environment
                self.environment = {**before, **environment}
                self.pull_good(self.name)
                self.clear_store()
                os.unlink(full)
                self.environment = before

    def test_a_file_that_is_named_is_the_only_one(self):
        self.auths()
        self.environment['PULL_TOOL_AUTH_FILE'] = self.write('only.json', {})
        self.assertIn('a user name', self.pull_bad(self.name))
        self.environment['PULL_TOOL_AUTH_FILE'] = f'{self.base}/absent.json'
        self.assertIn('absent.json', self.pull_bad(self.name))
        self.environment['PULL_TOOL_AUTH_FILE'] = self.write('only.json', {'auths': {self.server.address: entry()}})
        self.pull_good(self.name)

    def test_a_file_without_an_answer_leaves_it_to_the_next(self):
        self.config({'auths': {'elsewhere.example': entry('bob', 'x')}, 'HttpHeaders': {'X': 'y'}})
        self.write('xdg/containers/auth.json', {'auths': {self.server.address: entry()}})
        self.pull_good(self.name)

    def test_keys(self):
        host = self.server.address
        for key in (host, f'https://{host}', f'https://{host}/v1/', f'http://{host}/v2/', f'{host}/some',
                    f'{host}/some/app'):
            with self.subTest(key):
                self.config({'auths': {key: entry()}})
                self.pull_good(self.name, 'always')
        for key in (f'{host}/other', f'{host}/some/app/x', f'x{host}', f'{host}/som'):
            with self.subTest(key):
                self.config({'auths': {key: entry()}})
                self.assertIn('a user name', self.pull_bad(self.name, 'always'))
        self.config({'auths': {host: entry('bob', 'wrong'), f'{host}/some': entry()}})
        self.pull_good(self.name, 'always')

    def test_forms_of_an_entry(self):
        padded = entry()['auth']
        for value in ({'auth': padded.rstrip('=')}, {'username': 'alice', 'password': SECRET},
                      {'auth': base64.b64encode(f'alice:{SECRET}\0\0'.encode()).decode()},
                      {'auth': padded, 'email': 'x', 'username': 'ignored'}):
            with self.subTest(value):
                self.config({'auths': {self.server.address: value}})
                self.pull_good(self.name, 'always')

    def test_broken_files_are_told_before_anybody_is_asked(self):
        for text, words in (('{', 'not JSON'), ('[]', 'not an object'), ('{"auths": 7}', "'auths'"), ('', 'not JSON'),
                            ('{"credsStore": 7}', "'credsStore'"), ('{"credHelpers": {"x": 7}}', 'credHelpers'),
                            ('{"x":' + ' ' * (1 << 20) + '1}', 'limit|1048576')):
            with self.subTest(words):
                self.config(text)
                error = self.pull_bad(self.name)
                self.assertRegex(error, words)
                self.assertIn('.docker/config.json', error)
        self.assertEqual(self.server.requests, [])

    def test_broken_entries_are_told(self):
        for value, words in (({'auth': '!'}, 'base64'), ({'auth': 'YWxpY2U='}, 'USER:PASSWORD'),
                             ({'auth': 7}, "'auth'"), (7, 'not an object'), ({'registrytoken': 'a b'}, 'registrytoken'),
                             ({'username': 'a\nb', 'password': 'x'}, 'user name')):
            with self.subTest(words):
                self.config({'auths': {self.server.address: value}})
                error = self.pull_bad(self.name)
                self.assertIn(words, error)
                self.assertIn('config.json', error)

    def test_wrong_password_is_told_once(self):
        self.auths(user='alice', password='wr0ng')
        error = self.pull_bad(self.name)
        self.assertIn('401 unauthorized: UNAUTHORIZED: who are you', error)
        self.assertNotIn('wr0ng', error)
        self.assertEqual(len(self.server.requests), 2)

    def test_nobody_else_gets_the_password(self):
        other = badregistry.BadRegistry(self.good.blobs)
        self.addCleanup(other.close)
        self.auths()
        self.server.hooks.insert(0, ('/blobs/', lambda h: answer(h, 307, b'', {
            'Location': f'http://localhost:{other.port}{h.path}'}) if h.headers.get('Authorization') else False))
        self.pull_good(self.name)
        self.assertEqual(other.count('/blobs/'), 2)
        self.assertFalse([h for _, h in other.requests if 'Authorization' in h])

    def test_anonymous_access_shows_nothing(self):
        self.auths()
        self.server.hooks = []
        self.pull_good(self.name)
        self.assertFalse([h for _, h in self.server.requests if 'Authorization' in h])


class Helpers(Case):
    GOOD = f'''printf '{{"ServerURL":"x","Username":"alice","Secret":"{SECRET}"}}' '''

    def setUp(self):
        super().setUp()
        self.hook('^/v2/', self.wants(basic('alice', SECRET)))

    def test_helper_of_a_host_and_for_all(self):
        self.helper('one', f'[ "$1" = get ] && [ "$(cat)" = {self.server.address} ] || exit 9; {self.GOOD}')
        for value in ({'credHelpers': {self.server.address: 'one'}}, {'credsStore': 'one'},
                      {'credHelpers': {self.server.address: 'one'}, 'credsStore': 'absent'},
                      {'credsStore': 'one', 'auths': {self.server.address: {}}}):
            with self.subTest(value):
                self.config(value)
                self.pull_good(self.name, 'always')

    def test_helper_is_not_run_for_those_who_want_nobody(self):
        self.helper('one', f'touch {self.base}/ran; {self.GOOD}')
        self.config({'credsStore': 'one'})
        self.server.hooks = []
        self.pull_good(self.name)
        self.assertFalse(os.path.exists(f'{self.base}/ran'))

    def test_helper_without_an_answer_leaves_it_to_the_file(self):
        self.helper('none', 'echo credentials not found in native keychain; exit 1')
        self.config({'credsStore': 'none', 'auths': {self.server.address: entry()}})
        self.pull_good(self.name)
        self.config({'credsStore': 'none'})
        self.assertIn('none are known', self.pull_bad(self.name, 'always'))

    def test_helpers_that_fail_are_named(self):
        self.helper('crash', f'echo token {SECRET}; echo {SECRET} >&2; exit 3')
        self.helper('leak', f'echo \'{{"Username":"alice","Secret":"{SECRET}"}}\'; exit 3')
        self.helper('killed', 'kill -9 $$')
        self.helper('junk', f'echo "{SECRET}"')
        self.helper('cut', f'echo \'{{"Username":"alice","Secret":"{SECRET}\'')
        self.helper('half', 'echo \'{"Username":"alice"}\'')
        self.helper('much', 'exec head -c 70000 /dev/zero')
        self.helper('evil', 'printf \'{"Username":"a\\\\nb","Secret":"x"}\'')
        asked = f', asked for {self.server.address}: '
        answered = asked + 'ended with status 0, but its answer is no credentials; '
        for name, words in (('crash', f'docker-credential-crash{asked}ended with status 3; '),
                            ('leak', f'docker-credential-leak{asked}ended with status 3; '),
                            ('killed', f'docker-credential-killed{asked}ended with signal 9; '),
                            ('junk', f'docker-credential-junk{answered}'), ('cut', f'docker-credential-cut{answered}'),
                            ('half', answered), ('evil', answered), ('much', f'docker-credential-much{asked}'),
                            ('absent', f'docker-credential-absent{asked}no such program in PATH'),
                            ('../x', 'not the name of a credential helper')):
            with self.subTest(name):
                self.config({'credsStore': name})
                error = self.pull_bad(self.name)
                self.assertIn(words, error)

    def test_a_missing_helper_is_no_matter_where_anybody_may_pull(self):
        self.config({'credsStore': 'absent'})
        self.server.hooks = []
        self.pull_good(self.name)
        self.clear_store()
        realm = f'http://{self.server.address}/token'
        self.server.hooks = [('^/v2/', self.wants('Bearer good', challenge=f'Bearer realm="{realm}"')),
                             ('^/token', always(200, b'{"token":"good"}'))]
        self.pull_good(self.name)
        self.clear_store()
        self.server.hooks = [('^/v2/', self.wants('Bearer never', challenge=f'Bearer realm="{realm}"')),
                             ('^/token', always(200, b'{"token":"good"}'))]
        error = self.pull_bad(self.name)
        self.assertIn(f'docker-credential-absent, asked for {self.server.address}: no such program', error)
        self.assertIn('without credentials', error)

    def test_helper_that_hangs_is_ended_by_a_cancel(self):
        self.helper('slow', 'exec sleep 100')
        self.config({'credsStore': 'slow'})
        start = time.monotonic()
        self.assertIn('cancelled', self.pull_bad(self.name, cancel=20))
        self.assertLess(time.monotonic() - start, 15)


class Tokens(Case):
    def setUp(self):
        super().setUp()
        # On another host of this machine, as far as names go.
        self.realm = badregistry.BadRegistry()
        self.addCleanup(self.realm.close)
        self.url = f'http://localhost:{self.realm.port}/auth?a=b'
        self.hook('^/v2/', self.wants(f'Bearer {TOKEN}', challenge=f'Bearer realm="{self.url}",service="svc"'))
        self.token = always(200, json.dumps({'token': TOKEN, 'expires_in': 300}).encode())

    def test_password_goes_to_the_realm_alone(self):
        self.auths()
        self.realm.hooks = [('^/auth', self.wants(basic('alice', SECRET))), ('^/auth', self.token)]
        self.realm.hooks = [('^/auth', lambda h: self.token(h) if h.headers.get('Authorization') ==
                             basic('alice', SECRET) else answer(h, 401))]
        self.pull_good(self.name)
        self.assertEqual({h.get('Authorization') for _, h in self.server.requests}, {None, f'Bearer {TOKEN}'})
        self.assertEqual([p for p, _ in self.realm.requests],
                         ['/auth?a=b&service=svc&scope=repository%3asome%2fapp%3apull'])

    def test_unchanged_tag_costs_a_manifest_and_a_token(self):
        self.auths()
        self.realm.hooks = [('^/auth', self.token)]
        self.pull_good(self.name)
        self.server.requests.clear()
        self.realm.requests.clear()
        self.pull_good(self.name, 'always')
        # The first answer is what says that a token is wanted, and where it is to be had.
        self.assertEqual([(p, 'Authorization' in h) for p, h in self.server.requests],
                         [('/v2/some/app/manifests/t', False), ('/v2/some/app/manifests/t', True)])
        self.assertEqual(len(self.realm.requests), 1)

    def test_identity_token_is_sent_in_a_form(self):
        for value in ({'identitytoken': 'id/+tok', 'auth': base64.b64encode(b'00000000:').decode()},
                      {'identitytoken': 'id/+tok'}):
            with self.subTest(value):
                self.config({'auths': {self.server.address: value}})
                self.realm.hooks = [('^/auth', lambda h: self.token(h) if h.command == 'POST' else answer(h, 400))]
                self.realm.bodies.clear()
                self.pull_good(self.name, 'always')
                form = dict(urllib.parse.parse_qsl(self.realm.bodies[0]))
                self.assertEqual(form, {'grant_type': 'refresh_token', 'refresh_token': 'id/+tok', 'service': 'svc',
                                        'scope': 'repository:some/app:pull', 'client_id': 'microvm'})
                self.assertNotIn('id', str([p for p, _ in self.realm.requests]).replace('client_id', ''))

    def test_identity_token_from_a_helper(self):
        self.helper('hub', 'echo \'{"Username":"<token>","Secret":"idtok"}\'')
        self.config({'credsStore': 'hub'})
        self.realm.hooks = [('^/auth', self.token)]
        self.pull_good(self.name)
        self.assertIn('refresh_token=idtok', self.realm.bodies[0])

    def test_realm_that_knows_no_forms_is_asked_without(self):
        self.config({'auths': {self.server.address: {'identitytoken': 'idtok'}}})
        self.realm.hooks = [('^/auth', lambda h: answer(h, 404) if h.command == 'POST' else self.token(h))]
        self.pull_good(self.name)
        self.assertEqual(len(self.realm.requests), 2)

    def test_identity_token_is_replaced(self):
        self.config({'auths': {self.server.address: {'identitytoken': 'first'}}})
        self.realm.hooks = [('^/auth', first(1, always(200, b'{"access_token":"stale","refresh_token":"second"}'))),
                            ('^/auth', self.token)]
        self.pull_good(self.name)
        self.assertEqual([dict(urllib.parse.parse_qsl(b))['refresh_token'] for b in self.realm.bodies],
                         ['first', 'second'])

    def test_form_is_not_sent_to_another_host(self):
        other = badregistry.BadRegistry()
        self.addCleanup(other.close)
        self.config({'auths': {self.server.address: {'identitytoken': 'idtok'}}})
        self.realm.hooks = [('^/auth', always(307, Location=f'http://a.localhost:{other.port}/x'))]
        self.assertIn('another host', self.pull_bad(self.name))
        self.assertEqual(other.requests, [])

    def test_password_does_not_follow_a_redirect_of_the_realm(self):
        other = badregistry.BadRegistry()
        self.addCleanup(other.close)
        other.hooks = [('', self.token)]
        self.auths()
        self.realm.hooks = [('^/auth', always(307, Location=f'http://a.localhost:{other.port}/x'))]
        self.environment['LOCALDOMAIN'] = ''
        self.pull_good(self.name)
        self.assertFalse([h for _, h in other.requests if 'Authorization' in h])

    def test_registry_token_is_used_as_it_is(self):
        self.config({'auths': {self.server.address: {'registrytoken': TOKEN}}})
        self.pull_good(self.name)
        self.assertEqual(self.realm.requests, [])
        self.config({'auths': {self.server.address: {'registrytoken': 'other'}}})
        self.assertIn('401 unauthorized', self.pull_bad(self.name, 'always'))

    def test_refused_password_is_told(self):
        self.auths(password='wr0ng')
        self.realm.hooks = [('^/auth', always(401, errors('UNAUTHORIZED', 'no')))]
        error = self.pull_bad(self.name)
        self.assertRegex(error, r'ask for a token: GET http://localhost:\d+/auth: 401 unauthorized')
        self.assertNotIn('wr0ng', error)

    def test_short_lived_token_is_renewed(self):
        self.realm.hooks = [('^/auth', always(200, json.dumps({'token': TOKEN, 'expires_in': 1}).encode()))]
        self.pull_good(self.name)
        self.assertEqual(len(self.realm.requests), 3)   # the manifest's, the config's, the layer's


class Trust(Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.tls_folder = cls.programs + '/tls'
        os.mkdir(cls.tls_folder, 0o755)
        cls.authority = certificates.Authority(cls.tls_folder)
        cls.server_pair = cls.authority.issue('server', 'IP:127.0.0.1', 'DNS:localhost', 'DNS:registry.test')
        cls.client_pair = cls.authority.issue('client')

    def setUp(self):
        super().setUp()
        self.server.close()
        self.serve()

    def serve(self, **more):
        self.server = badregistry.BadRegistry(self.good.blobs, {'t': (self.good.manifest, ocilayout.MANIFEST)},
                                              tls=self.server_pair, **more)
        self.addCleanup(self.server.close)
        self.name = f'{self.server.address}/some/app:t'

    def certs(self, address=None):
        folder = self.folder_of(address)
        os.makedirs(folder)
        return folder

    def folder_of(self, address=None):
        return os.path.join(self.base, 'xdg/containers/certs.d', address or self.server.address)

    def test_unknown_authority_is_refused_and_http_not_tried(self):
        error = self.pull_bad(self.name)
        self.assertRegex(error, r'certificate')
        self.assertNotIn('http://', error)

    def test_authority_in_a_file(self):
        self.environment['PULL_TOOL_CA'] = self.authority.certificate
        self.pull_good(self.name)
        self.environment['PULL_TOOL_CA'] = self.write('empty.crt', 'no certificate')
        self.assertIn('no certificate in PEM', self.pull_bad(self.name, 'always'))
        self.environment['PULL_TOOL_CA'] = f'{self.base}/absent.crt'
        self.assertIn('absent.crt', self.pull_bad(self.name, 'always'))

    def test_authority_in_a_folder(self):
        os.symlink(self.authority.certificate, os.path.join(self.certs(), 'ca.crt'))
        self.pull_good(self.name)
        self.environment['PULL_TOOL_CERTS'] = self.tls_folder
        self.assertIn('certificate', self.pull_bad(self.name, 'always'))

    def test_folder_of_another_host_does_not_count(self):
        os.symlink(self.authority.certificate, os.path.join(self.certs('127.0.0.1:1'), 'ca.crt'))
        self.assertIn('certificate', self.pull_bad(self.name))

    def test_client_certificate(self):
        self.serve(client_ca=self.authority.certificate)
        self.environment['PULL_TOOL_CA'] = self.authority.certificate
        self.assertIn('GET https://', self.pull_bad(self.name))
        folder = self.certs()
        os.symlink(self.client_pair[0], os.path.join(folder, 'me.cert'))
        self.assertIn("me.key' of the certificate", self.pull_bad(self.name))
        os.symlink(self.client_pair[1], os.path.join(folder, 'me.key'))
        self.pull_good(self.name)

    def test_many_certificates_have_a_limit(self):
        folder = self.certs()
        for i in range(64):
            os.symlink(self.authority.certificate, os.path.join(folder, f'{i}.crt'))
        self.pull_good(self.name)
        os.symlink(self.authority.certificate, os.path.join(folder, '64.crt'))
        self.assertIn('more than 64 certificates', self.pull_bad(self.name, 'always'))

    def test_insecure_registry_takes_any_certificate(self):
        self.environment['PULL_TOOL_INSECURE'] = self.server.address
        self.pull_good(self.name)
        self.environment['PULL_TOOL_INSECURE'] = '127.0.0.1'     # another port
        self.assertIn('certificate', self.pull_bad(self.name, 'always'))

    def handshake(self, version):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(self.authority.certificate)
        context.set_ciphers('DEFAULT:@SECLEVEL=0')
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')     # old versions are deprecated
            context.minimum_version = version
        with socket.create_connection(('127.0.0.1', self.server.port)) as connection, \
                context.wrap_socket(connection, server_hostname='localhost') as tls:
            return tls.version()

    def test_tls_older_than_1_2_is_refused(self):
        self.environment['PULL_TOOL_CA'] = self.authority.certificate
        # OpenSSL's own configuration may refuse it too, which is not what is asked here.
        loose = self.write('openssl.cnf', 'openssl_conf = a\n[a]\nssl_conf = b\n[b]\nsystem_default = c\n'
                                          '[c]\nMinProtocol = TLSv1\nCipherString = DEFAULT@SECLEVEL=0\n')
        self.environment['OPENSSL_CONF'] = loose
        for insecure in ('', None):
            self.server.close()
            self.serve(version=ssl.TLSVersion.TLSv1_1)
            self.assertEqual(self.handshake(ssl.TLSVersion.TLSv1_1), 'TLSv1.1')
            self.environment['PULL_TOOL_INSECURE'] = self.server.address if insecure is None else insecure
            error = self.pull_bad(self.name)
            self.assertRegex(error, 'GET https://.*(alert protocol version|unsupported protocol)')
            self.assertEqual(self.server.requests, [])
        self.environment['PULL_TOOL_INSECURE'] = ''
        self.server.close()
        self.serve(version=ssl.TLSVersion.TLSv1_2)
        self.pull_good(self.name)

    def test_insecurity_is_for_the_registry_alone(self):
        other = badregistry.BadRegistry(self.good.blobs, tls=self.server_pair)
        self.addCleanup(other.close)
        self.environment['PULL_TOOL_INSECURE'] = self.server.address
        self.hook('/blobs/', lambda h: answer(h, 307, b'', {'Location': f'https://localhost:{other.port}{h.path}'}))
        self.assertIn('certificate', self.pull_bad(self.name))
        self.environment['PULL_TOOL_CA'] = self.authority.certificate
        self.pull_good(self.name)

    def test_redirect_to_http_is_refused_unless_insecure(self):
        other = badregistry.BadRegistry(self.good.blobs)
        self.addCleanup(other.close)
        self.environment['PULL_TOOL_CA'] = self.authority.certificate
        self.hook('/blobs/', lambda h: answer(h, 307, b'', {'Location': f'http://localhost:{other.port}{h.path}'}))
        self.assertIn('though the registry has https', self.pull_bad(self.name))
        self.environment['PULL_TOOL_INSECURE'] = self.server.address
        self.pull_good(self.name)

    # Through a proxy, where names are free

    def through(self, **names):
        relay = proxy.Proxy({k.replace('_', '.') + suffix: v for k, v in names.items() for suffix in (':443', ':5000')})
        self.addCleanup(relay.close)
        self.environment.update(HTTPS_PROXY=relay.url, HTTP_PROXY=relay.url)
        return relay

    def test_proxy_for_https(self):
        relay = self.through(registry_test=self.server.port)
        self.environment['PULL_TOOL_CA'] = self.authority.certificate
        self.pull_good('registry.test/some/app:t')
        self.assertEqual({(m, t) for m, t, _ in relay.seen}, {('CONNECT', 'registry.test:443')})
        # Another name than the certificate's.
        self.through(evil_test=self.server.port)
        self.assertIn('evil.test', self.pull_bad('evil.test/some/app:t'))

    def test_proxy_that_refuses_is_told_at_once(self):
        self.through()
        start = time.monotonic()
        self.assertIn('502', self.pull_bad('registry.test/some/app:t'))
        self.assertLess(time.monotonic() - start, 3)

    def test_no_proxy(self):
        relay = self.through(registry_test=self.server.port)
        self.environment['NO_PROXY'] = 'registry.test'
        self.assertIn('registry.test', self.pull_bad('registry.test/some/app:t'))
        self.assertEqual(relay.seen, [])

    def test_plain_http_needs_the_users_word(self):
        plain = badregistry.BadRegistry(self.good.blobs, self.server.tags)
        self.addCleanup(plain.close)
        relay = self.through(registry_test=plain.port)
        self.assertNotIn('http://', self.pull_bad('registry.test:5000/some/app:t'))
        self.environment['PULL_TOOL_INSECURE'] = 'registry.test:5000'
        self.pull_good('registry.test:5000/some/app:t')
        self.assertEqual({m for m, _, _ in relay.seen}, {'CONNECT', 'GET'})
        self.clear_store()
        plain.hooks = [('/blobs/', always(307, Location='https://localhost:5000/x'))]
        self.assertIn('internal address', self.pull_bad('registry.test:5000/some/app:t'))


class RealRegistry(Case):
    """Debian's docker-registry with users and https, beside skopeo."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.tls_folder = cls.programs + '/tls'
        os.mkdir(cls.tls_folder, 0o755)
        cls.authority = certificates.Authority(cls.tls_folder)
        cls.registry = registry.Registry({'alice': SECRET}, cls.authority.issue('server', 'IP:127.0.0.1'))
        cls.addClassCleanup(cls.registry.close)

    def test_password_and_authority(self):
        address = self.registry.address
        subprocess.run(['skopeo', 'copy', '--quiet', '--dest-tls-verify=false', f'--dest-creds=alice:{SECRET}',
                        f'oci:{self.layout(t=self.good)}:t', f'docker://{address}/some/app:t'], check=True,
                       stdin=subprocess.DEVNULL)
        name = f'{address}/some/app:t'
        self.environment['PULL_TOOL_CA'] = self.authority.certificate
        self.assertIn('a user name and a password', self.pull_bad(name))
        # As podman and docker write it.
        auth = os.path.join(self.base, '.config/containers/auth.json')
        subprocess.run(['skopeo', 'login', '--tls-verify=false', '--authfile', auth, '-u', 'alice', '--password-stdin',
                        address], input=SECRET, text=True, check=True, capture_output=True)
        os.chmod(auth, 0o644)
        path = self.pull_good(name)
        self.assertEqual(self.content(path)['f'], b'content')
        self.config({'auths': {address: entry(password='wr0ng')}})
        self.assertIn('401 unauthorized', self.pull_bad(name, 'always'))


if __name__ == '__main__':
    tap.main()
