#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What a program in a VM gets and gives: streams, status, environment, user, folder, terminal, signals."""
import base64
import os
import pty
import random
import signal
import subprocess
import tempfile
import termios
import threading
import time
import tty

import e2e
import tap


class Status(e2e.Case):
    def test_output_and_errors_come_apart_with_the_status(self):
        result = self.host.shell('echo out; echo err >&2; exit 7')
        self.assert_ran(result, b'out\n', b'err\n', 7)

    def test_status_0(self):
        self.assert_ran(self.host.run('true'), b'')

    def test_program_that_a_signal_ended(self):
        self.assert_ran(self.host.shell('kill -TERM $$'), b'', b'', 143)

    def test_program_that_does_not_exist(self):
        for command in ('no-such-program', '/bin/no-such-program'):
            with self.subTest(command=command):
                self.assert_refused(self.host.run(command), command, status=127)

    def test_program_that_may_not_be_executed(self):
        for command in ('/etc/passwd', '/etc'):
            with self.subTest(command=command):
                self.assert_refused(self.host.run(command), command, status=126)

    def test_a_name_with_control_characters_is_told_escaped(self):
        self.assert_refused(self.host.run('/bin/\x1b[31mred'), '/bin/\\x1b[31mred', status=127)

    def test_orphans_do_not_keep_the_vm(self):
        start = time.monotonic()
        self.assert_ran(self.host.shell('(sleep 600 &) ; exit 3'), status=3)
        self.assertLess(time.monotonic() - start, 60)

    def test_pid_1_reaps_orphans(self):
        script = 'for i in 1 2 3 4 5; do (sleep 0.01 &); done; sleep 1; ps -o stat= | grep -c Z; true'
        self.assert_ran(self.host.shell(script), b'0\n')


class Streams(e2e.Case):
    def test_ten_megabytes_through_while_stderr_carries_others(self):
        data = random.Random(20261123).randbytes(10 << 20)
        result = self.host.shell('yes 0123456789abcde | head -c 3000000 >&2 & cat; wait', '-i', input=data)
        self.assertEqual(result.status, 0, result)
        self.assertEqual(len(result.out), len(data))
        self.assertTrue(result.out == data, 'stdout differs from what went into stdin')
        self.assertTrue(result.err == (b'0123456789abcde\n' * 187500), f'{len(result.err)} bytes on stderr differ')

    def test_all_output_arrives_when_the_program_ends_at_once(self):
        result = self.host.shell('head -c 4000000 /dev/zero; echo end >&2')
        self.assertEqual((result.status, len(result.out), result.err), (0, 4000000, b'end\n'))

    def test_stdin_is_at_its_end_without_i(self):
        self.assert_ran(self.host.run('cat', input=b'not for the guest'), b'')

    def test_empty_stdin(self):
        self.assert_ran(self.host.shell('wc -c', '-i', input=b''), b'0\n')

    def test_stdin_that_the_program_does_not_read(self):
        self.assert_ran(self.host.shell('exit 4', '-i', input=b'x' * (4 << 20)), b'', status=4)

    def test_files_as_streams(self):
        with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as taken:
            given.write(b'from a file\n' * 1000)
            given.seek(0)
            result = self.host.start('run', '-i', self.host.sample, 'cat', stdin=given, stdout=taken).finish()
            self.assertEqual(result.status, 0, result)
            taken.seek(0)
            self.assertEqual(taken.read(), b'from a file\n' * 1000)

    def test_a_reader_that_goes_away_ends_the_program_like_a_broken_pipe(self):
        started = self.host.start('run', self.host.sample, 'yes')
        started.wait_for(b'y\n')
        # The collecting thread holds no other copy of the reading end.
        read_end = started.process.stdout.fileno()
        null = os.open('/dev/null', os.O_RDONLY)
        os.dup2(null, read_end)
        os.close(null)
        self.assertEqual(started.process.wait(e2e.TIMEOUT), 141)

    def test_one_signal_ends_a_vm_whose_output_nobody_takes(self):
        for script in ('echo up >&2; exec yes', 'head -c 100000 /dev/zero; echo up >&2'):
            with self.subTest(script=script):
                read_end, write_end = os.pipe()
                started = self.host.start('run', self.host.sample, 'sh', '-c', script, stdout=write_end)
                os.close(write_end)
                deadline = time.monotonic() + e2e.TIMEOUT
                while b'up\n' not in started.err and time.monotonic() < deadline:
                    time.sleep(0.05)
                time.sleep(3)  # until everything between the program and the pipe is full
                self.assertIsNone(started.process.poll())
                started.process.send_signal(signal.SIGTERM)
                result = started.finish(30)
                os.close(read_end)
                self.assertEqual((result.status, result.err), (143, b'up\n'), result)

    def test_a_slow_reader_gets_all_after_a_signal_too(self):
        read_end, write_end = os.pipe()
        script = 'trap "exit 3" TERM; echo up >&2; head -c 120000 /dev/zero; while :; do sleep 0.1; done'
        started = self.host.start('run', self.host.sample, 'sh', '-c', script, stdout=write_end)
        os.close(write_end)
        deadline = time.monotonic() + e2e.TIMEOUT
        while b'up\n' not in started.err and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(1)
        started.process.send_signal(signal.SIGTERM)
        length = 0
        while chunk := os.read(read_end, 20_000):
            length += len(chunk)
            time.sleep(2.5)  # twice longer in all than output may stand still
        os.close(read_end)
        self.assertEqual((started.finish(30).status, length), (3, 120_000))

    def test_stdout_that_is_closed(self):
        result = self.host.command('run', self.host.sample, 'sh', '-c', 'echo out; echo err >&2; exit 4',
                                   preexec_fn=lambda: os.close(1))
        self.assert_ran(result, b'', b'err\n', 4)

    def test_stdout_that_is_the_master_side_of_a_terminal(self):
        master, slave = pty.openpty()
        tty.setraw(slave)
        result = self.host.start('run', self.host.sample, 'sh', '-c', 'echo out; exit 4', stdout=master).finish()
        self.assertEqual((result.status, result.err), (4, b''), result)
        os.set_blocking(slave, False)
        self.assertEqual(os.read(slave, 100), b'out\n')
        os.close(slave)
        os.close(master)

    def test_the_console_stays_apart(self):
        self.kept = {'apart'}
        result = self.host.run('--name', 'apart', '--', 'sh', '-c', 'echo to the console >/dev/console; echo out')
        self.assert_ran(result, b'out\n')
        self.assertIn('to the console', self.host.logs('apart')['console.log'])


