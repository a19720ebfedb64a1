#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""VMs that outlive who started them: found by their name, listed, waited for, stopped and removed by others."""
import json
import os
import signal
import socket
import stat
import time

import e2e
import tap


class Detached(e2e.Case):
    def detach(self, name, *command, options=()):
        result = self.host.run('-d', '--name', name, *options, '--', *command)
        self.assert_ran(result, name.encode() + b'\n')
        self.addCleanup(self.host.command, 'rm', '-f', name)

    def records(self, *words):
        result = self.host.command('ps', '--json', *words)
        self.assertEqual((result.status, result.err), (0, b''), result)
        return {r['name']: r for r in json.loads(result.out)}

    def wait_until(self, true):
        deadline = time.monotonic() + e2e.TIMEOUT
        while not true() and time.monotonic() < deadline:
            time.sleep(0.05)
        self.assertTrue(true())

    def wait_for_output(self, name, text):
        self.wait_until(lambda: text in (self.host.data / 'vms' / name / 'output.log').read_bytes())

    def test_it_runs_on_and_is_found_by_its_name(self):
        self.detach('one', 'sh', '-c', 'echo out; echo err >&2; sleep 600')
        self.assertEqual(self.records()['one']['running'], True)
        self.assertEqual(self.records()['one']['image'], self.host.sample)
        self.assert_ran(self.host.command('exec', 'one', 'sh', '-c', 'echo in; echo apart >&2; exit 3'), b'in\n',
                        b'apart\n', 3)
        self.assertIn(b'one', self.host.command('ps').out)
        self.assert_ran(self.host.command('ps', '-q'), b'one\n')
        self.assert_refused(self.host.run('--name', 'one', '--', 'true'), 'one')
        self.assert_refused(self.host.command('rm', 'one'), 'one', 'runs')
        folder = self.host.data / 'vms' / 'one'
        self.assertEqual(stat.S_IMODE(folder.stat().st_mode), 0o700)
        for name in ('control.sock', 'agent.sock'):
            self.assertEqual(stat.S_IMODE((folder / name).stat().st_mode), 0o600, name)
        # Its output is kept, in the order in which it was written but for the two streams' own pace.
        self.wait_until(lambda: sorted((folder / 'output.log').read_bytes().split()) == [b'err', b'out'])
        self.assert_ran(self.host.command('rm', '-f', 'one'), b'one\n')
        self.assertEqual(self.records('-a'), {})
        self.assertFalse(folder.exists())

    def test_its_status_is_kept_and_waited_for(self):
        self.detach('two', 'sh', '-c', 'sleep 3; exit 5')
        waiters = [self.host.start('wait', 'two') for _ in range(3)]
        for waiter in waiters:
            self.assert_ran(waiter.finish(), b'5\n')
        record = self.records('-a')['two']
        self.assertEqual((record['running'], record['status']), (False, 5))
        self.assertGreaterEqual(record['ended'], record['started'])
        self.assertNotIn('two', self.records())
        # Still the same once it has ended, and its name is free for the next.
        self.assert_ran(self.host.command('wait', 'two'), b'5\n')
        self.assert_refused(self.host.command('exec', 'two', 'true'), 'two', 'does not run')
        self.assert_ran(self.host.command('rm', 'two'), b'two\n')
        self.assert_refused(self.host.command('wait', 'two'), "no VM named 'two'")

    def test_stop_asks_first_and_ends_then(self):
        self.detach('heeds', 'sh', '-c', 'trap "exit 9" TERM; echo up; while :; do sleep 0.1; done')
        self.wait_for_output('heeds', b'up')
        self.assert_ran(self.host.command('stop', 'heeds'), b'heeds\n')
        self.assert_ran(self.host.command('wait', 'heeds'), b'9\n')
        self.detach('ignores', 'sh', '-c', 'trap "" TERM; echo up; while :; do sleep 0.1; done')
        self.wait_for_output('ignores', b'up')
        start = time.monotonic()
        self.assert_ran(self.host.command('stop', '-t', '2', 'ignores'), b'ignores\n')
        self.assertGreaterEqual(time.monotonic() - start, 2)
        self.assert_ran(self.host.command('wait', 'ignores'), b'137\n')

    def test_rm_takes_it_away_at_its_end(self):
        self.detach('fleeting', 'sh', '-c', 'sleep 2', options=['--rm'])
        self.assert_ran(self.host.command('wait', 'fleeting'), b'0\n')
        self.wait_until(lambda: not (self.host.data / 'vms' / 'fleeting').exists())
        self.assertEqual(self.records('-a'), {})

    def test_one_that_is_interrupted_while_it_boots_is_gone(self):
        for how, status in (('signal', 130), ('stop', 143), ('rm', 137)):
            with self.subTest(how=how):
                started = self.host.start('run', '-d', '--name', 'young', self.host.sample, 'sleep', '600')
                self.wait_until(lambda: 'young' in self.records() or started.process.poll() is not None)
                if how == 'signal':
                    started.process.send_signal(signal.SIGINT)
                elif how == 'stop':
                    self.assert_ran(self.host.command('stop', 'young'), b'young\n')
                else:
                    self.assert_ran(self.host.command('rm', '-f', 'young'), b'young\n')
                result = started.finish()
                self.assertEqual((result.status, result.out), (status, b''), result)
                self.wait_until(lambda: self.records('-a') == {})

    def test_one_whose_starter_is_killed_while_it_boots_does_not_come_up(self):
        started = self.host.start('run', '-d', '--name', 'young', self.host.sample, 'sleep', '600')
        self.wait_until(lambda: 'young' in self.records())
        started.process.kill()
        started.finish()
        self.wait_until(lambda: not self.host.running())
        self.host.command('rm', '-f', 'young')

    def test_who_comes_while_it_boots_waits(self):
        started = self.host.start('run', '-d', '--name', 'young', self.host.sample, 'sleep', '600')
        self.addCleanup(self.host.command, 'rm', '-f', 'young')
        self.wait_until(lambda: 'young' in self.records())
        self.assert_ran(self.host.command('exec', 'young', 'echo', 'early'), b'early\n')
        self.assertEqual(self.host.command('stats', 'young').status, 0)
        self.assert_ran(started.finish(), b'young\n')

    def test_its_end_is_told_to_whoever_comes(self):
        # Clients that come one after the other: before, while and after the VM ends.
        self.detach('ends', 'sh', '-c', 'sleep 1; exit 6')
        waiters = []
        while 'ends' in self.records() and len(waiters) < 200:
            waiters.append(self.host.start('wait', 'ends'))
        for waiter in waiters:
            self.assert_ran(waiter.finish(), b'6\n')
        self.assert_ran(self.host.command('wait', 'ends'), b'6\n')

    def test_the_last_of_its_output_is_kept(self):
        for _ in range(3):
            self.detach('wordy', 'sh', '-c', 'head -c 200000 /dev/zero | tr "\\0" x; echo; echo end')
            self.assert_ran(self.host.command('wait', 'wordy'), b'0\n')
            output = (self.host.data / 'vms' / 'wordy' / 'output.log').read_bytes()
            self.assertEqual((len(output), output[-5:]), (200005, b'\nend\n'))
            self.assert_ran(self.host.command('rm', 'wordy'), b'wordy\n')

    def test_clients_that_only_wait_keep_nobody_out(self):
        self.detach('busy', 'sleep', '600')
        path = str(self.host.data / 'vms' / 'busy' / 'control.sock')
        waiting = []
        for _ in range(300):  # CONTROL_CLIENTS_MAX and more
            s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            self.addCleanup(s.close)
            s.connect(path)
            waiting.append(s)
        self.assert_ran(self.host.command('stop', 'busy'), b'busy\n')

    def test_an_exec_that_gets_no_answer_can_be_interrupted(self):
        self.detach('silent', 'sleep', '600')
        machine, = [pid for pid, line in self.host.processes() if line.startswith('qemu-system')]
        os.kill(machine, signal.SIGSTOP)
        try:
            started = self.host.start('exec', 'silent', 'true')
            time.sleep(0.5)
            for _ in range(3):
                started.process.send_signal(signal.SIGINT)
                time.sleep(0.2)
            self.assertEqual(started.finish(10).status, 130)
        finally:
            os.kill(machine, signal.SIGCONT)

    def test_an_unnamed_one_says_its_name(self):
        result = self.host.run('-d', '--', 'sleep', '600')
        name = result.out.decode().strip()
        self.assert_ran(result, name.encode() + b'\n')
        self.assertIn(name, self.records())
        self.assert_ran(self.host.command('rm', '-f', name), name.encode() + b'\n')

    def test_a_program_that_cannot_run_is_told_by_the_command_that_started_it(self):
        result = self.host.run('-d', '--name', 'never', '--', '/no/such')
        self.assertEqual((result.status, result.out), (127, b''), result)
        self.assertRegex(result.err, rb'\Amicrovm: [^\n]*/no/such[^\n]*\n\Z')
        self.assertEqual(self.records('-a'), {})

    def test_a_runner_that_is_killed_leaves_nothing_running(self):
        self.detach('victim', 'sleep', '600')
        runner = [pid for pid, line in self.host.processes() if line.startswith('microvm-runner')]
        self.assertEqual(len(runner), 1)
        os.kill(runner[0], signal.SIGKILL)
        # A machine that is killed gives its memory back before its descriptors, the lock among them.
        self.wait_until(lambda: not self.host.running() and not self.records('-a')['victim']['running'])
        self.assertNotIn('status', self.records('-a')['victim'])
        self.assert_refused(self.host.command('wait', 'victim'), 'killed')
        self.assert_refused(self.host.command('exec', 'victim', 'true'), 'does not run')
        self.assert_ran(self.host.command('rm', 'victim'), b'victim\n')

    def test_each_of_its_processes_ends_it_when_killed(self):
        for name in ('microvm-vsock', 'qemu-system'):
            with self.subTest(name=name):
                self.detach('victim', 'sleep', '600')
                pids = [pid for pid, line in self.host.processes()
                        if os.path.basename(line.split(' ')[0]).startswith(name)]
                self.assertEqual(len(pids), 1, self.host.processes())
                os.kill(pids[0], signal.SIGKILL)
                result = self.host.command('wait', 'victim', timeout=30)
                self.assertEqual(result.status, 125, result)
                self.host.command('rm', '-f', 'victim')
                self.host.assert_nothing_left()


if __name__ == '__main__':
    tap.main()
