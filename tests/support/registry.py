# SPDX-License-Identifier: Apache-2.0
"""A real registry (Debian's docker-registry) on a loopback port, with its storage in a temporary folder."""
import os
import shutil
import socket
import ssl
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
import warnings

# Seconds that it may take to listen.
START = 30


def bcrypt(password):
    """As `htpasswd -B` makes it: the only form that docker-registry knows."""
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', DeprecationWarning)
        import crypt
    return crypt.crypt(password, crypt.mksalt(crypt.METHOD_BLOWFISH, rounds=1 << 5))


class Registry:
    """@users: names and passwords without which it answers nobody; @tls: a pair of certificate and key for https."""

    def __init__(self, users=None, tls=None):
        self.scheme = 'https' if tls else 'http'
        self.folder = tempfile.mkdtemp(prefix='registry-')
        with socket.socket() as s:
            s.bind(('127.0.0.1', 0))
            self.address = f'127.0.0.1:{s.getsockname()[1]}'
        config = os.path.join(self.folder, 'config.yml')
        with open(config, 'w') as f:
            f.write(f'version: 0.1\nlog:\n  level: error\n  accesslog:\n    disabled: true\n'
                    f'storage:\n  filesystem:\n    rootdirectory: {self.folder}/storage\n'
                    f'http:\n  addr: {self.address}\n')
            if tls:
                f.write(f'  tls:\n    certificate: {tls[0]}\n    key: {tls[1]}\n')
            if users:
                f.write(f'auth:\n  htpasswd:\n    realm: test\n    path: {self.folder}/htpasswd\n')
        if users:
            with open(os.path.join(self.folder, 'htpasswd'), 'w') as f:
                f.writelines(f'{name}:{bcrypt(password)}\n' for name, password in users.items())
        self.log = open(os.path.join(self.folder, 'log'), 'wb')
        self.process = subprocess.Popen(['docker-registry', 'serve', config], stdin=subprocess.DEVNULL,
                                        stdout=self.log, stderr=self.log)
        try:
            self._wait()
        except BaseException:
            self.close()
            raise

    def _wait(self):
        deadline = time.monotonic() + START
        while True:
            try:
                context = ssl._create_unverified_context() if self.scheme == 'https' else None
                with urllib.request.urlopen(f'{self.scheme}://{self.address}/v2/', timeout=5, context=context):
                    return
            except urllib.error.HTTPError as e:
                if e.code == 401:
                    return
                raise
            except OSError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    with open(self.log.name, errors='replace') as f:
                        raise RuntimeError(f'docker-registry does not answer: {f.read()[-2000:]}') from None
                time.sleep(0.05)

    def close(self):
        """Twice is fine."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.log.close()
        shutil.rmtree(self.folder, ignore_errors=True)