class Environment(e2e.Case):
    def environment(self, *options, env=None):
        result = self.host.run(*options, '--', 'env', '-0', env=env)
        self.assertEqual((result.status, result.err), (0, b''), result)
        return dict(entry.split('=', 1) for entry in result.out.decode().split('\0') if entry)

    def test_values_arrive_byte_for_byte(self):
        wanted = {'QUOTES': '"double" \'single\' \\back\\', 'LINES': 'one\ntwo\n\n', 'TEXT': 'zażółć gęślą jaźń 漢字 🙂',
                  'EMPTY': '', 'EQUALS': 'a=b=c', 'TABS': '\t\x01\x7f', 'SAMPLE': 'from the caller'}
        got = self.environment(*(word for k, v in wanted.items() for word in ('-e', f'{k}={v}')))
        self.assertEqual({k: got.get(k) for k in wanted}, wanted)

    def test_two_hundred_variables_of_a_kilobyte(self):
        wanted = {f'BIG_{i}': f'{i:04}' * 256 for i in range(200)}
        got = self.environment(*(word for k, v in wanted.items() for word in ('-e', f'{k}={v}')))
        self.assertEqual({k: got.get(k) for k in wanted}, wanted)

    def test_the_image_s_own_and_the_host_s(self):
        got = self.environment('-e', 'FROM_HOST', '-e', 'NOT_SET_THERE', env={'FROM_HOST': 'yes', 'OTHER': 'no'})
        self.assertEqual((got['SAMPLE'], got['PATH'], got['FROM_HOST']), ('from the image', '/bin:/usr/bin', 'yes'))
        self.assertNotIn('OTHER', got)
        self.assertNotIn('NOT_SET_THERE', got)

    def test_env_file(self):
        path = self.host.base / 'home' / 'variables'
        path.write_text('# a comment\n\nONE=1\nTWO= 2 "quoted"\nFROM_HOST\n')
        got = self.environment('--env-file', str(path), '-e', 'ONE=over', env={'FROM_HOST': 'yes'})
        self.assertEqual((got['ONE'], got['TWO'], got['FROM_HOST']), ('over', ' 2 "quoted"', 'yes'))

    def test_secrets_are_on_no_command_line_and_in_no_file(self):
        started = self.host.start('run', '-i', '-e', 'SECRET', self.host.sample, 'sh', '-c', 'echo is-up; cat',
                                  stdin=subprocess.PIPE, env={'SECRET': 'hunter2-hunter2'})
        started.wait_for(b'is-up')
        lines = [line for _, line in self.host.processes()]
        self.assertGreaterEqual(len(lines), 3, lines)
        self.assertFalse([line for line in lines if 'hunter2' in line])
        written = [p for top in ('data', 'run', 'tmp') for p in (self.host.base / top).rglob('*') if p.is_file()]
        self.assertFalse([str(p) for p in written if b'hunter2' in p.read_bytes()])
        self.assertEqual(started.finish().status, 0)


