# SPDX-License-Identifier: Apache-2.0
"""OCI layouts made by hand, right or wrong in any way: layers, compressions, manifests, indexes, tags."""
import gzip
import hashlib
import io
import json
import os
import platform
import tarfile

ARCHITECTURES = {'x86_64': 'amd64', 'aarch64': 'arm64', 'i686': '386', 'riscv64': 'riscv64', 's390x': 's390x',
                 'ppc64le': 'ppc64le'}
ARCHITECTURE = ARCHITECTURES[platform.machine()]
# An architecture that this machine is not.
FOREIGN = 's390x' if ARCHITECTURE != 's390x' else 'amd64'

MANIFEST = 'application/vnd.oci.image.manifest.v1+json'
INDEX = 'application/vnd.oci.image.index.v1+json'
CONFIG = 'application/vnd.oci.image.config.v1+json'
LAYER = 'application/vnd.oci.image.layer.v1.tar'


def digest(data):
    return 'sha256:' + hashlib.sha256(data).hexdigest()


def tar(*entries):
    """Entries are (name, content) for a file, (name, None) for a directory, or a TarInfo with its content or None."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode='w', format=tarfile.PAX_FORMAT) as t:
        for name, content in entries:
            info = name
            if not isinstance(name, tarfile.TarInfo):
                info = tarfile.TarInfo(name)
                info.type = tarfile.DIRTYPE if content is None else tarfile.REGTYPE
                info.mode = 0o755 if content is None else 0o644
            info.size = len(content or b'')
            t.addfile(info, io.BytesIO(content or b''))
    return out.getvalue()


def many_files(n, in_folder=1000, text=b'%d\n'):
    """The pieces of a tar of @n small files, faster than tarfile makes one."""
    head = bytearray(tarfile.TarInfo('').tobuf(tarfile.USTAR_FORMAT)[:512])
    for i in range(n):
        name, content = b'd%d/f%d' % (i // in_folder, i), text % i
        head[0:100] = name.ljust(100, b'\0')
        head[124:136] = b'%011o\0' % len(content)
        head[148:156] = b' ' * 8
        head[148:156] = b'%06o\0 ' % sum(head)
        yield bytes(head) + content.ljust(-(-len(content) // 512) * 512, b'\0')
    yield bytes(1024)


def write_stream(folder, pieces):
    """A layout, tagged "latest", whose one gzip layer is a tar in @pieces, none of it ever in memory as a whole."""
    os.makedirs(f'{folder}/blobs/sha256')
    plain, size = hashlib.sha256(), 0
    with open(f'{folder}/layer', 'wb') as out, \
            gzip.GzipFile(fileobj=out, mode='wb', compresslevel=1, mtime=0) as packed:
        chunk = bytearray()
        for piece in pieces:
            chunk += piece
            if len(chunk) > 1 << 20:
                plain.update(chunk)
                packed.write(chunk)
                chunk.clear()
        plain.update(chunk)
        packed.write(chunk)
    blob = hashlib.sha256()
    with open(f'{folder}/layer', 'rb') as packed:
        while part := packed.read(1 << 20):
            blob.update(part)
            size += len(part)
    name = f'sha256:{blob.hexdigest()}'
    os.rename(f'{folder}/layer', f'{folder}/blobs/sha256/{blob.hexdigest()}')

    def change(manifest, config):
        manifest['layers'] = [{'mediaType': LAYER + '+gzip', 'digest': name, 'size': size}]
        config['rootfs']['diff_ids'] = [f'sha256:{plain.hexdigest()}']
    image = Image([], change=change)
    write(folder, image.blobs, [{**image.descriptor, 'annotations': {'org.opencontainers.image.ref.name': 'latest'}}])
    return f'oci:{folder}:latest'


def entry(name, kind=tarfile.REGTYPE, target='', mode=0o644, uid=0, gid=0, mtime=0, xattrs=None, device=(0, 0)):
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode, info.uid, info.gid, info.mtime = kind, target, mode, uid, gid, mtime
    info.devmajor, info.devminor = device
    info.pax_headers = {f'SCHILY.xattr.{k}': v for k, v in (xattrs or {}).items()}
    return info


def plain(data):
    return data


def zstd(data):
    """One frame of raw blocks (RFC 8878, 3.1.1): valid, if not smaller."""
    out = b'\x28\xb5\x2f\xfd\xe0' + len(data).to_bytes(8, 'little')
    pieces = [data[i:i + (128 << 10)] for i in range(0, len(data), 128 << 10)] or [b'']
    for i, piece in enumerate(pieces):
        out += (int(i == len(pieces) - 1) | len(piece) << 3).to_bytes(3, 'little') + piece
    return out


def gz(data):
    return gzip.compress(data, 6, mtime=0)


SUFFIX = {plain: '', gz: '+gzip', zstd: '+zstd'}


def document(value):
    return value if isinstance(value, bytes) else json.dumps(value).encode()


class Image:
    """Layers are tars; @change(manifest, config) edits both before they are written."""

    def __init__(self, layers, compress=gz, architecture=ARCHITECTURE, system='linux', process=None, change=None):
        self.blobs = {}
        config = {'os': system, 'architecture': architecture, 'config': process or {'Cmd': ['/bin/true']},
                  'rootfs': {'type': 'layers', 'diff_ids': [digest(t) for t in layers]}}
        manifest = {'schemaVersion': 2, 'mediaType': MANIFEST, 'layers': [
            self.add(compress(t), LAYER + SUFFIX.get(compress, '')) for t in layers]}
        manifest['config'] = {}
        if change:
            change(manifest, config)
        # What the change has set stays, over what is true of the config.
        manifest['config'] = {**self.add(document(config), CONFIG), **manifest['config']}
        self.manifest = document(manifest)
        self.descriptor = {**self.add(self.manifest, MANIFEST),
                           'platform': {'os': system, 'architecture': architecture}}

    def add(self, data, media_type):
        self.blobs[digest(data)] = data
        return {'mediaType': media_type, 'digest': digest(data), 'size': len(data)}


def index(*descriptors):
    return document({'schemaVersion': 2, 'mediaType': INDEX, 'manifests': list(descriptors)})


def write(folder, blobs, descriptors):
    """A layout whose index.json has these descriptors."""
    os.makedirs(os.path.join(folder, 'blobs', 'sha256'), exist_ok=True)
    for name, data in blobs.items():
        with open(os.path.join(folder, 'blobs', *name.split(':')), 'wb') as f:
            f.write(data)
    with open(os.path.join(folder, 'oci-layout'), 'w') as f:
        f.write('{"imageLayoutVersion": "1.0.0"}')
    with open(os.path.join(folder, 'index.json'), 'wb') as f:
        f.write(index(*descriptors))
    return folder


def tagged(descriptor, tag):
    return {**descriptor, 'annotations': {'org.opencontainers.image.ref.name': tag}}


def write_images(folder, **images):
    """A layout with one image a tag."""
    blobs = {k: v for image in images.values() for k, v in image.blobs.items()}
    return write(folder, blobs, [tagged(image.descriptor, tag) for tag, image in images.items()])
