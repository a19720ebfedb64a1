#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What cannot be run is refused: status 125, nothing on stdout, one line that names the thing, and nothing left."""
import hashlib
import http.server
import io
import json
import os
import pathlib
import shutil
import signal
import socket
import tarfile
import threading
import time

import e2e
import tap


class Options(e2e.Case):
    def refused(self, *args, says=(), env=None):
        self.assert_refused(self.host.command(*args, env=env), *says)

    def test_commands_and_options(self):
        for args, says in ((['no-such-verb'], 'no-such-verb'), (['run'], 'image'),
                           (['run', '--nonsense'], '--nonsense'), (['run', '--name'], '--name'),
                           (['pull'], 'image'), (['kernel', 'bake'], 'bake'), (['rmi'], 'image'),
                           (['gc', 'x'], 'no argument'), (['gc', '--keep', 'much'], "--keep 'much' is no size"),
                           (['gc', '--older-than', 'long'], "--older-than 'long' is no time"),
                           (['gc', '--older-than', '100001d'], 'up to 100000d'),
                           (['gc', '--older-than', '2400001h'], 'up to 100000d'),
                           (['gc', '--older-than', 'd'], 'no time')):
            with self.subTest(args=args):
                self.refused(*args, says=[says])

    def test_options_of_every_command(self):
        """One line of our own each, and none of the C library's."""
        for verb in ('run', 'pull', 'images', 'rmi', 'gc', 'kernel', 'doctor'):
            for word, says in (('--nonsense', "'--nonsense' is not an option"), ('-Z', "'-Z' is not an option"),
                               ('--data-dir', "'--data-dir' wants a value"), ('--help=x', "'--help=x' takes no value")):
                with self.subTest(verb=verb, word=word):
                    self.refused(verb, word, says=[f'microvm: {verb}: {says}'])
        self.refused('pull', '--quiet', '-qZq', 'x', says=["'-Z' is not an option"])

    def test_control_characters_are_escaped(self):
        for args in (['\x1b[31mred\nline'], ['run', '--\x1b[31mred\nline'], ['run', '-m', '\x1b[31mred\nline', 'x'],
                     ['kernel', '\x1b[31mred\nline'], ['pull', '\x1b[31mred\nline']):
            with self.subTest(args=args):
                self.refused(*args, says=['\\x1b[31mred\\x0aline'])

    def test_text_that_is_not_utf8_is_named(self):
        bad = os.fsdecode(b'\xff')
        for args, says in ((['-e', f'NAME=x{bad}', self.host.sample, 'true'], "variable 'NAME'"),
                           ([self.host.sample, 'echo', 'a', f'b{bad}'], 'argument 2'),
                           (['-u', f'who{bad}', self.host.sample, 'true'], "user 'who\\xff'"),
                           (['-w', f'/dir{bad}', self.host.sample, 'true'], "folder '/dir\\xff'")):
            with self.subTest(args=args):
                self.assert_refused(self.host.start('run', *args).finish(), says)

    def test_names(self):
        for name in ('a/b', '../x', '.', '..', '', 'x' * 65, 'a b', 'new\nline', '-dash/', '\x1b[31m'):
            with self.subTest(name=name):
                self.refused('run', f'--name={name}', self.host.sample, 'true', says=['name'])
        self.assertFalse((self.host.data / 'vms').exists() and os.listdir(self.host.data / 'vms'))

    def test_memory(self):
        host = os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') >> 20
        for memory in ('0', '63', '-1', 'lots', '1q', f'{host + 1}', '9999999t', '99999999999999999999999'):
            with self.subTest(memory=memory):
                self.refused('run', f'--memory={memory}', self.host.sample, 'true', says=['memory'])

    def test_cpus(self):
        for cpus in ('0', '-1', 'x', '256', '1.5'):
            with self.subTest(cpus=cpus):
                self.refused('run', f'--cpus={cpus}', self.host.sample, 'true', says=['cpus'])

    def test_other_values(self):
        for option, value in (('--pull', 'sometimes'), ('--accel', 'xen'), ('--timeout', '0'), ('--timeout', 'soon'),
                              ('--env-file', '/no/such/file'), ('--workdir', ''), ('--platform', 'linux')):
            with self.subTest(option=option, value=value):
                self.refused('run', f'{option}={value}', self.host.sample, 'true', says=[value or 'workdir'])

    def test_kernels(self):
        text = self.host.base / 'home' / 'no-kernel'
        text.write_bytes(b'#!/bin/sh\n' * 1000)
        elf = pathlib.Path(self.host.base / 'bin' / 'microvm')
        for path in (text, elf, '/no/such/kernel', '/dev/null', self.host.base / 'home'):
            with self.subTest(path=str(path)):
                self.refused('run', '--kernel', str(path), self.host.sample, 'true', says=[str(path)])

    def test_no_kernel_at_all(self):
        empty = str(self.host.base / 'home' / 'no-kernels')
        self.refused('run', '--data-dir', empty, self.host.sample, 'true', says=['microvm kernel fetch'])

    def test_no_qemu(self):
        folder = self.host.base / 'home' / 'empty-path'
        folder.mkdir(exist_ok=True)
        self.refused('run', self.host.sample, 'true', says=['qemu-system-x86'], env={'PATH': str(folder)})

    def test_data_folder_that_cannot_be_made(self):
        file = self.host.base / 'home' / 'a-file'
        file.write_text('')
        self.refused('run', '--data-dir', str(file / 'x'), self.host.sample, 'true', says=['a-file'])

    def test_kvm_where_it_does_not_work(self):
        """--accel kvm runs, or says why it cannot."""
        result = self.host.run('--accel', 'kvm', '--', 'echo', 'fast')
        if result.status == 0:
            self.assert_ran(result, b'fast\n')
        else:
            self.assert_refused(result, 'kvm')