class Process(e2e.Case):
    def test_user(self):
        for user, wanted in (('app', b'1000 1000 1000 2000'), ('1000', b'1000 1000 1000 2000'),
                             ('app:extra', b'1000 2000 2000'), ('1000:2000', b'1000 2000 2000'),
                             ('4242', b'4242 0 0'), ('4242:4343', b'4242 4343 4343'), ('root', b'0 0 0')):
            with self.subTest(user=user):
                result = self.host.shell('echo $(id -u) $(id -g) $(id -G)', '-u', user)
                self.assert_ran(result, wanted + b'\n')

    def test_user_of_its_own_files(self):
        script = 'echo $HOME; cat /home/app/private || echo no; cat /root/x || echo no; touch /home/app/new && echo yes'
        result = self.host.shell(f'exec 2>/dev/null; {script}; true', '-u', 'app')
        self.assert_ran(result, b'/home/app\nfor app alone\nno\nyes\n')

    def test_user_that_the_image_does_not_know(self):
        for user in ('nobody-here', 'app:no-such-group'):
            with self.subTest(user=user):
                self.assert_refused(self.host.run('-u', user, '--', 'true'), user.split(':')[-1])

    def test_working_folder(self):
        self.assert_ran(self.host.run('pwd'), b'/srv\n')
        self.assert_ran(self.host.run('-w', '/tmp', '--', 'pwd'), b'/tmp\n')

    def test_entrypoint(self):
        self.assert_ran(self.host.run('--entrypoint', '/bin/echo', '--', 'a', 'b  c'), b'a b  c\n')

    def test_command_of_the_image(self):
        self.assert_ran(self.host.command('run', self.host.sample),
                        b'Hello from the second layer of the sample image.\n')

    def test_layers_whiteouts_and_private_writes(self):
        script = 'ls -a /srv/old; ls /etc/removed; echo x >/srv/old/mine && cat /srv/old/mine; rm /etc/greeting'
        for _ in range(2):  # what the first run changed, the second does not see
            result = self.host.shell(script)
            self.assert_ran(result, b'.\n..\nnew\nx\n', None, 0)
            self.assertIn(b'/etc/removed: No such file', result.err)

    def test_the_root_is_as_the_image_says(self):
        script = "stat -c '%a %u:%g %n' / /tmp /home/app /home/app/private /bin/busybox; readlink /bin/ls; " \
                 '[ /bin/sh -ef /bin/busybox ] && echo same'
        result = self.host.shell(script)
        self.assert_ran(result, b'755 0:0 /\n1777 0:0 /tmp\n750 1000:1000 /home/app\n600 1000:1000 /home/app/private\n'
                                b'755 0:0 /bin/busybox\nbusybox\nsame\n')

    def test_cpus_and_memory(self):
        result = self.host.shell('nproc; grep MemTotal /proc/meminfo', '-c', '2', '-m', '256m')
        self.assertEqual(result.status, 0, result)
        cpus, memory = result.out.decode().splitlines()
        self.assertEqual(cpus, '2')
        self.assertTrue(150_000 < int(memory.split()[1]) < 262_144, memory)

    def test_special_files(self):
        script = 'for d in null zero full random urandom tty; do [ -c /dev/$d ] || echo no /dev/$d; done; ' \
                 'echo x >/dev/null; head -c 3 /dev/zero | wc -c; ls /proc/self/fd | wc -l; cat /proc/1/comm; hostname'
        result = self.host.shell(script, '--name', 'special-files', '--rm')
        self.assertEqual(result.status, 0, result)
        lines = result.out.decode().splitlines()
        self.assertEqual(lines[0], '3', result)
        # ls: its three streams, its own view of the folder, and nothing of PID 1's.
        self.assertEqual(lines[1], '4', result)
        self.assertEqual(lines[3], 'special-files', result)


