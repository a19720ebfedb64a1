# SPDX-License-Identifier: Apache-2.0
"""A certificate authority of the test's own, made by openssl in a folder."""
import os
import subprocess

CURVE = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2', '-batch']


def openssl(*arguments):
    subprocess.run(['openssl', *arguments], check=True, stdin=subprocess.DEVNULL, capture_output=True)


class Authority:
    def __init__(self, folder):
        self.folder = folder
        self.certificate = os.path.join(folder, 'authority.crt')
        self.key = os.path.join(folder, 'authority.pem')
        openssl('req', '-x509', *CURVE, '-subj', '/CN=test authority', '-keyout', self.key, '-out', self.certificate)

    def issue(self, name, *hosts):
        """A pair of certificate and key for hosts such as 'DNS:localhost' and 'IP:127.0.0.1'; none: a client's."""
        certificate, key = (os.path.join(self.folder, f'{name}.{kind}') for kind in ('cert', 'key'))
        alternative = ['-addext', 'subjectAltName=' + ','.join(hosts)] if hosts else []
        openssl('req', '-x509', *CURVE, '-subj', f'/CN={name}', '-CA', self.certificate, '-CAkey', self.key,
                *alternative, '-addext', 'basicConstraints=critical,CA:FALSE', '-keyout', key, '-out', certificate)
        return certificate, key