class Images(e2e.Case):
    def refused(self, image, *says, options=()):
        self.assert_refused(self.host.command('run', *options, image, 'true'), *says)

    def test_unknown(self):
        folder = self.host.base / 'home' / 'nothing-here'
        for image, says in ((f'oci:{folder}', str(folder)), (f'oci:{self.host.sample_dir}:no-such-tag', 'no-such-tag'),
                            ('oci:', 'oci:'), ('', 'reference'), ('Upper/Case', 'Upper/Case'), ('a:b:c', 'a:b:c'),
                            ('x@sha256:12', 'sha256:12'), ('oci:/etc/passwd', '/etc/passwd')):
            with self.subTest(image=image):
                self.refused(image, says)

    def test_platform(self):
        self.refused(self.host.sample, 'linux/s390x', options=['--platform', 'linux/s390x'])

    def test_never_pulled(self):
        empty = str(self.host.base / 'home' / 'never')
        (self.host.base / 'home' / 'never' / 'cache').mkdir(parents=True)
        shutil.copytree(self.host.data / 'cache' / 'kernels', f'{empty}/cache/kernels')
        self.host.own(self.host.base / 'home' / 'never')
        self.refused(self.host.sample, self.host.sample, options=['--data-dir', empty, '--pull', 'never'])