class Signals(e2e.Case):
    def stopped_by(self, number, script, ready=b'is-up\n'):
        started = self.host.start('run', self.host.sample, 'sh', '-c', script)
        started.wait_for(ready)
        started.process.send_signal(number)
        return started.finish()

    def test_signals_reach_the_program(self):
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
            with self.subTest(number=number):
                result = self.stopped_by(number, 'echo is-up; sleep 600 & wait')
                self.assertEqual(result.status, 128 + number, result)

    def test_the_program_may_catch_them(self):
        # A shell tells of its child that the same signal ends: this one has none.
        result = self.stopped_by(signal.SIGTERM,
                                 'trap "echo caught; exit 5" TERM; echo is-up; while :; do :; done')
        self.assert_ran(result, b'is-up\ncaught\n', status=5)

    def test_three_requests_end_one_that_does_not_listen(self):
        started = self.host.start('run', self.host.sample, 'sh', '-c',
                                  'trap "echo no" TERM INT; echo is-up; while :; do sleep 0.1; done')
        started.wait_for(b'is-up\n')
        for _ in range(3):
            started.process.send_signal(signal.SIGTERM)
            time.sleep(0.2)
        self.assertNotEqual(started.finish(30).status, 0)

    def test_signal_while_it_boots(self):
        started = self.host.start('run', self.host.sample, 'sleep', '600')
        time.sleep(0.5)
        started.process.send_signal(signal.SIGTERM)
        self.assertEqual(started.finish(60).status, 143)

    def test_timeout(self):
        start = time.monotonic()
        result = self.host.shell('echo is-up; sleep 600', '--timeout', '15s')
        self.assertEqual((result.status, result.out), (124, b'is-up\n'), result)
        self.assertLess(time.monotonic() - start, 60)

    def test_timeout_that_the_program_ignores(self):
        result = self.host.shell('trap "" TERM; echo is-up; while :; do sleep 1; done', '--timeout', '15s')
        self.assertEqual((result.status, result.out), (124, b'is-up\n'), result)


