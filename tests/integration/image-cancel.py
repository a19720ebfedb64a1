#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A pull that is cancelled ends at once, whatever it waits for: a name, a helper, an engine."""
import json
import os
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'support'))
import badregistry
import ocilayout
import storetest
import tap

# The reports come some ten times a second; the rest is for a busy machine.
SOON = 4


class Cancel(storetest.StoreTest):
    def setUp(self):
        super().setUp()
        self.environment = {'XDG_RUNTIME_DIR': self.base, 'XDG_CONFIG_HOME': self.base, 'DOCKER_CONFIG': '',
                            'REGISTRY_AUTH_FILE': ''}

    def assert_soon(self, name):
        start = time.monotonic()
        self.assertIn('cancelled', self.pull_bad(name, cancel=5))
        self.assertLess(time.monotonic() - start, SOON)

    def test_name_that_nobody_answers_for(self):
        preload = storetest.pull_tool().replace('pull-tool', 'libslow-names.so')
        self.environment.update(LD_PRELOAD=preload, ASAN_OPTIONS='verify_asan_link_order=0')
        self.assert_soon('registry.example/app:1')

    def test_helper_that_does_not_want_to_end(self):
        good = self.image()
        server = badregistry.BadRegistry(good.blobs, {'t': (good.manifest, ocilayout.MANIFEST)})
        self.addCleanup(server.close)
        server.hooks.append(('', lambda h: badregistry.answer(h, 401, b'', {'WWW-Authenticate': 'Basic realm="x"'})))
        os.makedirs(f'{self.base}/.docker')
        pathlib.Path(self.base, '.docker', 'config.json').write_text(json.dumps({'credsStore': 'stubborn'}))
        helper = pathlib.Path(self.folder('bin'), 'docker-credential-stubborn')
        helper.write_text("#!/bin/sh\ntrap '' TERM\nexec sleep 60\n")
        helper.chmod(0o755)
        self.environment['PATH'] = f'{helper.parent}:{os.environ["PATH"]}'
        self.assert_soon(f'{server.address}/app:t')


if __name__ == '__main__':
    tap.main()