class Layouts(e2e.Case):
    """The sample image with one thing wrong."""

    def setUp(self):
        super().setUp()
        # A layer that the store has is not read again, whatever a manifest says of its blob.
        self.assertEqual(self.host.command('gc', '--all').status, 0)
        self.folder = self.host.base / 'home' / 'broken'
        shutil.copytree(self.host.sample_dir, self.folder)
        self.addCleanup(shutil.rmtree, self.folder)
        self.index = json.loads((self.folder / 'index.json').read_text())
        self.manifest = json.loads(self.blob(self.index['manifests'][0]['digest']).read_text())

    def blob(self, digest):
        return self.folder / 'blobs' / digest.replace(':', '/')

    def put(self, record):
        """Writes a changed document, or bytes, under its new digest."""
        data = record if isinstance(record, bytes) else json.dumps(record).encode()
        digest = 'sha256:' + hashlib.sha256(data).hexdigest()
        self.blob(digest).write_bytes(data)
        return {'digest': digest, 'size': len(data)}

    def refused(self, *says):
        self.index['manifests'][0].update(self.put(self.manifest))
        (self.folder / 'index.json').write_text(json.dumps(self.index))
        self.host.own(self.folder)
        self.assert_refused(self.host.command('run', '--pull', 'always', f'oci:{self.folder}:latest', 'true'), *says)

    def test_layer_with_another_digest(self):
        path = self.blob(self.manifest['layers'][1]['digest'])
        data = bytearray(path.read_bytes())
        data[-1] ^= 1
        path.write_bytes(data)
        self.refused(self.manifest['layers'][1]['digest'])

    def test_layer_that_is_cut_off(self):
        path = self.blob(self.manifest['layers'][0]['digest'])
        path.write_bytes(path.read_bytes()[:100000])
        self.refused(self.manifest['layers'][0]['digest'])

    def test_layer_that_is_not_there(self):
        self.blob(self.manifest['layers'][0]['digest']).unlink()
        self.refused(self.manifest['layers'][0]['digest'])

    def test_layer_with_another_size(self):
        self.manifest['layers'][0]['size'] += 1
        self.refused(self.manifest['layers'][0]['digest'])

    def test_layer_with_another_diff_id(self):
        config = json.loads(self.blob(self.manifest['config']['digest']).read_text())
        config['rootfs']['diff_ids'][1] = 'sha256:' + '5' * 64
        self.manifest['config'].update(self.put(config))
        self.refused('5555')

    def replace_layer(self, *entries, cut=None):
        """The second layer becomes a plain tar of (name, type, link target)."""
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode='w') as tar:
            for name, kind, target in entries:
                info = tarfile.TarInfo(name)
                info.type, info.linkname = kind, target
                info.size = 5 if kind == tarfile.REGTYPE else 0
                tar.addfile(info, io.BytesIO(b'climb'))
        data = buffer.getvalue()[:cut]
        layer = self.put(data)
        self.manifest['layers'][1] = {**layer, 'mediaType': 'application/vnd.oci.image.layer.v1.tar'}
        config = json.loads(self.blob(self.manifest['config']['digest']).read_text())
        config['rootfs']['diff_ids'][1] = layer['digest']
        self.manifest['config'].update(self.put(config))

    def test_layers_that_climb_out(self):
        canary = self.host.base / 'home' / 'canary'
        canary.write_text('untouched')
        self.host.own(self.host.base / 'home')
        up = '../' * 12
        for entries, says in (
                ([(f'{up}{canary}'.replace('//', '/'), tarfile.REGTYPE, '')], '..'),
                ([('out', tarfile.SYMTYPE, str(canary.parent)), ('out/canary', tarfile.REGTYPE, '')], 'out'),
                ([('hard', tarfile.LNKTYPE, f'{up}{canary}')], 'hard'),
                ([('hard', tarfile.LNKTYPE, str(canary))], 'hard')):
            with self.subTest(entries=entries):
                self.replace_layer(*entries)
                self.refused(says)
                self.assertEqual(canary.read_text(), 'untouched')

    def test_layer_whose_tar_is_cut_off(self):
        self.replace_layer(('file', tarfile.REGTYPE, ''), cut=514)
        self.refused(self.manifest['layers'][1]['digest'])

    def test_media_type(self):
        self.manifest['layers'][1]['mediaType'] = 'application/x-something-else'
        self.refused('application/x-something-else')

    def test_kernel_that_an_image_may_not_name(self):
        """Neither one that is not here nor a file, even one that is a kernel; what the user says comes first."""
        config = json.loads(self.blob(self.manifest['config']['digest']).read_text())
        kernel = next((self.host.data / 'cache' / 'kernels').glob('*/vmlinux'))
        for name in ('none-such', str(kernel)):
            config.setdefault('config', {})['Labels'] = {'microvm.kernel': name}
            self.manifest['config'].update(self.put(config))
            self.refused('microvm.kernel', name[:64])
        self.assertEqual(self.host.command('run', '--kernel', kernel, f'oci:{self.folder}:latest', 'true').status, 0)

    def test_manifest_that_is_no_json(self):
        path = self.blob(self.index['manifests'][0]['digest'])
        path.write_bytes(b'{' * int(path.stat().st_size))
        self.assert_refused(self.host.command('run', '--pull', 'always', f'oci:{self.folder}:latest', 'true'),
                            str(self.folder))


