#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Whatever process of a VM is killed at whatever moment: nothing of it runs on, and the next command clears up."""
import os
import random
import signal
import time

import e2e
import tap

# Seconds from the moment at which the victim is there: the first steps of a start, the boot, the program.
MOMENTS = (0, 0.01, 0.1, 0.4, 1.0, 2.0)


class Kill(e2e.Case):
    def find(self, name, started):
        """The process of @name as soon as it is there; None when the command ended before."""
        deadline = time.monotonic() + e2e.TIMEOUT
        while time.monotonic() < deadline and started.process.poll() is None:
            for pid, line in self.host.processes():
                if os.path.basename(line.split(' ')[0]).startswith(name):
                    return pid
            time.sleep(0.002)
        return None

    def killed(self, find, moment):
        started = self.host.start('run', '--name', 'victim', self.host.sample, 'sh', '-c', 'echo is-up; sleep 600')
        pid = find(started)
        self.assertIsNotNone(pid, f'the victim never came: {started.process.poll()} {bytes(started.err)!r}')
        time.sleep(moment)
        os.kill(pid, signal.SIGKILL)
        return started.finish(60)

    def check_after(self, result, moment):
        self.assertNotEqual(result.status, 0, f'after {moment} s: {result}')
        self.host.assert_nothing_left(files=False)
        self.assert_ran(self.host.run('--name', 'victim', '--rm', '--', 'echo', 'next'), b'next\n')
        self.host.assert_nothing_left()

    def sweep(self, name):
        jitter = random.Random(os.getpid())
        for moment in MOMENTS:
            moment += jitter.random() * 0.05
            with self.subTest(victim=name, moment=moment):
                result = self.killed(lambda started: self.find(name, started), moment)
                self.assertEqual(result.status, 125, result)
                self.assertRegex(result.err, rb'\Amicrovm: [^\n]+\n\Z')
                self.check_after(result, moment)

    def test_runner(self):
        self.sweep('microvm-runner')

    def test_machine(self):
        self.sweep('qemu-system')

    def test_vsock_device(self):
        self.sweep('microvm-vsock')

    def test_command(self):
        for moment in (0.005, 0.05, 0.3, 1.0, 2.5):
            with self.subTest(moment=moment):
                result = self.killed(lambda started: started.process.pid, moment)
                self.assertEqual(result.status, 137, result)
                self.check_after(result, moment)

    def test_all_at_once(self):
        started = self.host.start('run', self.host.sample, 'sh', '-c', 'echo is-up; sleep 600')
        started.wait_for(b'is-up')
        pids = [pid for pid, _ in self.host.processes()]
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        started.finish()
        e2e.wait_until_dead(pids)
        self.assert_ran(self.host.run('true'))
        self.host.assert_nothing_left()

    def test_while_the_image_is_stored(self):
        """The store of a fresh folder survives: the next command finds what it understands."""
        for moment in (0.0, 0.02, 0.05, 0.1, 0.2):
            with self.subTest(moment=moment):
                folder = self.host.base / 'home' / f'data-{moment}'
                started = self.host.start('pull', '--data-dir', str(folder), self.host.sample)
                time.sleep(moment)
                started.process.kill()
                started.finish()
                self.assert_ran(self.host.command('pull', '--data-dir', str(folder), self.host.sample), None, None)
                self.assertFalse([str(p) for p in folder.rglob('*') if 'tmp' in p.name.lower()])


if __name__ == '__main__':
    tap.main()
