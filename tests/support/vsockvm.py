# SPDX-License-Identifier: Apache-2.0
"""A guest whose PID 1 is tests/support/vsock-guest.c, QEMU by hand, and our vsock device beside it."""
import fcntl
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
import unittest

import e2e
import virtionet

GUEST = pathlib.Path(__file__).with_name('vsock-guest.c')
CONTROL = 9000
# A guest in software boots in 2 s; a busy host takes its time.
BOOT_SECONDS = 90
HIGH = 200


def newc(members):
    """An archive of (path, mode, data)."""
    out = b''
    for path, mode, data in [*members, ('TRAILER!!!', 0, b'')]:
        name = path.encode() + b'\0'
        fields = (0, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name), 0)
        head = b'070701' + b''.join(b'%08x' % f for f in fields) + name
        out += head + b'\0' * (-len(head) % 4) + data + b'\0' * (-len(data) % 4)
    return out


def tsc_words():
    """As the program does: in software the guest may fail to measure its clock on a busy host."""
    with open('/proc/cpuinfo') as f:
        mhz = [line.split(':')[1] for line in f if line.startswith('cpu MHz')]
    return f'tsc_early_khz={int(float(mhz[0]) * 1000)} tsc=reliable' if mhz else ''


class Listener:
    """A listening UNIX socket at a path below @folder."""

    def __init__(self, folder, name, backlog=4096):
        self.path = f'{folder}/{name}'
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(self.path)
        self.socket.listen(backlog)
        self.socket.settimeout(BOOT_SECONDS)

    def accept(self):
        connection = self.socket.accept()[0]
        connection.settimeout(BOOT_SECONDS)
        return connection

    def close(self):
        self.socket.close()
        os.unlink(self.path)


class Guest:
    """@words: what the device serves besides the control port; @sockets become its descriptors 5, 6, ... The guest
    unloads its driver once before it begins, so that each run has a reset of the device. @net: a virtio-net device on
    QEMU's user network besides, where the host is 10.0.2.2."""

    def __init__(self, words=(), sockets=(), folder=None, memory=256, device=None, net=False):
        if not shutil.which('musl-gcc') or not shutil.which('qemu-system-x86_64'):
            raise unittest.SkipTest('needs musl-gcc and qemu-system-x86_64')
        self.folder = folder or tempfile.mkdtemp(prefix='mvm-vsock-')
        self.log_path = f'{self.folder}/vsock.log'
        self.console_path = f'{self.folder}/console.log'
        self.machine = self.device = None
        machine_end, device_end = socket.socketpair()
        ours, once = socket.socketpair()
        ours.settimeout(BOOT_SECONDS)
        self.start_device(device_end, [once, *sockets], [f'once:{CONTROL}:4', *words], device)
        self.start_machine(machine_end, memory, net)
        for end in (machine_end, device_end, once):
            end.close()
        self.control_socket = ours
        self.control = ours.makefile('rw')

    def start_device(self, device_end, sockets, words, program):
        high = [fcntl.fcntl(s.fileno(), fcntl.F_DUPFD_CLOEXEC, HIGH) for s in (device_end, *sockets)]

        def place():
            for i, fd in enumerate(high):
                os.dup2(fd, 3 + i, True)

        with open(self.log_path, 'ab') as log:
            self.device = subprocess.Popen([program or e2e.find_program('microvm-vsock'), *words], stderr=log,
                                           stdin=subprocess.DEVNULL, stdout=log, preexec_fn=place, close_fds=False)
        for fd in high:
            os.close(fd)

    def start_machine(self, machine_end, memory, net):
        kernel = e2e.cached_kernel('stock') / 'vmlinux'
        binary = f'{self.folder}/init'
        subprocess.run(['musl-gcc', '-D_GNU_SOURCE', '-O2', '-static', '-Wall', '-Wextra', '-Werror', '-o', binary,
                        GUEST], check=True)
        initrd = pathlib.Path(self.folder, 'initrd')
        more = virtionet.initrd_members(kernel.parent) if net else []
        initrd.write_bytes((kernel.parent / 'modules.cpio').read_bytes() +
                           newc([*more, ('init', 0o100755, pathlib.Path(binary).read_bytes())]))
        fd = machine_end.fileno()
        self.machine = subprocess.Popen(
            ['qemu-system-x86_64', '-M', 'microvm,memory-backend=mem,auto-kernel-cmdline=off,x-option-roms=off',
             '-object', f'memory-backend-memfd,id=mem,size={memory}M,share=on', '-m', f'{memory}M', '-accel', 'tcg',
             '-cpu', 'max', '-smp', '1', '-global', 'virtio-mmio.force-legacy=false', '-nodefaults', '-no-user-config',
             '-display', 'none', '-no-reboot', '-serial', f'file:{self.console_path}', '-kernel', kernel,
             '-initrd', initrd,
             '-append', f'console=ttyS0 panic=-1 reboot=t cryptomgr.notests random.trust_cpu=on '
             f'reload=1 {"net=1" if net else ""} {tsc_words()}',
             '-chardev', f'socket,id=vs,fd={fd}', '-device', 'vhost-user-vsock-device,chardev=vs',
             *(virtionet.QEMU_WORDS if net else ())],
            pass_fds=[fd], stdin=subprocess.DEVNULL)

    def order(self, line):
        """Begins something; result() waits for its end."""
        self.control.write(line + '\n')
        self.control.flush()

    def result(self):
        words = self.control.readline().split()
        if not words:
            raise AssertionError(f'the guest is gone: {self.log()} {self.console()[-2000:]}')
        return words[0], [int(w) for w in words[1:]]

    def do(self, line):
        self.order(line)
        return self.result()

    def log(self):
        return pathlib.Path(self.log_path).read_text()

    def console(self):
        path = pathlib.Path(self.console_path)
        return path.read_text(errors='replace') if path.exists() else ''

    def pss_kib(self):
        with open(f'/proc/{self.device.pid}/smaps_rollup') as f:
            values = {line.split(':')[0]: line.split()[1] for line in f if line.split()[-1] == 'kB'}
        return {k: int(values[k]) for k in ('Pss', 'Pss_Anon', 'Pss_Shmem', 'Rss', 'Private_Dirty')}

    def end(self):
        """Powers off: the device's exit status, once the machine is gone."""
        self.order('quit')
        self.machine.wait(BOOT_SECONDS)
        return self.device.wait(10)

    def close(self):
        for process in (self.machine, self.device):
            if process and process.poll() is None:
                process.kill()
                process.wait()
        self.control.close()
        self.control_socket.close()
        shutil.rmtree(self.folder, ignore_errors=True)