class Answer(http.server.BaseHTTPRequestHandler):
    """Says the same to everybody: what the server was made with."""

    def do_GET(self):
        status, body = self.server.answer
        self.send_response(status)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_HEAD = do_GET

    def log_message(self, *_):
        pass


class Registries(e2e.Case):
    def refused(self, address, *says):
        result = self.host.command('run', f'{address}/some/image:tag', 'true')
        self.assert_refused(result, address, *says)

    def test_registry_that_is_down(self):
        with socket.socket() as s:
            s.bind(('127.0.0.1', 0))
            address = f'127.0.0.1:{s.getsockname()[1]}'
        self.refused(address)

    def test_answers(self):
        gone = b'{"errors":[{"code":"MANIFEST_UNKNOWN","message":"gone"}]}'
        for status, body, says in ((404, gone, 'some/image:tag'), (401, b'', 'authentication'), (500, b'oops', '500'),
                                   (200, b'\x00garbage\xff' * 100, 'image')):
            with self.subTest(status=status):
                server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Answer)
                server.answer = status, body
                threading.Thread(target=server.serve_forever, daemon=True).start()
                try:
                    self.refused(f'127.0.0.1:{server.server_port}', says)
                finally:
                    server.shutdown()
                    server.server_close()

    def test_registry_that_says_nothing_ends_with_control_c(self):
        with socket.socket() as s:
            s.bind(('127.0.0.1', 0))
            s.listen()
            started = self.host.start('run', f'127.0.0.1:{s.getsockname()[1]}/x', 'true')
            s.accept()
            time.sleep(0.2)
            started.process.send_signal(signal.SIGINT)
            result = started.finish(20)
        self.assertEqual((result.status, result.out), (130, b''), result)


