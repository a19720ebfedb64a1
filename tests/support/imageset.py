# SPDX-License-Identifier: Apache-2.0
"""Images that between them have all that the unpacking of layers can get wrong, for comparing what different tools make
of them.

    imageset.layers(name)          the tars of one, base first
    imageset.write(folder, names)  an OCI layout with one tag an image
    imageset.unpack(...)           what an independent tool makes of one
    python3 imageset.py FOLDER [NAME...]

Names are those of IMAGES; SLOW ones are made only where they are named.
"""
import fnmatch
import io
import itertools
import os
import shutil
import subprocess
import sys
import tarfile

import ocilayout
from ocilayout import entry

DIR, FILE, SYM, LINK = tarfile.DIRTYPE, tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE
CHAR, BLOCK, FIFO = tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE
TIME = 1700000000


def tar(*entries, format=tarfile.PAX_FORMAT):
    """Entries are TarInfos, or pairs of one and its content, or bytes that stand as they are in the tar."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode='w', format=format, encoding='utf-8', errors='surrogateescape') as t:
        for item in entries:
            if isinstance(item, bytes):
                out.write(item)
                t.offset += len(item)
                continue
            info, content = item if isinstance(item, tuple) else (item, b'')
            info.size = len(content)
            t.addfile(info, io.BytesIO(content))
    return out.getvalue()


def make(name, kind=FILE, target='', **attributes):
    return entry(name, kind, target, **{'mtime': TIME, 'mode': 0o755 if kind == DIR else 0o644, **attributes})


def whiteout(name):
    folder, _, leaf = name.rpartition('/')
    return make(f'{folder}/.wh.{leaf}' if folder else f'.wh.{leaf}')


def opaque(folder):
    return make(f'{folder}/.wh..wh..opq')


def text(name, content=None, **attributes):
    return make(name, **attributes), (content or name).encode('utf-8', 'surrogateescape')


ROOT = make('./', DIR)


def many_layers():
    """60 layers, each of which adds, replaces and removes."""
    for i in range(60):
        entries = [make('kept', DIR), make('passing', DIR), make(f'kept/{i:02}', DIR),
                   text(f'kept/{i:02}/file', f'layer {i}'), text('last', f'layer {i}'),
                   text(f'passing/{i:02}')]
        if i > 0:
            entries.append(whiteout(f'passing/{i - 1:02}'))
        if i % 20 == 19:
            entries.append(opaque('passing'))
        yield tar(ROOT, *entries)


def whiteouts():
    """Opaque directories whose marker comes first, between and last; whiteouts of what the same layer brings."""
    lower = [ROOT]
    for d in ('first', 'between', 'last', 'nested', 'emptied'):
        lower += [make(d, DIR), text(f'{d}/old'), make(f'{d}/sub', DIR), text(f'{d}/sub/old')]
        lower.append(text(f'{d}/both', 'lower'))
    lower += [text('gone'), text('gone-and-back', 'lower'), make('folder', DIR), text('folder/in-it'), text('kept')]
    yield tar(*lower)
    yield tar(ROOT,
              make('first', DIR), opaque('first'), text('first/new'), text('first/both', 'upper'),
              make('between', DIR), text('between/new'), opaque('between'), text('between/both', 'upper'),
              make('last', DIR), text('last/new'), text('last/both', 'upper'), opaque('last'),
              make('nested', DIR), make('nested/sub', DIR), opaque('nested/sub'), text('nested/sub/new'),
              make('emptied', DIR), opaque('emptied'),
              whiteout('gone'), whiteout('folder'),
              text('gone-and-back', 'upper'), whiteout('gone-and-back'))


KINDS = {'file': FILE, 'directory': DIR, 'symlink': SYM, 'link': LINK, 'char': CHAR, 'block': BLOCK, 'fifo': FIFO}


def of_kind(kind, name, mode):
    if kind == 'file':
        return text(name, f'{name} {mode:o}', mode=mode)
    if kind == 'symlink':
        return make(name, SYM, '../target')
    if kind == 'link':
        return make(name, LINK, 'target')
    return make(name, KINDS[kind], mode=mode, device=(1, 3) if kind in ('char', 'block') else (0, 0))


def replaced():
    """Every kind of entry is replaced by every other one."""
    pairs = list(itertools.product(KINDS, KINDS))
    lower = [ROOT, text('target')]
    for a, b in pairs:
        lower.append(of_kind(a, f'{a}-{b}', 0o700))
        if a == 'directory':
            lower.append(text(f'{a}-{b}/child'))
    yield tar(*lower)
    yield tar(ROOT, *[of_kind(b, f'{a}-{b}', 0o755) for a, b in pairs])


def links():
    """Hard links in a layer, across layers, to a symlink; and what happens to one name of several."""
    yield tar(ROOT, text('a', 'inode of a'), make('a2', LINK, 'a'), make('d', DIR), make('d/a3', LINK, './a'),
              text('b', 'inode of b'), make('b2', LINK, 'b'), make('s', SYM, 'a'), make('s2', LINK, 's'),
              text('c', 'inode of c'), make('c2', LINK, 'c'))
    yield tar(ROOT, make('a4', LINK, 'a'), whiteout('b'), text('c', 'another inode'), text('e', 'over'),
              make('e', LINK, 'd/a3'))


def attributes():
    """Modes, owners, times, devices, extended attributes."""
    capability = b'\1\0\0\2\0\x24\0\0\0\0\0\0\0\0\0\0\0\0\0\0'.decode('latin1')
    acl = (b'\2\0\0\0\1\0\6\0\xff\xff\xff\xff\2\0\4\0\xe8\3\0\0\4\0\4\0\xff\xff\xff\xff\x10\0\4\0\xff\xff\xff\xff'
           b'\x20\0\4\0\xff\xff\xff\xff').decode('latin1')
    entries = [make('./', DIR, mode=0o751, uid=3, gid=4, xattrs={'trusted.root': 'the root itself'})]
    entries += [text(f'mode-{mode:04o}', mode=mode) for mode in (0, 0o444, 0o1644, 0o2755, 0o4755, 0o6711, 0o7777)]
    entries += [make(f'dir-{mode:04o}', DIR, mode=mode) for mode in (0, 0o555, 0o1777, 0o2775, 0o7700)]
    entries += [text(f'owner-{n}', uid=n, gid=n + 1) for n in (1, 1000, 65534, 65535, 65536, 2000000000)]
    entries += [make('owner-symlink', SYM, 'x', uid=70000, gid=5)]
    entries += [text(f'time-{t}', mtime=t) for t in (0, 1, TIME, 2**31, 2**32 + 5)]
    nanoseconds = make('time-nanoseconds')
    nanoseconds.pax_headers = {'mtime': '1234567890.123456789'}
    before = make('time-before-1970')
    before.pax_headers = {'mtime': '-100.5'}
    entries += [nanoseconds, before]
    entries += [make('char-1-3', CHAR, device=(1, 3), mode=0o666),
                make('char-4095-1048575', CHAR, device=(4095, 1048575)),
                make('block-8-257', BLOCK, device=(8, 257), gid=6), make('fifo', FIFO, mode=0o622)]
    entries += [text('capability', mode=0o755, xattrs={'security.capability': capability}),
                text('user-attributes', xattrs={'user.a': 'one', 'user.empty': '', 'user.nul': 'a\0b'}),
                text('trusted', xattrs={'trusted.t': 'x' * 300}),
                text('acl', xattrs={'system.posix_acl_access': acl}),
                make('acl-dir', DIR, xattrs={'system.posix_acl_default': acl})]
    entries += [text(f'shared-{i}', xattrs={'user.shared': 'the same for all'}) for i in range(5)]
    entries += [text('label', xattrs={'security.label': 'of a module of the host'})]
    # Attributes are bytes: what is no UTF-8 goes through the records as Latin-1 would.
    yield tar(*[binary_attributes(e) for e in entries])
    yield tar(make('dir-0555', DIR, mode=0o500, uid=9, mtime=5), text('dir-0555/new'))


def binary_attributes(item):
    info = item[0] if isinstance(item, tuple) else item
    info.pax_headers = {k: v.encode('latin1').decode('utf-8', 'surrogateescape') for k, v in info.pax_headers.items()}
    return item


def segments(n, step, size):
    """@n pieces of 512 bytes that are no zeros, each @step after the other, in a file of @size."""
    pieces = [(i * step, bytes([i % 255 + 1]) * 512) for i in range(n)]
    return pieces, size


def sparse_pax_1(name, pieces, size):
    numbers = [len(pieces), *itertools.chain(*((at, len(data)) for at, data in pieces))]
    head = ''.join(f'{n}\n' for n in numbers).encode()
    info = make('GNUSparseFile.0/' + name)
    info.pax_headers = {'GNU.sparse.major': '1', 'GNU.sparse.minor': '0', 'GNU.sparse.name': name,
                        'GNU.sparse.realsize': str(size)}
    return info, head + bytes(-len(head) % 512) + b''.join(data for _, data in pieces)


def sparse_pax_01(name, pieces, size):
    info = make('GNUSparseFile.0/' + name)
    info.pax_headers = {'GNU.sparse.size': str(size), 'GNU.sparse.numblocks': str(len(pieces)), 'GNU.sparse.name': name,
                        'GNU.sparse.map': ','.join(f'{at},{len(data)}' for at, data in pieces)}
    return info, b''.join(data for _, data in pieces)


def sparse_gnu(name, pieces, size):
    """The old GNU format: a header of type S with four pieces, and blocks of 21 more."""
    def octal(n, digits):
        return f'{n:0{digits}o}\0'.encode()

    def put(block, at, data):
        block[at:at + len(data)] = data

    entries = [octal(at, 11) + octal(len(data), 11) for at, data in pieces]
    content = b''.join(data for _, data in pieces)
    head = bytearray(512)
    for at, data in ((0, name.encode()), (100, octal(0o644, 7)), (108, octal(0, 7)), (116, octal(0, 7)),
                     (124, octal(len(content), 11)), (136, octal(TIME, 11)), (148, b' ' * 8), (156, b'S'),
                     (257, b'ustar  \0'), (386, b''.join(entries[:4])), (482, bytes([len(entries) > 4])),
                     (483, octal(size, 11))):
        put(head, at, data)
    put(head, 148, f'{sum(head):06o}\0 '.encode())
    out = bytes(head)
    for i in range(4, len(entries), 21):
        block = bytearray(512)
        put(block, 0, b''.join(entries[i:i + 21]))
        block[504] = len(entries) > i + 21
        out += bytes(block)
    return out + content + bytes(-len(content) % 512)


def sparse_files(make_file, name):
    yield ROOT
    for what, (pieces, size) in (('few', segments(3, 65536, 1 << 20)), ('many', segments(40, 8192, 400000)),
                                 ('late', ([(1 << 20, b'x' * 1000 + bytes(24))], (1 << 20) + 1024)),
                                 ('small', segments(1, 0, 2000)), ('hole', ([], 1 << 20))):
        # GNU tar ends each map with an empty piece at the file's end.
        yield make_file(f'{name}-{what}', [*pieces, (size, b'')], size)


def sparse():
    """Sparse files in POSIX tars: with a hole at the end, at the beginning, and nothing but a hole."""
    yield tar(*sparse_files(sparse_pax_01, 'pax01'))
    yield tar(*sparse_files(sparse_pax_1, 'pax1'))


def sparse_old():
    """The same in the old GNU format."""
    yield tar(*sparse_files(sparse_gnu, 'gnu'))


def names():
    """Long names and unusual bytes, in each format."""
    odd = ['with space', 'tab\tin it', 'bell\x01', 'umlaut-\u00e4', 'byte-\udcff', '-', '...', '.hidden', '~', '\\',
           '"',    'percent%n', '\u65e5\u672c', 'delete\x7f']
    deep = '/'.join(['d' * 200] * 15)

    def folders(top):
        yield make(top, DIR)
        for i in range(15):
            yield make(f'{top}/' + deep[:i * 201 + 200], DIR)

    entries = [*folders('pax'), *(text('pax/' + n) for n in odd), text('pax/' + 'n' * 255), text(f'pax/{deep}/f')]
    entries += [make('pax/to-long', SYM, 'x/' * 2000 + 'end'), make('pax/linked', LINK, 'pax/' + 'n' * 255)]
    yield tar(ROOT, *entries)
    entries = [*folders('gnu'), *(text('gnu/' + n) for n in odd), text('gnu/' + 'n' * 255)]
    entries += [make('gnu/to-long', SYM, 'y/' * 2000), make('gnu/to-odd', SYM, 'byte-\udcff\x01')]
    yield tar(ROOT, *entries, format=tarfile.GNU_FORMAT)


def implicit():
    """Directories that no layer lists."""
    yield tar(text('a/b/c/file'), make('d/e/symlink', SYM, 'x'))
    yield tar(text('a/b/other'), make('d/f/fifo', FIFO))


def symlinked():
    """An upper layer reaches through symlinks of lower ones, relative, absolute and chained."""
    yield tar(ROOT, make('usr', DIR), make('usr/lib', DIR), text('usr/lib/libc'), make('lib', SYM, 'usr/lib'),
              make('absolute', SYM, '/usr/lib'), make('chain', SYM, 'lib'), make('usr/up', SYM, '../usr/lib'))
    yield tar(ROOT, text('lib/through-lib'), text('absolute/through-absolute'), text('chain/through-chain'),
              text('usr/up/through-up'), make('lib/sub', DIR), text('lib/sub/f'), make('hard', LINK, 'lib/libc'))
    yield tar(ROOT, whiteout('lib/through-lib'), make('chain/sub', DIR, mode=0o700))


def sizes():
    """Files at the bounds between what is kept in an index, in an inode's block and in blocks of their own."""
    entries = [ROOT]
    for size in (0, 1, 511, 2047, 2048, 2049, 4095, 4096, 4097, 8192, 100000, 1 << 20, (3 << 20) + 7):
        entries.append((make(f'size-{size}'), bytes(i % 251 + 1 for i in range(min(size, 5000))) * (size // 5000 + 1)))
        entries[-1] = (entries[-1][0], entries[-1][1][:size])
    yield tar(*entries)
    for n in (100, 150, 3000):
        entries = [text(f'directory-{n}/entry-{i:0{i % 90 + 5}}') for i in range(n)]
        yield tar(ROOT, make(f'directory-{n}', DIR), *entries)


def small_files():
    """100 000 files of some hundred bytes."""
    entries = [ROOT]
    for d in range(100):
        entries.append(make(f'd{d}', DIR))
        entries += [text(f'd{d}/f{i}', f'{d} {i} ' * (i % 60), mtime=TIME + i % 3) for i in range(1000)]
    yield tar(*entries)


def huge():
    """One file of 6 GB with little in it."""
    pieces, size = segments(12, 500 << 20, 6 << 30)
    yield tar(ROOT, sparse_pax_1('huge', [*pieces, (size, b'')], size))


IMAGES = {'attributes': attributes, 'implicit': implicit, 'links': links, 'many-layers': many_layers, 'names': names,
          'replaced': replaced, 'sizes': sizes, 'sparse': sparse, 'sparse-old': sparse_old, 'symlinked': symlinked,
          'whiteouts': whiteouts}
# Those that umoci does not unpack, with the reason.
NOT_UMOCI = {'sparse-old': "unknown typeflag '\\x53'"}
# Where umoci makes something else of an image, and why that is not followed: image, pattern of the path, field, reason.
DIFFERENCES = (
    ('attributes', 'label', 'xattrs', "labels of a host's security modules are none of an image's business"),
    ('attributes', 'user-attributes', 'xattrs', 'umoci leaves out attributes without a value'),
    ('implicit', '*', 'mtime', 'directories that no layer lists have the time of the unpacking in umoci'),
)
SLOW = {'small-files': small_files, 'huge': huge}


def is_known(name):
    """For treelist.differences(): what DIFFERENCES says of the image @name."""
    known = [(pattern, field) for image, pattern, field, _ in DIFFERENCES if image == name]
    return lambda path, field, ours, theirs: any(field == f and fnmatch.fnmatchcase(path, p) for p, f in known)


def layers(name):
    return list({**IMAGES, **SLOW}[name]())


def write(folder, wanted=tuple(IMAGES), extra=()):
    """With the layers @extra on top of each."""
    return ocilayout.write_images(folder, **{name: ocilayout.Image([*layers(name), *extra]) for name in wanted})


def room_for(name, folder):
    """Why @name cannot be unpacked there; None if it can. umoci writes each zero."""
    missing = (8 << 30) - shutil.disk_usage(folder).free if name == 'huge' else 0
    return f'{missing >> 20} MiB more are needed in {folder}' if missing > 0 else None


def unpack(layout, name, target, extra=()):
    """Turns what write() made into the folder @target."""
    if name not in NOT_UMOCI:
        done = subprocess.run(['umoci', 'raw', 'unpack', '--image', f'{layout}:{name}', target], text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if done.returncode:
            raise AssertionError(f'umoci: {name}: {done.stdout}')
        return
    os.mkdir(target)
    # The image's own come last, and have the last word on the root directory.
    for data in [*extra, *layers(name)]:
        subprocess.run(['tar', '-xpf', '-', '--xattrs', '-C', target], check=True, input=data)


if __name__ == '__main__':
    write(sys.argv[1], sys.argv[2:] or tuple(IMAGES))
