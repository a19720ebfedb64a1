#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A real distribution: a Debian 12 root made by debootstrap, pushed into a real registry on loopback, pulled from there
and run; its python3 computes in the guest."""
import os
import shutil
import subprocess
import unittest

import e2e
import registry
import tap


def cached_layout():
    """The distribution as an OCI layout, made once (it needs root, for its devices and owners)."""
    layout = e2e.cache_dir() / 'debian-12'
    with e2e.Locked('debian-12'):
        if layout.exists():
            return layout
        if os.geteuid() != 0:
            raise unittest.SkipTest('debootstrap needs root, and no earlier run left its result')
        work = e2e.cache_dir() / 'debian-12.making'
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        run = lambda *words: subprocess.run([str(w) for w in words], check=True, stdin=subprocess.DEVNULL)
        run('debootstrap', '--variant=minbase', '--include=python3-minimal', 'bookworm', work / 'root')
        shutil.rmtree(work / 'root/var/cache/apt')
        (work / 'root/var/cache/apt/archives/partial').mkdir(parents=True)
        image = f'{work}/layout:12'
        run('umoci', 'init', '--layout', work / 'layout')
        run('umoci', 'new', '--image', image)
        run('umoci', 'insert', '--image', image, work / 'root', '/')
        run('umoci', 'config', '--image', image, '--config.cmd', '/bin/bash', '--config.env',
            'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin')
        os.rename(work / 'layout', layout)
        shutil.rmtree(work)
    return layout


class Distribution(e2e.Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        layout = cached_layout()
        cls.registry = registry.Registry()
        cls.addClassCleanup(cls.registry.close)
        cls.image = f'{cls.registry.address}/debian:12'
        subprocess.run(['skopeo', '--insecure-policy', 'copy', '-q', '--dest-tls-verify=false', f'oci:{layout}:12',
                        f'docker://{cls.image}'], check=True, stdin=subprocess.DEVNULL)

    def test_1_pull(self):
        result = self.host.command('pull', self.image, timeout=600)
        self.assertEqual((result.status, result.err), (0, b''), result)

    def test_2_python_runs_in_the_guest(self):
        script = 'import os, sys; print(sys.version_info[:2], sum(range(10**6)), os.uname().sysname, os.getuid())'
        self.assert_ran(self.host.command('run', self.image, 'python3', '-c', script),
                        b'(3, 11) 499999500000 Linux 0\n')

    def test_3_the_tree_is_whole(self):
        """dpkg's own checksums of what it installed."""
        result = self.host.command('run', self.image, 'sh', '-c',
                                   'cat /etc/debian_version; dpkg --verify && dpkg -l | grep -c ^ii')
        self.assertEqual((result.status, result.err), (0, b''), result)
        version, packages = result.out.decode().split()
        self.assertTrue(version.startswith('12.'), version)
        self.assertGreater(int(packages), 70)

    def test_4_users_and_modes_of_a_distribution(self):
        script = "id -un; stat -c '%A %U:%G' /usr/bin/passwd /etc/shadow /tmp"
        self.assert_ran(self.host.command('run', '-u', 'www-data', self.image, 'sh', '-c', script),
                        b'www-data\n-rwsr-xr-x root:root\n-rw-r----- root:shadow\ndrwxrwxrwt root:root\n')

    def test_5_without_the_registry_what_is_stored_runs(self):
        self.registry.close()
        self.assert_ran(self.host.command('run', self.image, 'cat', '/etc/hostname'), None, None)
        self.assert_refused(self.host.command('run', '--pull', 'always', self.image, 'true'), self.registry.address)


if __name__ == '__main__':
    tap.main()
