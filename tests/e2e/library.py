#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What only a caller of libmicrovm can ask for, through a program of its own."""
import shutil
import subprocess
import time

import e2e
import tap

# Runs a shell script in a VM, and stops it with a grace once it has printed "is-up". Prints the program's status and
# the milliseconds that the stop took.
STOP = '''
import ctypes, os, sys, time
lib = ctypes.CDLL(sys.argv[1])
lib.mvm_options_new.restype = ctypes.c_void_p
lib.mvm_vm_message.restype = ctypes.c_char_p
image, script, timeout_ms, grace_ms = sys.argv[2].encode(), sys.argv[3].encode(), int(sys.argv[4]), int(sys.argv[5])
options, vm = ctypes.c_void_p(lib.mvm_options_new()), ctypes.c_void_p()
for word in (b'sh', b'-c', script):
    assert lib.mvm_options_add_argument(options, word) == 0
assert lib.mvm_options_set_timeout_ms(options, ctypes.c_uint64(timeout_ms)) == 0
read_end, write_end = os.pipe()
assert lib.mvm_options_set_stdio(options, -1, write_end, 2) == 0
assert lib.mvm_run(image, options, ctypes.byref(vm), None) == 0
os.close(write_end)
said = b''
while b'is-up' not in said:
    said += os.read(read_end, 4096)
start, status = time.monotonic(), ctypes.c_int(-1)
assert lib.mvm_vm_stop(vm, grace_ms, None) == 0
assert lib.mvm_vm_wait(vm, 60000, ctypes.byref(status), None) == 0
print(status.value, int((time.monotonic() - start) * 1000), lib.mvm_vm_message(vm).decode())
lib.mvm_vm_free(vm)
lib.mvm_options_free(options)
'''
HEEDS = 'echo is-up; sleep 600 & wait'
IGNORES = 'trap "" TERM; echo is-up; while :; do sleep 0.2; done'


class Stop(e2e.Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.library = cls.host.base / 'bin' / 'libmicrovm.so.0'
        shutil.copy(e2e.find_program('libmicrovm.so.0'), cls.library)
        cls.host.own(cls.host.base / 'bin')

    def stopped(self, script, timeout_ms, grace_ms):
        """(status, milliseconds that the stop took, message)"""
        env = {**self.host.env, 'MICROVM_RUNNER': str(self.host.base / 'bin' / 'microvm-runner'),
               'MICROVM_VSOCK': str(self.host.base / 'bin' / 'microvm-vsock'),
               'MICROVM_INIT': str(self.host.base / 'bin' / 'microvm-init')}
        words = ['/usr/bin/python3', '-c', STOP, self.library, self.host.sample, script, str(timeout_ms), str(grace_ms)]
        result = subprocess.run(words, env=env, cwd=self.host.base / 'home', stdin=subprocess.DEVNULL,
                                capture_output=True, timeout=e2e.TIMEOUT, check=False, **self.host.ids)
        self.assertEqual((result.returncode, result.stderr), (0, b''), result)
        status, took_ms, message = result.stdout.decode().rstrip('\n').split(' ', 2)
        return int(status), int(took_ms), message

    def test_a_stop_gives_the_program_s_own_status(self):
        for timeout_ms in (0, 300_000):
            with self.subTest(timeout_ms=timeout_ms):
                status, took_ms, message = self.stopped(HEEDS, timeout_ms, 30_000)
                self.assertEqual((status, message), (143, ''))
                self.assertLess(took_ms, 20_000)

    def test_the_grace_of_a_stop_is_its_own_beside_a_time_limit(self):
        for timeout_ms in (0, 300_000):
            with self.subTest(timeout_ms=timeout_ms):
                status, took_ms, message = self.stopped(IGNORES, timeout_ms, 2_000)
                self.assertEqual((status, message), (137, ''))
                self.assertTrue(1_900 <= took_ms < 9_000, took_ms)

    def test_a_time_limit_still_holds_after_a_stop_with_a_long_grace(self):
        start = time.monotonic()
        status, _, message = self.stopped(IGNORES, 6_000, 3_600_000)
        self.assertEqual((status, message), (137, ''))
        self.assertLess(time.monotonic() - start, 60)


if __name__ == '__main__':
    tap.main()
