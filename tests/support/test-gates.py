#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Each gate of tools/gates finds what it is for, when that is planted into an otherwise clean tree, and nothing in the
clean tree."""
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

import tap

TOP = pathlib.Path(__file__).resolve().parents[2]
HEAD = '/* SPDX-License-Identifier: Apache-2.0 */\n'
CLEAN = {
    'include/microvm/x.h': HEAD + '#ifndef X_H\n#define X_H\n\nint mvm_x(void);\n\n#endif\n',
    'src/base/a.h': HEAD + '#ifndef A_H\n#define A_H\n\n#include <microvm/x.h>\n\nint a_open(const char *path);\n\n'
                           '#endif\n',
    'src/oci/b.c': HEAD + '#include "base/a.h"\n\n/* strcpy() in a comment, and "TAB" */\nint b_get(const char *path)\n'
                          '{\n    const char *name = "system(x)";\n\n    return name ? a_open(path) : 0;\n}\n',
    'guest/init/c.c': HEAD + '#include "base/a.h"\n\nint c_get(void)\n{\n    return a_open("/");\n}\n',
}


def function(body, parameters='void'):
    return HEAD + f'int f({parameters})\n{{\n{body}\n}}\n'


class Gates(unittest.TestCase):
    def setUp(self):
        self.tree = pathlib.Path(tempfile.mkdtemp(prefix='microvm-gates-'))
        self.addCleanup(shutil.rmtree, self.tree)
        shutil.copy(TOP / '.clang-format', self.tree)
        for path, text in CLEAN.items():
            self.plant(path, text)

    def plant(self, path, text):
        (self.tree / path).parent.mkdir(parents=True, exist_ok=True)
        (self.tree / path).write_text(text)

    def gate(self, name):
        result = subprocess.run([TOP / 'tools/gates' / name, self.tree], capture_output=True, text=True, timeout=120)
        return result.returncode, result.stdout + result.stderr

    def refuses(self, gate, path, text, says):
        """The gate must fail by status 1 and name both file and thing."""
        self.plant(path, text)
        status, output = self.gate(gate)
        self.assertNotEqual(status, 0, f'{gate} found nothing in:\n{text}')
        self.assertIn(says, output)
        self.assertIn(os.path.basename(path), output)
        self.assertNotIn('Traceback', output)
        (self.tree / path).unlink()
        if path in CLEAN:
            self.plant(path, CLEAN[path])

    def test_a_clean_tree_passes_every_gate(self):
        gates = [p.name for p in (TOP / 'tools/gates').iterdir() if os.access(p, os.X_OK) and p.is_file()]
        self.assertGreaterEqual(len(gates), 8)
        for gate in gates:
            status, output = self.gate(gate)
            self.assertEqual(status, 0, f'{gate}: {output}')

    def test_layers_refuses_an_include_against_the_order(self):
        self.refuses('layers', 'src/base/z.c', HEAD + '#include "oci/b.h"\n', 'oci/')
        self.plant('src/image/b.h', HEAD)
        self.refuses('layers', 'src/oci/z.c', HEAD + '#  include <image/b.h>\n', 'image/')
        self.refuses('layers', 'guest/init/z.c', HEAD + '#include "oci/b.h"\n', 'oci/')
        self.refuses('layers', 'src/vm/z.c', HEAD + '#include "guest/b.h"\n', 'guest/')
        self.refuses('layers', 'src/vm/z.c', HEAD + '#include "../base/a.h"\n', '..')
        self.refuses('layers', 'include/microvm/z.h', HEAD + '#include "base/a.h"\n', 'src/base')
        self.refuses('layers', 'src/utils/z.c', HEAD, 'not in the order')

    def test_layers_leaves_the_system_s_headers_alone(self):
        self.plant('guest/init/z.c', HEAD + '#include <net/if.h>\n')
        self.assertEqual(self.gate('layers'), (0, ''))

    def test_banned_refuses_each_kind_of_call(self):
        for call in ('strcpy(a, b)', 'sscanf (a, "%d", &b)', 'atoi("1")', 'strtoul(a, 0, 10)', 'sprintf(a, "")',
                     'alloca(9)', 'system("x")', 'waitpid(-1, 0, 0)', 'realpath(a, 0)', 'sleep(1)', 'exit(1)',
                     'abort()', 'strtok(a, b)', 'getpwnam("x")', 'sigaction(1, 0, 0)', 'usleep(3)', 'gets(a)'):
            name = call.split('(')[0].strip()
            self.refuses('banned', 'src/oci/z.c', function(f'    {call};'), f'{name}:')

    def test_banned_leaves_members_and_longer_names_alone(self):
        self.plant('src/oci/z.c', function('    o->exit(1); o.sleep(2); my_exit(3); exit_code = 4;'))
        self.assertEqual(self.gate('banned'), (0, ''))

    def test_cloexec_refuses_a_descriptor_without_it(self):
        for call in ('open(p, O_RDONLY)', 'openat(d, p,\n           O_RDONLY)', 'socket(1, SOCK_STREAM, 0)',
                     'socketpair(1, 1, 0, v)', 'accept4(f, 0, 0, 0)', 'accept(f, 0, 0)', 'pipe2(v, O_NONBLOCK)',
                     'pipe(v)', 'epoll_create1(0)', 'eventfd(0, 0)', 'signalfd(-1, &s, 0)', 'dup(f)', 'dup2(f, 3)',
                     'timerfd_create(1, 0)', 'memfd_create("x", MFD_ALLOW_SEALING)', 'inotify_init1(0)',
                     'dup3(f, g, 0)', 'fopen(p, "r")', 'fopen(p, mode)', 'fcntl(f, F_DUPFD, 3)',
                     'recvmsg(f, &m, 0)'):
            self.refuses('cloexec', 'src/oci/z.c', function(f'    {call};'), call.split('(')[0].split('_')[0])

    def test_cloexec_accepts_it_anywhere_among_the_flags(self):
        self.plant('src/oci/z.c', function('    open(p, O_RDONLY |\n         O_CLOEXEC);\n    fopen("/etc/x", "re");\n'
                                           '    /* cloexec: set by the caller */\n    openat(d, p, flags);'))
        self.assertEqual(self.gate('cloexec'), (0, ''))

    def test_autovar_refuses_an_uninitialised_cleanup_variable(self):
        for line in ('mvm_autofree char *a;', 'mvm_autoclose int fd;', 'mvm_auto(loop) l;', 'mvm_autovalue(strv) v;',
                     'mvm_autoerror mvm_error *e;', '__attribute__((cleanup(f))) int x;'):
            self.refuses('autovar', 'src/oci/z.c', function(f'    {line}'), 'not initialised')

    def test_autovar_accepts_initialised_ones_and_macros(self):
        self.plant('src/oci/z.c', HEAD
                   + '#define mvm_auto(name) __attribute__((cleanup(x_##name))) \\\n    struct name *\n'
                   + function('    mvm_autofree char *a = NULL;\n    mvm_autovalue(strv) v = { 0 };'))
        self.assertEqual(self.gate('autovar'), (0, ''))

    def test_length_refuses_what_is_over_budget_and_lists_what_is_near(self):
        self.refuses('length', 'src/oci/z.c', HEAD + '\n' * 600, '601 lines')
        self.refuses('length', 'src/oci/z.c', function('    g();\n' * 97), '101 lines')
        self.refuses('length', 'src/oci/z.c', function('    if (a) g();\n' * 26), 'complexity')
        self.refuses('length', 'src/oci/z.c', function('    g();', ', '.join(f'int a{i}' for i in range(8))),
                     '8 parameters')
        self.plant('src/oci/z.c', function('    g();\n' * 96))
        status, output = self.gate('length')
        self.assertEqual(status, 0, output)
        self.assertIn('~ src/oci/z.c', output)

    def test_hygiene_refuses_each_blemish(self):
        for text, says in (('int a;\n', 'SPDX'), (HEAD + 'int a; \n', 'trailing'), (HEAD + '\tint a;\n', 'tab'),
                           (HEAD + 'int a;', 'newline'), (HEAD + '\n\n', 'empty line'),
                           (HEAD + '/* TO' 'DO: later */\n', 'TO' 'DO'), (HEAD + '#if 0\n#endif\n', '#if 0'),
                           (function('    goto out;'), 'goto')):
            self.refuses('hygiene', 'src/oci/z.c', text, says)
        self.plant('tools/z', '#!/bin/sh\n')
        (self.tree / 'tools/z').chmod(0o755)
        self.assertEqual(self.gate('hygiene'), (1, 'tools/z:1: no "SPDX-License-Identifier: Apache-2.0"\n'))

    def test_headers_refuses_one_that_needs_another_or_is_no_c11_or_cpp(self):
        self.refuses('headers', 'src/oci/z.h', HEAD + '#ifndef Z\n#define Z\nsize_t z(void);\n#endif\n', 'size_t')
        self.refuses('headers', 'src/oci/z.h', HEAD + 'struct z { int a; };\n', 'redefinition')
        self.refuses('headers', 'include/microvm/z.h',
                     HEAD + '#ifndef Z\n#define Z\nint z(int class);\n#endif\n', 'c++')
        self.refuses('headers', 'include/microvm/z.h',
                     HEAD + '#ifndef Z\n#define Z\nstruct z { int a; struct { int b; } c[0]; };\n#endif\n', 'c11')

    def test_format_refuses_what_clang_format_would_change(self):
        self.refuses('format', 'src/oci/z.c', HEAD + 'int  f(void){return 1;}\n', 'clang-format')


if __name__ == '__main__':
    tap.main()
