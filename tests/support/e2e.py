# SPDX-License-Identifier: Apache-2.0
"""Real boots through the microvm command, as root or as an ordinary user (MICROVM_TEST_AS=root|user), on a guest kernel
of our own or on Debian's (MICROVM_TEST_KERNEL=own|stock; without it stock).

A Host is one identity with everything of its own below one temporary folder: the programs, home, runtime and temporary
folders, images, kernels and VMs. Its processes carry a variable that marks them, so that nothing_left() can look for
them wherever they ended up.
"""
import fcntl
import json
import os
import pathlib
import pty
import shutil
import signal
import struct
import subprocess
import tempfile
import termios
import threading
import time
import unittest

TOP = pathlib.Path(__file__).resolve().parents[2]
# An ordinary user that no passwd file knows.
USER_ID = 61234
# Seconds: a boot takes two in software here; a loaded machine may take ten times that.
TIMEOUT = 120
# Seconds that processes and files have to vanish after their VM has ended.
SETTLE = 10
PROGRAMS = ('microvm', 'microvm-runner', 'microvm-vsock', 'microvm-init')


def build_dirs():
    """The host's and the guest's build folder: those of `make check`, else those of `make`."""
    return (pathlib.Path(os.environ.get('MICROVM_BUILD', TOP / 'build')).resolve(),
            pathlib.Path(os.environ.get('MICROVM_BUILD_GUEST', TOP / 'build-guest')).resolve())


def find_program(name):
    for folder in build_dirs():
        for path, _, leaves in os.walk(folder):
            if name in leaves and os.access(os.path.join(path, name), os.X_OK):
                return os.path.join(path, name)
    raise FileNotFoundError(f'{name}: not below {" or ".join(map(str, build_dirs()))}; run make')


def cache_dir():
    """What is costly to make and the same for all: kept between runs."""
    path = TOP / 'build-check' / 'e2e-cache'
    path.mkdir(parents=True, exist_ok=True)
    return path


class Locked:
    """One process at a time makes a thing of the cache."""

    def __init__(self, name):
        self.path = cache_dir() / f'{name}.lock'

    def __enter__(self):
        self.file = open(self.path, 'w')
        fcntl.flock(self.file, fcntl.LOCK_EX)

    def __exit__(self, *_):
        self.file.close()


KERNEL_KINDS = {'own': ['build'], 'stock': ['fetch']}
# Seconds: a build takes 5 minutes of two cores here.
KERNEL_TIMEOUT = 3600