class Told(e2e.Case):
    """The verbs that boot nothing."""

    def test_help_and_version(self):
        for args in (['--help'], ['run', '--help'], ['pull', '--help'], ['images', '--help'], ['kernel', '--help'],
                     ['doctor', '--help'], ['gc', '--help'], ['rmi', '--help']):
            with self.subTest(args=args):
                result = self.host.command(*args)
                self.assertEqual((result.status, result.err), (0, b''), result)
                self.assertIn(b'Usage: microvm', result.out)
        self.assertRegex(self.host.command('--version').out, rb'^microvm \d+\.\d+\.\d+\n$')

    def test_pull_and_images(self):
        folder = str(self.host.base / 'home' / 'listed')
        self.assert_ran(self.host.command('images', '--json', '--data-dir', folder), b'[]\n')
        pulled = self.host.command('pull', '--data-dir', folder, self.host.sample)
        self.assertEqual(pulled.status, 0, pulled)
        digest = pulled.out.decode().strip()
        self.assertRegex(digest, r'^sha256:[0-9a-f]{64}$')
        record, = json.loads(self.host.command('images', '--json', '--data-dir', folder).out)
        self.assertIn(self.host.sample, record.values())
        self.assertIn(digest, record.values())
        table = self.host.command('images', '--data-dir', folder).out.decode()
        self.assertIn(self.host.sample, table)

    def test_gc_takes_what_is_asked(self):
        folder = str(self.host.base / 'home' / 'cleared')

        def gc(*args):
            told = self.host.command('gc', '--data-dir', folder, *args)
            self.assertEqual((told.status, told.err), (0, b''), told)
            return told.out.decode()

        def pull():
            pulled = self.host.command('pull', '--data-dir', folder, self.host.sample)
            self.assertEqual(pulled.status, 0, pulled)
            return pulled.out.decode().strip()
        digest = pull()
        self.assertEqual(gc('--keep', '100g', '--older-than', '100000d'), 'Reclaimed 0 B\n')
        self.assertEqual(gc('--verify'), 'Damaged: 0 removed, 0 in use\nReclaimed 0 B\n')
        manifest, = pathlib.Path(folder).rglob('manifest.json')
        data = bytearray(manifest.read_bytes())
        data[-1] ^= 1
        manifest.write_bytes(data)
        told = gc('--verify')
        self.assertIn(f'Deleted damaged image: {digest}\n', told)
        self.assertIn('Damaged: 1 removed, 0 in use\n', told)
        for args in (['--keep', '0'], ['--keep', '1k'], ['--older-than', '0'], ['--all']):
            with self.subTest(args=args):
                pull()
                self.assertIn(f'Deleted: {digest}\n', gc(*args))

    def test_pull_shows_a_bar_on_a_terminal_alone(self):
        folder = str(self.host.base / 'home' / 'bar')
        terminal = e2e.Terminal(self.host, 'pull', '--data-dir', folder, self.host.sample)
        status, _ = terminal.finish()
        self.assertEqual(status, 0, bytes(terminal.seen))
        self.assertRegex(bytes(terminal.seen), rb'\[=+ *\] .*\d of \d')
        quiet = self.host.command('pull', '--data-dir', folder + '2', self.host.sample)
        self.assertEqual((quiet.status, quiet.err), (0, b''), quiet)

    def test_kernels(self):
        listed = self.host.command('kernel', 'ls')
        self.assertEqual((listed.status, listed.err), (0, b''), listed)
        self.assertIn(b'cloud', listed.out)
        fetched = self.host.command('kernel', 'fetch')
        self.assertEqual(fetched.status, 0, fetched)
        self.assertIn(str(self.host.data).encode(), fetched.out)

    def test_doctor(self):
        told = self.host.command('doctor', '--json')
        records = json.loads(told.out)
        text = json.dumps(records).lower()
        for word in ('kvm', 'qemu', 'kernel', 'disk'):
            self.assertIn(word, text)
        self.assertIn(told.status, (0, 125), told)
        plain = self.host.command('doctor')
        self.assertIn(b'qemu', plain.out.lower())

    def test_stdout_that_takes_nothing(self):
        for args in (['images'], ['images', '--json'], ['kernel', 'ls'], ['kernel', 'ls', '--json'], ['--version'],
                     ['--help'], ['run', '--help'], ['pull', '-q', self.host.sample]):
            with self.subTest(args=args), open('/dev/full', 'wb') as full:
                result = self.host.command(*args, stdout=full)
                self.assertEqual((result.status, result.err), (125, b'microvm: stdout: No space left on device\n'))
        with open('/dev/full', 'wb') as full:
            self.assertEqual(self.host.command('doctor', stdout=full).status, 125)

    def test_doctor_names_the_command_that_mends(self):
        empty = str(self.host.base / 'home' / 'doctor')
        told = self.host.command('doctor', '--json', env={'MICROVM_DATA_DIR': empty, 'PATH': '/nonexistent'})
        self.assertIn(b'microvm kernel fetch', told.out)
        self.assertIn(b'apt-get install', told.out)
        self.assertEqual(told.status, 125, told)

    def test_kernel_fetch_into_an_empty_folder(self):
        """Through apt, without root."""
        folder = self.host.base / 'home' / 'fetched'
        fetched = self.host.command('kernel', 'fetch', env={'MICROVM_DATA_DIR': str(folder)}, timeout=600)
        self.assertEqual(fetched.status, 0, fetched)
        vmlinux, = folder.glob('cache/kernels/*/vmlinux')
        self.assertEqual(vmlinux.read_bytes()[:4], b'\x7fELF')
        self.assertTrue((vmlinux.parent / 'modules.cpio').stat().st_size)
        whole = [p.name for p in (folder / 'cache' / 'kernels').iterdir() if p.name != '.lock']
        self.assertEqual(whole, [vmlinux.parent.name])


if __name__ == '__main__':
    tap.main()
