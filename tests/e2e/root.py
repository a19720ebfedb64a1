#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Roots that images may have and sane ones have not: attributes of the root itself, overlayfs' own marks, and other
things where folders are expected."""
import pathlib
import tarfile

import e2e
import ocilayout
import tap

APPLETS = ('sh', 'cat', 'echo', 'head', 'ls', 'mount', 'rm', 'stat', 'test', 'wc')
OPTIONS = ([], ['--tmpfs-root'], ['--read-only'])


def link(name, to):
    return ocilayout.entry(name, tarfile.SYMTYPE, to), None


def mark(name):
    return ocilayout.entry(name, tarfile.CHRTYPE), None


def note(name, content, attribute):
    return ocilayout.entry(name, xattrs={f'trusted.overlay.{attribute}': 'y'}), content


def system(*entries, folders=('etc', 'dev', 'proc', 'sys', 'tmp')):
    """A layer around busybox."""
    busybox = pathlib.Path('/bin/busybox').read_bytes()
    return ocilayout.tar(*((name, None) for name in ('bin', *folders)),
                         (ocilayout.entry('bin/busybox', mode=0o755), busybox),
                         *(link(f'bin/{name}', 'busybox') for name in APPLETS), *entries)


class Root(e2e.Case):
    def image(self, *layers):
        folder = self.host.base / 'odd'
        image = ocilayout.Image(layers, process={'Cmd': ['/bin/true']})
        ocilayout.write_images(folder, latest=image)
        self.host.own(folder)
        return f'oci:{folder}:latest'

    def shell(self, image, script, *options):
        return self.host.command('run', *options, image, '/bin/sh', '-c', script)

    def test_root_looks_as_in_the_image(self):
        root = ocilayout.entry('.', tarfile.DIRTYPE, mode=0o1751, uid=7, gid=8, mtime=86400)
        image = self.image(ocilayout.tar((root, None)), system())
        for options in OPTIONS:
            with self.subTest(options=options):
                result = self.shell(image, 'stat -c "%a %u:%g %Y" /', *options)
                self.assert_ran(result, b'1751 7:8 86400\n')

    def test_marks_of_overlayfs_hide_and_spoil_nothing(self):
        lower = system(('d', None), ('d/keep', b'kept'), ('gone', b'x'))
        upper = ocilayout.tar(mark('d/mark'), mark('gone'), mark('new'), ('only', None), mark('only/mark'),
                              note('big', b'B' * 10000, 'metacopy'), note('small', b'S', 'metacopy'),
                              note('moved', b'M', 'redirect'),
                              (ocilayout.entry('etc', tarfile.DIRTYPE, mode=0o755,
                                               xattrs={'trusted.overlay.opaque': 'y'}), None), ('etc/in', b'I'))
        script = ('ls /d /only /etc; test ! -e /gone; test ! -e /new; cat /small /moved /etc/in; wc -c </big; '
                  'echo more >>/big; wc -c </big; echo again >/gone; cat /gone; rm -r /d /only; test ! -e /d')
        result = self.shell(self.image(lower, upper), f'set -e; {script}')
        self.assert_ran(result, b'/d:\nkeep\n\n/etc:\nin\n\n/only:\nSMI10000\n10005\nagain\n')

    def test_links_in_place_of_folders_end_inside_the_image(self):
        """Whatever the root is written to: one way after the other."""
        links = (('etc', 'real'), ('etc', '../../../../real'), ('proc', 'real'), ('dev', '/real'), ('tmp', '/real'))
        for i, (name, to) in enumerate(links):
            folders = tuple(n for n in ('etc', 'dev', 'proc', 'sys', 'tmp') if n != name)
            image = self.image(system(('real', None), link(name, to), folders=folders))
            with self.subTest(name=name, to=to):
                result = self.shell(image, f'test -L /{name} && test -c /dev/null && test -e /proc/self/stat && '
                                           'cat /etc/go-microvm.json', '--no-ssh', *OPTIONS[i % len(OPTIONS)])
                self.assert_ran(result, b'{"disable_ssh":true}')

    def test_files_in_place_of_folders_are_named(self):
        for name, options in (('etc', ['--no-ssh']), ('dev', []), ('proc', []), ('sys', [])):
            folders = tuple(n for n in ('etc', 'dev', 'proc', 'sys', 'tmp') if n != name)
            with self.subTest(name=name):
                result = self.shell(self.image(system((name, b'a file'), folders=folders)), 'true', *options)
                self.assert_refused(result, f'/{name}', 'Not a directory')

    def test_file_of_the_host_replaces_what_is_no_folder(self):
        for entry in (link('etc/go-microvm.json', '/victim'),
                      (ocilayout.entry('etc/go-microvm.json', tarfile.FIFOTYPE), None)):
            image = self.image(system(('victim', b'untouched'), entry))
            with self.subTest(kind=entry[0].type):
                self.assert_ran(self.shell(image, 'cat /victim /etc/go-microvm.json', '--no-ssh'),
                                b'untouched{"disable_ssh":true}')
        result = self.shell(self.image(system(('etc/go-microvm.json', None))), 'true', '--no-ssh')
        self.assert_refused(result, "host's file '/etc/go-microvm.json': replace it: Is a directory")
        self.assertEqual(result.err.count(b"host's file"), 1, result)


if __name__ == '__main__':
    tap.main()