def cached_kernel(kind):
    """The folder of a guest kernel: made once by the command under test, and again where the one of an earlier run is
    not what this program would make."""
    data = cache_dir() / f'kernel-{kind}'
    env = {k: v for k, v in os.environ.items() if k != 'MICROVM_KERNEL'}
    with Locked(f'kernel-{kind}'):
        made = subprocess.run([find_program('microvm'), 'kernel', *KERNEL_KINDS[kind], '--data-dir', data], env=env,
                              check=True, timeout=KERNEL_TIMEOUT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    return pathlib.Path(os.fsdecode(made.stdout).strip()).parent


def vsock_tool():
    """The program of tests/support/vsock-tool.c, for inside of guests."""
    path = cache_dir() / 'vsock-tool'
    source = TOP / 'tests' / 'support' / 'vsock-tool.c'
    with Locked('vsock-tool'):
        if not path.exists() or path.stat().st_mtime < source.stat().st_mtime:
            headers = next(d for d in (b / 'guest' / 'kernel-headers' for b in build_dirs()) if d.exists())
            flags = ['-static', '-Os', '-s', '-Wall', '-Werror', '-D_GNU_SOURCE', '-isystem', headers]
            subprocess.run(['musl-gcc', *flags, '-o', path, source], check=True)
            path.chmod(0o755)
    # Where an ordinary user reaches it.
    copy = pathlib.Path(tempfile.mkdtemp(prefix='microvm-e2e-', dir='/tmp')) / 'vsock-tool'
    unittest.addModuleCleanup(shutil.rmtree, copy.parent, True)
    copy.parent.chmod(0o755)
    return shutil.copy(path, copy)


def build_agent_go(out):
    """The ttrpc client of tests/agent-go, which is not ours."""
    built = cache_dir() / 'agent-go'
    with Locked('agent-go'):
        subprocess.run([TOP / 'tests' / 'agent-go' / 'build', built], check=True, timeout=600)
    shutil.copy(built, out)


def wait_until_dead(pids):
    """A killed process gives its memory back first, which takes a moment, and then its descriptors, locks included."""
    deadline = time.monotonic() + SETTLE
    left = list(pids)
    while left and time.monotonic() < deadline:
        time.sleep(0.01)
        left = [pid for pid in left if process_state(pid) not in 'ZX']
    if left:
        raise AssertionError(f'still there after SIGKILL: {left}')


def process_state(pid):
    try:
        with open(f'/proc/{pid}/stat') as f:
            return f.read().rpartition(')')[2].split()[0]
    except OSError:
        return 'X'


class Result:
    def __init__(self, status, out, err):
        self.status, self.out, self.err = status, out, err

    def __repr__(self):
        return f'status {self.status}, stdout {self.out[-600:]!r}, stderr {self.err[-1500:]!r}'


class Started:
    """A running microvm command whose output is collected as it comes."""

    def __init__(self, process):
        self.process = process
        self.out, self.err = bytearray(), bytearray()
        self.changed = threading.Condition()
        self.readers = [threading.Thread(target=self._collect, args=pair, daemon=True)
                        for pair in ((process.stdout, self.out), (process.stderr, self.err)) if pair[0]]
        for reader in self.readers:
            reader.start()

    def _collect(self, pipe, into):
        while data := os.read(pipe.fileno(), 65536):
            with self.changed:
                into += data
                self.changed.notify_all()

    def wait_for(self, text, timeout=TIMEOUT):
        """Until stdout contains @text."""
        with self.changed:
            if not self.changed.wait_for(lambda: text in self.out or self.process.poll() is not None, timeout) \
                    or text not in self.out:
                raise AssertionError(f'no {text!r}: status {self.process.poll()}, {bytes(self.out[-300:])!r}, '
                                     f'{bytes(self.err[-600:])!r}')

    def finish(self, timeout=TIMEOUT):
        if self.process.stdin and not self.process.stdin.closed:
            self.process.stdin.close()
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError(f'still running after {timeout} s: stdout {bytes(self.out[-300:])!r}, '
                                 f'stderr {bytes(self.err[-600:])!r}') from None
        for reader in self.readers:
            reader.join(SETTLE)
        for pipe in (self.process.stdout, self.process.stderr):
            if pipe:
                pipe.close()
        status = self.process.returncode
        return Result(status if status >= 0 else 128 - status, bytes(self.out), bytes(self.err))


class Host:
    def __init__(self, kernels=True):
        wanted = os.environ.get('MICROVM_TEST_AS', 'root' if os.geteuid() == 0 else 'user')
        if wanted == 'root' and os.geteuid() != 0:
            raise unittest.SkipTest('not root: the same boots run as an ordinary user')
        self.ids = {'user': USER_ID, 'group': USER_ID, 'extra_groups': []} \
            if wanted == 'user' and os.geteuid() == 0 else {}
        self.base = pathlib.Path(tempfile.mkdtemp(prefix='microvm-e2e-', dir='/tmp'))
        for name in ('bin', 'home', 'run', 'tmp', 'data'):
            (self.base / name).mkdir(mode=0o700)
        for name in PROGRAMS:
            shutil.copy(find_program(name), self.base / 'bin' / name)
        # A marker of its own, that no path on a command line contains.
        self.marker = f'MICROVM_TEST_ID={self.base.name}'
        self.data = self.base / 'data'
        self.sample_dir = self.base / 'sample'
        subprocess.run([TOP / 'tools' / 'sample-image', self.sample_dir], check=True)
        self.sample = f'oci:{self.sample_dir}:latest'
        if kernels:
            self.add_kernel(os.environ.get('MICROVM_TEST_KERNEL', 'stock'))
            (self.data / 'cache').chmod(0o700)
        self.own(self.base)
        self.env = {
            'PATH': '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', 'LANG': 'C.UTF-8',
            'HOME': str(self.base / 'home'), 'XDG_RUNTIME_DIR': str(self.base / 'run'),
            'TMPDIR': str(self.base / 'tmp'), 'MICROVM_DATA_DIR': str(self.data),
            'MICROVM_TEST_ID': self.base.name,
        }
        self.microvm = str(self.base / 'bin' / 'microvm')

    def add_kernel(self, kind):
        folder = cached_kernel(kind)
        shutil.copytree(folder, self.data / 'cache' / 'kernels' / folder.name)

    def own(self, path):
        """Hands a tree over to the identity."""
        if not self.ids:
            return
        for folder, names, leaves in os.walk(path):
            for name in ['.'] + names + leaves:
                os.chown(os.path.join(folder, name), USER_ID, USER_ID, follow_symlinks=False)

    def close(self):
        for pid, _ in self.processes():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        shutil.rmtree(self.base, ignore_errors=True)

    def start(self, *args, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=None,
              program=None, **kw):
        """The microvm command, or another @program, with @args."""
        words = [program or self.microvm, *map(str, args)]
        return Started(subprocess.Popen(words, stdin=stdin, stdout=stdout, stderr=stderr,
                                        env={**self.env, **(env or {})}, cwd=self.base / 'home',
                                        start_new_session=True, **self.ids, **kw))

    def command(self, *args, input=None, timeout=TIMEOUT, env=None, **kw):
        """One microvm command from start to end."""
        if input is None:
            return self.start(*args, env=env, **kw).finish(timeout)
        started = self.start(*args, stdin=subprocess.PIPE, env=env, **kw)
        feeder = threading.Thread(target=self._feed, args=(started.process.stdin, input), daemon=True)
        feeder.start()
        # finish() would close the pipe under the feeder's hands.
        feeder.join(timeout)
        return started.finish(timeout)

    @staticmethod
    def _feed(pipe, data):
        try:
            pipe.write(data)
            pipe.close()
        except BrokenPipeError:
            pass

    def run(self, *args, **kw):
        """`microvm run` of the sample image; the options come before '--', the command after it."""
        args = list(args)
        options, command = (args[:args.index('--')], args[args.index('--') + 1:]) if '--' in args else ([], args)
        return self.command('run', *options, self.sample, *command, **kw)

    def shell(self, script, *options, **kw):
        return self.run(*options, '--', 'sh', '-c', script, **kw)

    def processes(self):
        """(pid, command line) of all that this host's commands started and that still runs."""
        found = []
        for pid in filter(str.isdigit, os.listdir('/proc')):
            try:
                with open(f'/proc/{pid}/environ', 'rb') as f:
                    environ = f.read()
                with open(f'/proc/{pid}/cmdline', 'rb') as f:
                    cmdline = f.read()
            except OSError:
                continue
            marked = self.marker.encode() in environ.split(b'\0') or os.fsencode(self.base) + b'/' in cmdline
            if marked and int(pid) != os.getpid() and process_state(pid) not in 'ZX':
                found.append((int(pid), cmdline.replace(b'\0', b' ').decode(errors='replace')))
        return found

    def running(self):
        """Processes and mounts, which are to be gone at once."""
        found = [f'process {pid}: {line[:200]}' for pid, line in self.processes()]
        with open('/proc/self/mountinfo') as f:
            return found + [f'mount {line.strip()}' for line in f if str(self.base) in line]

    def leftovers(self, kept=()):
        """Sockets, temporary files, folders of VMs; after a SIGKILL the next command takes them away."""
        found = [f'temporary {p}' for p in (self.base / 'tmp').iterdir()]
        found += [f'runtime {p}' for p in (self.base / 'run').rglob('*')
                  if not p.is_dir() or p != self.base / 'run' / 'microvm']
        vms = self.data / 'vms'
        found += [f'VM folder {p}' for p in (vms.iterdir() if vms.exists() else ()) if p.name not in kept]
        # The store's and the kernels' unfinished work.
        found += [f'unfinished {p}' for p in self.data.rglob('*tmp*')]
        return found + [f'/tmp: {p}' for p in pathlib.Path('/tmp').glob('microvm*')
                        if not p.name.startswith(('microvm-e2e-', 'microvm-gates-', 'microvm-bench-'))
                        and self._is_ours(p)]

    def _is_ours(self, path):
        try:
            return path.stat().st_uid == (USER_ID if self.ids else os.geteuid()) and path.name not in self.in_tmp
        except OSError:
            return False

    in_tmp = frozenset(os.listdir('/tmp'))

    def assert_nothing_left(self, kept=(), files=True):
        deadline = time.monotonic() + SETTLE
        while (found := self.running() + (self.leftovers(kept) if files else [])) and time.monotonic() < deadline:
            time.sleep(0.05)
        # One test's failure is not to be that of all after it.
        for path in self.data.rglob('*tmp*') if files else ():
            path.unlink() if path.is_file() else shutil.rmtree(path, ignore_errors=True)
        if found:
            raise AssertionError('left behind:\n' + '\n'.join(found))

    def logs(self, name):
        """The logs of a VM that was kept by its name."""
        folder = self.data / 'vms' / name
        return {p.name: p.read_bytes().decode(errors='replace') for p in folder.glob('*.log')}


class Case(unittest.TestCase):
    """Tests of one host, which is made once a program; each test leaves nothing behind."""
    host = None

    @classmethod
    def setUpClass(cls):
        if Case.host is None:
            Case.host = Host()
            unittest.addModuleCleanup(Case.host.close)

    def setUp(self):
        self.kept = set()
        self.addCleanup(self.clear)

    def clear(self):
        self.host.assert_nothing_left(self.kept)
        for name in self.kept:
            shutil.rmtree(self.host.data / 'vms' / name, ignore_errors=True)

    def assert_refused(self, result, *words, status=125):
        """@status, nothing on stdout, and one line on stderr with each of @words."""
        self.assertEqual(result.status, status, result)
        self.assertEqual(result.out, b'', result)
        self.assertRegex(result.err, rb'\Amicrovm: [^\n]+\n\Z', result)
        for word in words:
            self.assertIn(word.encode() if isinstance(word, str) else word, result.err)

    def assert_ran(self, result, out=None, err=b'', status=0):
        self.assertEqual(result.status, status, result)
        if out is not None:
            self.assertEqual(result.out, out, result)
        if err is not None:
            self.assertEqual(result.err, err, result)


class Terminal:
    """A command on a terminal of its own, its controlling one, as a person at a keyboard has it."""

    def __init__(self, host, *args, rows=24, cols=80, **kw):
        self.master, slave = pty.openpty()
        self.resize(rows, cols)
        self.seen = bytearray()
        self.process = host.start(*args, stdin=slave, stdout=slave, stderr=slave,
                                  preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0), **kw).process
        self.attributes = termios.tcgetattr(slave)
        self.slave = slave
        self.lock = threading.Condition()
        self.reader = threading.Thread(target=self._collect, daemon=True)
        self.reader.start()

    def _collect(self):
        while True:
            try:
                data = os.read(self.master, 65536)
            except OSError:
                data = b''
            with self.lock:
                self.seen += data
                self.lock.notify_all()
            if not data:
                return

    def resize(self, rows, cols):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack('HHHH', rows, cols, 0, 0))

    def type(self, data):
        os.write(self.master, data)

    def wait_for(self, text, timeout=TIMEOUT):
        with self.lock:
            if not self.lock.wait_for(lambda: text in self.seen, timeout):
                raise AssertionError(f'no {text!r} on the terminal: {bytes(self.seen[-600:])!r}')

    def finish(self, timeout=TIMEOUT):
        """The exit status, and whether the terminal is as it was."""
        try:
            status = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError(f'still running: {bytes(self.seen[-600:])!r}') from None
        time.sleep(0.1)
        same = termios.tcgetattr(self.slave) == self.attributes
        os.close(self.slave)
        self.reader.join(1)
        os.close(self.master)
        return status, same
