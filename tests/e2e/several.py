#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Several VMs side by side, and the names that tell them apart."""
import json
import subprocess

import e2e
import tap


class Several(e2e.Case):
    def test_four_at_once(self):
        started = [self.host.start('run', '-i', '-m', '128m', '-e', f'NUMBER={i}', self.host.sample, 'sh', '-c',
                                   'echo is-up $NUMBER; cat; echo end $NUMBER >&2; exit $NUMBER', stdin=subprocess.PIPE)
                   for i in range(4)]
        for i, vm in enumerate(started):
            vm.wait_for(f'is-up {i}\n'.encode(), 2 * e2e.TIMEOUT)
        # All four run at this moment.
        machines = [line for _, line in self.host.processes() if 'qemu-system' in line.split(' ')[0]]
        self.assertEqual(len(machines), 4, machines)
        for i, vm in enumerate(started):
            vm.process.stdin.write(f'data {i}'.encode())
            self.assert_ran(vm.finish(), f'is-up {i}\ndata {i}'.encode(), f'end {i}\n'.encode(), i)

    def test_a_name_is_taken_while_its_vm_runs(self):
        first = self.host.start('run', '-i', '--name', 'one', '--rm', self.host.sample, 'sh', '-c', 'echo is-up; cat',
                                stdin=subprocess.PIPE)
        first.wait_for(b'is-up\n')
        self.assert_refused(self.host.run('--name', 'one', '--', 'true'), 'one')
        first.process.stdin.write(b'still here')
        self.assert_ran(first.finish(), b'is-up\nstill here')
        self.assert_ran(self.host.run('--name', 'one', '--rm', '--', 'true'))

    def test_a_named_vm_leaves_its_logs_and_state(self):
        self.kept = {'logged'}
        for status in (3, 4):
            self.assert_ran(self.host.shell(f'exit {status}', '--name', 'logged'), b'', b'', status)
        folder = self.host.data / 'vms' / 'logged'
        self.assertEqual(folder.stat().st_mode & 0o777, 0o700)
        state = json.loads((folder / 'state.json').read_text())
        self.assertIn(4, state.values(), state)
        self.assertLessEqual({'console.log', 'vm.log'}, set(self.host.logs('logged')))

    def test_two_first_pulls_at_once(self):
        folder = str(self.host.base / 'home' / 'both')
        pulls = [self.host.start('pull', '--data-dir', folder, self.host.sample) for _ in range(4)]
        results = [p.finish() for p in pulls]
        self.assertEqual([r.status for r in results], [0] * 4, results)
        records = json.loads(self.host.command('images', '--json', '--data-dir', folder).out)
        self.assertEqual(len(records), 1, records)

    def test_xdg_places(self):
        env = {k: v for k, v in self.host.env.items() if k != 'MICROVM_DATA_DIR'}
        home = self.host.base / 'home'
        (home / '.cache' / 'microvm').mkdir(parents=True)
        (self.host.data / 'cache' / 'kernels').rename(home / '.cache' / 'microvm' / 'kernels')
        try:
            self.host.own(home)
            process = subprocess.run([self.host.microvm, 'run', '--name', 'placed', self.host.sample, 'echo', 'here'],
                                     env=env, capture_output=True, timeout=e2e.TIMEOUT, cwd=home, **self.host.ids)
            self.assertEqual((process.returncode, process.stdout), (0, b'here\n'), process)
            self.assertTrue((home / '.local/state/microvm/vms/placed/console.log').exists())
            self.assertTrue(list((home / '.cache/microvm/images').iterdir()))
        finally:
            (home / '.cache' / 'microvm' / 'kernels').rename(self.host.data / 'cache' / 'kernels')


if __name__ == '__main__':
    tap.main()
