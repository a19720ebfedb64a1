# SPDX-License-Identifier: Apache-2.0
"""A real registry (Debian's docker-registry) on a loopback port, with its storage in a temporary folder."""
import os
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.request

# Seconds that it may take to listen.
START = 30


class Registry:
    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix='registry-')
        with socket.socket() as s:
            s.bind(('127.0.0.1', 0))
            self.address = f'127.0.0.1:{s.getsockname()[1]}'
        config = os.path.join(self.folder, 'config.yml')
        with open(config, 'w') as f:
            f.write(f'version: 0.1\nlog:\n  level: error\n  accesslog:\n    disabled: true\n'
                    f'storage:\n  filesystem:\n    rootdirectory: {self.folder}/storage\n'
                    f'http:\n  addr: {self.address}\n')
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
                with urllib.request.urlopen(f'http://{self.address}/v2/', timeout=5):
                    return
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