class Terminal(e2e.Case):
    def test_a_resize_arrives(self):
        terminal = e2e.Terminal(self.host, 'run', '-i', '-t', self.host.sample, 'sh', '-c',
                                'stty size; tty; while [ "$(stty size)" = "33 101" ]; do sleep 0.1; done; stty size; '
                                'read line; echo "got $line"; exit 6', rows=33, cols=101)
        terminal.wait_for(b'33 101')
        terminal.wait_for(b'/dev/')
        terminal.resize(40, 120)
        terminal.wait_for(b'40 120')
        terminal.type(b'typed\r')
        terminal.wait_for(b'got typed')
        status, same = terminal.finish()
        self.assertEqual(status, 6, bytes(terminal.seen))
        self.assertTrue(same, "the terminal's own settings did not come back")

    def test_control_c_interrupts_the_program(self):
        terminal = e2e.Terminal(self.host, 'run', '-it', self.host.sample, 'sh', '-c',
                                'trap "echo caught; exit 9" INT; echo is-up; while :; do sleep 0.1; done')
        terminal.wait_for(b'is-up')
        terminal.type(b'\x03')
        status, same = terminal.finish()
        self.assertEqual((status, same), (9, True), bytes(terminal.seen))
        self.assertIn(b'caught', terminal.seen)

    def test_control_d_is_the_end_of_input(self):
        terminal = e2e.Terminal(self.host, 'run', '-it', self.host.sample, 'sh', '-c', 'echo is-up; cat; echo end')
        terminal.wait_for(b'is-up\r\n')
        terminal.type(b'line\r\x04')
        status, same = terminal.finish()
        self.assertEqual((status, same), (0, True), bytes(terminal.seen))
        self.assertTrue(terminal.seen.endswith(b'is-up\r\nline\r\nline\r\nend\r\n'), bytes(terminal.seen))

    def test_a_stop_and_a_continue_bring_raw_mode_back(self):
        terminal = e2e.Terminal(self.host, 'run', '-it', self.host.sample, 'sh', '-c',
                                'echo is-up; read line; echo "got $line"; stty size; exit 6')
        terminal.wait_for(b'is-up')
        terminal.process.send_signal(signal.SIGSTOP)
        os.waitpid(terminal.process.pid, os.WUNTRACED)
        # What a shell does with its terminal meanwhile.
        termios.tcsetattr(terminal.slave, termios.TCSANOW, terminal.attributes)
        terminal.resize(44, 99)
        terminal.process.send_signal(signal.SIGCONT)
        deadline = time.monotonic() + e2e.SETTLE
        while termios.tcgetattr(terminal.slave)[3] & termios.ICANON and time.monotonic() < deadline:
            time.sleep(0.02)
        self.assertFalse(termios.tcgetattr(terminal.slave)[3] & (termios.ICANON | termios.ECHO | termios.ISIG))
        terminal.type(b'typed\r')
        terminal.wait_for(b'got typed')
        terminal.wait_for(b'44 99')
        self.assertEqual(terminal.finish(), (6, True), bytes(terminal.seen))

    def test_in_the_background_the_terminal_is_the_shell_s(self):
        """A background command that reads it is stopped (SIGTTIN), and goes on in the foreground."""
        script = f"""set -m
            {self.host.microvm} run -i {self.host.sample} sh -c 'echo is-up; read x; echo guest-has-$x; exit 7' &
            while ! jobs | grep -q Stopped && [ $((tries += 1)) -lt 200 ]; do sleep 0.1; done
            jobs; read y; echo shell-has-$y; fg; echo status-$?"""
        terminal = e2e.Terminal(self.host, '-c', script, program='/bin/bash')
        terminal.wait_for(b'is-up')
        terminal.type(b'one\r')
        terminal.wait_for(b'shell-has-one')
        self.assertNotIn(b'guest-has-one', terminal.seen)
        terminal.type(b'two\r')
        terminal.wait_for(b'guest-has-two')
        terminal.wait_for(b'status-7')
        self.assertEqual(terminal.finish(), (0, True), bytes(terminal.seen))

    def test_control_z_stops_the_command_and_not_the_program(self):
        script = f"""set -m
            {self.host.microvm} run -i {self.host.sample} sh -c 'echo is-up; read x; echo guest-has-$x; exit 7'
            jobs; echo shell-is-back; fg; echo status-$?"""
        terminal = e2e.Terminal(self.host, '-c', script, program='/bin/bash')
        terminal.wait_for(b'is-up')
        terminal.type(b'\x1a')
        terminal.wait_for(b'shell-is-back')
        terminal.type(b'three\r')
        terminal.wait_for(b'status-7')
        self.assertIn(b'guest-has-three', terminal.seen)
        self.assertEqual(terminal.finish(), (0, True), bytes(terminal.seen))

    def test_control_d_ends_the_input_without_t_as_well(self):
        terminal = e2e.Terminal(self.host, 'run', '-i', self.host.sample, 'sh', '-c', 'echo is-up; cat; echo end')
        terminal.wait_for(b'is-up')
        terminal.type(b'line\r\x04')
        self.assertEqual(terminal.finish(), (0, True), bytes(terminal.seen))
        self.assertTrue(terminal.seen.endswith(b'line\r\nline\r\nend\r\n'), bytes(terminal.seen))

    def test_more_is_typed_than_the_program_reads(self):
        """The command still hears of signals, and of the end."""
        terminal = e2e.Terminal(self.host, 'run', '-i', self.host.sample, 'sh', '-c', 'echo is-up; exec sleep 600')
        terminal.wait_for(b'is-up')
        typist = threading.Thread(target=terminal.type, args=((b'x' * 80 + b'\n') * 100_000,), daemon=True)
        typist.start()
        typist.join(5)
        self.assertTrue(typist.is_alive(), 'nothing between the keyboard and the program is bounded')
        terminal.process.send_signal(signal.SIGTERM)
        self.assertEqual(terminal.process.wait(e2e.TIMEOUT), 143)
        termios.tcflush(terminal.slave, termios.TCIFLUSH)
        terminal.finish()

    def test_a_program_that_has_its_terminal_held_by_the_kernel_ends(self):
        """TIOCCONS keeps the other side open with nobody left to write."""
        program = self.host.base / 'home' / 'hold-console'
        subprocess.run(['musl-gcc', '-Os', '-static', '-s', '-o', program, '-x', 'c', '-'], check=True,
                       input=b'#include <sys/ioctl.h>\nint main(void) { return ioctl(1, TIOCCONS) != 0; }\n')
        code = base64.b64encode(program.read_bytes()).decode()
        script = 'echo $CODE | base64 -d >/tmp/x; chmod 755 /tmp/x; /tmp/x && echo held; exit 3'
        terminal = e2e.Terminal(self.host, 'run', '-t', '-e', f'CODE={code}', self.host.sample, 'sh', '-c', script)
        status, _ = terminal.finish(60)
        self.assertEqual(status, 3, bytes(terminal.seen))
        self.assertIn(b'held', terminal.seen)

    def test_control_c_without_t_interrupts_too(self):
        terminal = e2e.Terminal(self.host, 'run', self.host.sample, 'sh', '-c', 'echo is-up; sleep 600 & wait')
        terminal.wait_for(b'is-up')
        terminal.type(b'\x03')
        self.assertEqual(terminal.finish(), (130, True), bytes(terminal.seen))


if __name__ == '__main__':
    tap.main()
