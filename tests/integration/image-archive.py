#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Images from archives on disk: oci-archive and docker-archive, made by skopeo and by hand, right and wrong."""
import hashlib
import io
import json
import lzma
import os
import pathlib
import random
import subprocess
import sys
import tarfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'support'))
import ocilayout
import storetest
import tap


def skopeo(source, target):
    subprocess.run(['skopeo', '--insecure-policy', 'copy', '-q', source, target], check=True, stdin=subprocess.DEVNULL)


def link(name, target, kind=tarfile.SYMTYPE):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info, None


class Docker:
    """The members of a docker archive of two layers; @change edits them before they are written."""

    def __init__(self, compress=(ocilayout.plain, ocilayout.plain), tags=('example.com/app:1',), entries=None):
        self.layers = [ocilayout.tar(('f', b'base'), ('d', None)), ocilayout.tar(('f', b'upper'), ('g', b'new'))]
        self.config = json.dumps({'os': 'linux', 'architecture': ocilayout.ARCHITECTURE, 'config': {},
                                  'rootfs': {'type': 'layers',
                                             'diff_ids': [ocilayout.digest(t) for t in self.layers]}}).encode()
        self.members = {'config.json': self.config}
        for i, layer in enumerate(self.layers):
            self.members[f'{i}/layer.tar'] = compress[i](layer)
        self.entry = {'Config': 'config.json', 'RepoTags': list(tags), 'Layers': ['0/layer.tar', '1/layer.tar']}
        self.entries = entries or [self.entry]

    def bytes(self, *more, form=tarfile.PAX_FORMAT, manifest=None):
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode='w', format=form) as t:
            items = [*self.members.items(), *more]
            items.append(('manifest.json', manifest or json.dumps(self.entries).encode()))
            for name, content in items:
                info = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
                info.size = len(content or b'')
                t.addfile(info, io.BytesIO(content or b''))
        return out.getvalue()


class Archive(storetest.StoreTest):
    number = 0

    def file(self, data):
        self.number += 1
        path = os.path.join(self.folder('archives'), f'{self.number}.tar')
        pathlib.Path(path).write_bytes(data)
        return path

    def good(self, data, transport='docker-archive', suffix=''):
        path = self.pull_good(f'{transport}:{self.file(data)}{suffix}')
        files = self.content(path)
        self.assertEqual((files['f'], files['g']), (b'upper', b'new'))
        return path

    def bad(self, data, words, suffix='', transport='docker-archive'):
        file = self.file(data)
        error = self.pull_bad(f'{transport}:{file}{suffix}')
        self.assertIn(words, error)
        self.assertIn(file, error)
        return error

    # Made by others

    def test_same_images_as_from_the_layout(self):
        image = ocilayout.Image([ocilayout.tar(('f', b'1'), ('big', random.Random(1).randbytes(3 << 20))),
                                 ocilayout.tar(('g', b'2'))])
        folder = self.layout(t=image)
        first = self.pull_good(f'oci:{folder}:t')
        self.clear_store()
        skopeo(f'oci:{folder}:t', f'oci-archive:{self.base}/o.tar:t')
        # The very same manifest, hence the same image.
        for suffix in (':t', ''):
            self.assertEqual(self.pull_good(f'oci-archive:{self.base}/o.tar{suffix}'), first)
        content = self.content(first)
        skopeo(f'oci:{folder}:t', f'docker-archive:{self.base}/d.tar:example.com/app:1')
        path = self.pull_good(f'docker-archive:{self.base}/d.tar')
        self.assertEqual(self.content(path), content)
        for suffix in (':example.com/app:1',):
            self.assertEqual(self.pull_good(f'docker-archive:{self.base}/d.tar{suffix}'), path)

    def test_two_ways_to_an_archive_are_one_name(self):
        file = self.file(Docker().bytes())
        os.symlink(file, f'{self.base}/link')
        self.assertEqual(self.pull_good(f'docker-archive:{file}'), self.pull_good(f'docker-archive:{self.base}/link'))
        self.assertEqual(self.run_tool('--list').stdout.split()[0], f'docker-archive:{file}')
        self.assertEqual(self.run_tool('--list').stdout.count('\n'), 2)    # and the total

    def test_never_works_without_the_archive(self):
        file = self.file(Docker().bytes())
        path = self.pull_good(f'docker-archive:{file}')
        os.unlink(file)
        self.assertEqual(self.pull_good(f'docker-archive:{file}', 'never'), path)
        self.assertIn(f"open '{file}'", self.pull_bad(f'docker-archive:{file}'))

    # Forms

    def test_layers_are_sniffed_one_by_one(self):
        first = self.good(Docker().bytes())
        digests = {first}
        for pair in ((ocilayout.gz, ocilayout.plain), (ocilayout.plain, ocilayout.zstd),
                     (ocilayout.zstd, ocilayout.gz)):
            path = self.good(Docker(pair).bytes())
            self.clear_store()
            # The same archive, the same manifest.
            self.assertEqual(self.good(Docker(pair).bytes()), path)
            digests.add(path)
        self.assertEqual(len(digests), 4)

    def test_manifest_is_a_docker_manifest_of_the_members(self):
        made = Docker((ocilayout.gz, ocilayout.plain))
        path = self.good(made.bytes())
        manifest = {'schemaVersion': 2, 'mediaType': 'application/vnd.docker.distribution.manifest.v2+json',
                    'config': {'mediaType': 'application/vnd.docker.container.image.v1+json',
                               'size': len(made.config), 'digest': ocilayout.digest(made.config)},
                    'layers': [{'mediaType': 'application/vnd.docker.image.rootfs.diff.tar' + suffix,
                                'size': len(made.members[name]), 'digest': ocilayout.digest(made.members[name])}
                               for name, suffix in (('0/layer.tar', '.gzip'), ('1/layer.tar', ''))]}
        text = json.dumps(manifest, separators=(',', ':'))
        self.assertIn(hashlib.sha256(text.encode()).hexdigest(), path)

    def test_compressed_archives(self):
        plain = self.good(Docker().bytes())
        for compress in (ocilayout.gz, ocilayout.zstd):
            with self.subTest(compress.__name__):
                self.assertEqual(self.good(compress(Docker().bytes())), plain)
        self.bad(lzma.compress(Docker().bytes()), 'malformed tar')
        self.bad(ocilayout.gz(Docker().bytes())[:-9], 'gzip: the data ends too early')
        self.bad(ocilayout.gz(Docker().bytes()) + b'trailing bytes', 'gzip: no gzip header')

    def test_tar_formats(self):
        for form in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
            made = Docker()
            name = 'n' * 90 + '/' + 'm' * 90 + '/layer.tar'
            made.members[name] = made.members.pop('0/layer.tar')
            made.entry['Layers'][0] = name
            with self.subTest(form):
                self.good(made.bytes(form=form))

    def test_links_are_followed(self):
        made = Docker()
        made.members['blobs/a'] = made.members.pop('0/layer.tar')
        made.members['blobs/b'] = made.members.pop('1/layer.tar')
        self.good(made.bytes(link('0/layer.tar', '../blobs/a'), link('1/layer.tar', 'blobs/b', tarfile.LNKTYPE)))
        self.good(made.bytes(link('0/layer.tar', '../x'), link('x', './/blobs/./a'),
                             link('1/layer.tar', '../blobs/b', tarfile.LNKTYPE)))
        self.bad(made.bytes(link('0/layer.tar', '../0/layer.tar'), link('1/layer.tar', '../blobs/b')),
                 "layer 1 of 2: '0/layer.tar' in the archive is a link in a circle")
        self.bad(made.bytes(link('0/layer.tar', '../../../etc/passwd'), link('1/layer.tar', '../blobs/b')),
                 "'../../../etc/passwd' leads out of the archive")
        # Sixteen links are followed: the layer's own, fourteen, and the one to the file.
        chain = [link(f'l{i}', f'l{i + 1}') for i in range(1, 16)]
        rest = [link('l16', 'blobs/a'), link('1/layer.tar', '../blobs/b')]
        self.good(made.bytes(link('0/layer.tar', '../l2'), *chain, *rest))
        self.bad(made.bytes(link('0/layer.tar', '../l1'), *chain, *rest), 'more than 16 others')

    def test_last_member_of_a_name_counts(self):
        made = Docker()
        self.good(made.bytes(('0/layer.tar', made.members['0/layer.tar']), ('./config.json', made.config)))
        made.members['0/layer.tar'] = b'not this'
        self.good(made.bytes(('0/layer.tar', made.layers[0])))

    def test_engine_archive_reads_both_ways(self):
        """Newer engines write one archive that is an OCI layout as well."""
        image = ocilayout.Image([ocilayout.tar(('f', b'upper'), ('g', b'new'))], ocilayout.plain)
        config = next(d for d in image.blobs if b'rootfs' in image.blobs[d] and b'diff_ids' in image.blobs[d])
        layer = json.loads(image.manifest)['layers'][0]['digest']
        path = {d: 'blobs/' + d.replace(':', '/') for d in image.blobs}
        made = Docker(entries=[{'Config': path[config], 'RepoTags': None, 'Layers': [path[layer]],
                                'LayerSources': {layer: {'mediaType': ocilayout.LAYER, 'size': 1, 'digest': layer}}}])
        made.members = {path[d]: data for d, data in image.blobs.items()}
        made.members['oci-layout'] = b'{"imageLayoutVersion":"1.0.0"}'
        made.members['index.json'] = ocilayout.index(ocilayout.tagged(image.descriptor, 'latest'))
        data = made.bytes()
        self.assertIn(ocilayout.digest(image.manifest).split(':')[1], self.good(data, 'oci-archive'))
        self.assertEqual(self.content(self.good(data)), self.content(self.good(data, 'oci-archive', ':latest')))

    # Choosing

    def test_choice_of_an_image(self):
        other = Docker(tags=())
        swapped = ['1/layer.tar', '0/layer.tar']
        both = Docker(entries=[{**other.entry, 'RepoTags': ['busybox:latest'], 'Layers': swapped},
                               {**other.entry, 'RepoTags': ['alpine:3', 'alpine:latest']},
                               {**other.entry, 'RepoTags': None, 'Config': 'missing.json'}])
        data = both.bytes()
        for suffix in (':alpine', ':docker.io/library/alpine:3', ':alpine:latest'):
            self.good(data, suffix=suffix)
        self.bad(data, 'which of the 3 images is meant? '
                       "The archive's names are busybox:latest, alpine:3, alpine:latest")
        self.bad(data, "no image 'docker.io/library/debian:latest' in the archive; there is busybox:latest", ':debian')
        self.good(other.bytes())
        self.bad(other.bytes(), "no image 'docker.io/library/x:latest' in the archive; there is none", ':x')

    def test_number_of_layers_is_limited(self):
        """So many, each with a source of its own, that who compares all of them with all is not done soon."""
        made = Docker()
        config = json.loads(made.config)
        config['rootfs']['diff_ids'] = [f'sha256:{i:064x}' for i in range(60000)]
        made.members['config.json'] = json.dumps(config).encode()
        media_type = 'application/vnd.oci.image.layer.v1.tar'
        made.entry.update(Layers=['0/layer.tar'] * 60000, LayerSources={
            d: {'mediaType': media_type, 'size': 1, 'digest': d} for d in config['rootfs']['diff_ids'][:25000]})
        start = time.monotonic()
        self.bad(made.bytes(), 'the image has 60000 layers, the limit is 511')
        self.assertLess(time.monotonic() - start, 10)

    def test_digest_is_no_choice(self):
        error = self.pull_bad(f'docker-archive:/x:alpine@sha256:{"0" * 64}')
        self.assertIn('have tags, no digests', error)

    # Wrong

    def test_manifests_that_are_refused(self):
        made = Docker()

        def entry(**change):
            return json.dumps([{**made.entry, **change}]).encode()
        for manifest, words in ((b'{', 'manifest.json: not JSON'), (b'{}', 'manifest.json: not a list'),
                                (b'[]', 'the archive holds no image'), (b'[1]', 'image 1 of 1: not an object'),
                                (b'[{}]', "'Config' is missing"), (entry(Layers=7), "'Layers'"),
                                (entry(Config='gone.json'), "no file 'gone.json' in the archive"),
                                (entry(Config='../c'), "'../c' leads out of the archive"),
                                (entry(Layers=['0/layer.tar']), 'names 1 layers, the image config 2 diffIDs'),
                                (entry(Layers=['0/layer.tar'] * 3), 'names 3 layers, the image config 2 diffIDs'),
                                (entry(Layers=['0/layer.tar', 'gone']),
                                 "layer 2 of 2: no file 'gone' in the archive"),
                                (entry(LayerSources={'x': {}}), "'LayerSources': 'x'"),
                                (entry(Layers=['1/layer.tar', '0/layer.tar']), 'content has the digest'),
                                (b'[' + b'{},' * 4096 + b'{}]', '4097 images, the limit is 4096')):
            with self.subTest(words):
                self.bad(made.bytes(manifest=manifest), words)
        data = made.bytes(manifest=b'[' + b' ' * (8 << 20) + b']')
        self.bad(data, 'the limit is 8388608')

    def test_foreign_layer_that_was_left_out(self):
        made = Docker()
        foreign = 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip'
        made.entry['LayerSources'] = {ocilayout.digest(made.layers[0]): {'mediaType': foreign}}
        self.good(made.bytes())
        del made.members['0/layer.tar']
        self.bad(made.bytes(), f"layer 1 of 2: {foreign} was left out: no file '0/layer.tar' in the archive")

    def test_archives_that_are_refused(self):
        data = Docker().bytes()
        self.bad(b'', 'malformed tar')
        self.bad(random.Random(2).randbytes(100000), 'malformed tar')
        self.bad(bytes(10240), 'not a docker archive')
        self.bad(data, 'not an OCI layout', transport='oci-archive')
        folder = pathlib.Path(self.layout(t=self.image()))
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode='w') as t:
            t.add(folder, '.')
        self.pull_good(f'oci-archive:{self.file(out.getvalue())}')
        self.bad(out.getvalue(), "not a docker archive: no file 'manifest.json' in the archive")
        self.bad(out.getvalue(), "no tag 'x' in the layout; there is t", ':x', 'oci-archive')
        self.assertIn('not a regular file', self.pull_bad('docker-archive:/dev/null'))
        self.assertIn('not a regular file', self.pull_bad(f'oci-archive:{folder}'))
        os.mkfifo(f'{self.base}/fifo')
        self.assertIn('not a regular file', self.pull_bad(f'oci-archive:{self.base}/fifo'))

    def test_archive_cut_anywhere(self):
        data = Docker().bytes()
        end = len(data.rstrip(b'\0'))
        for at in range(100, end, 3001):
            with self.subTest(at):
                self.pull_bad(f'docker-archive:{self.file(data[:at])}')
        middle = data.index(b'1/layer.tar') + 700
        self.bad(data[:middle], "'1/layer.tar' is cut off")

    def test_members_that_are_refused(self):
        made = Docker()
        self.bad(made.bytes(('../x', b'')), "'../x' leads out of the archive")
        self.bad(made.bytes(('a/../../x', b'')), "'a/../../x' leads out of the archive")
        self.bad(made.bytes(('n' * 4097, b'')), 'a name of 4097 bytes, the limit is 4096')
        self.good(made.bytes(('n/' * 2047 + 'n', b''), ('/absolute', b''), ('a/../b', b''), ('\u00e9', b'')))
        del made.members['0/layer.tar']
        sparse = tarfile.TarInfo('0/layer.tar')
        sparse.pax_headers = {'GNU.sparse.map': '0,4', 'GNU.sparse.size': '4096', 'GNU.sparse.numblocks': '1'}
        self.bad(made.bytes((sparse, b'1234')), "'0/layer.tar' in the archive is not a plain file")
        fifo = tarfile.TarInfo('0/layer.tar')
        fifo.type = tarfile.FIFOTYPE
        self.bad(made.bytes((fifo, None)), "'0/layer.tar' in the archive is not a plain file")

    def test_number_of_members_is_limited(self):
        def members(n):
            made = Docker()
            more = (tarfile.TarInfo(f'{i}').tobuf(tarfile.USTAR_FORMAT) for i in range(n - 4))
            return b''.join(more) + made.bytes()
        self.good(members(65536))
        self.bad(members(65537), 'more than 65536 members')

    def test_wrong_content_is_found(self):
        made = Docker()
        made.members['1/layer.tar'] = ocilayout.tar(('f', b'other'))
        self.bad(made.bytes(), 'layer 2 of 2: sha256:')
        made = Docker((ocilayout.gz, ocilayout.gz))
        made.members['1/layer.tar'] = ocilayout.gz(ocilayout.tar(('f', b'other')))
        self.bad(made.bytes(), 'image config says diffID')
        image = ocilayout.Image([ocilayout.tar(('f', b'content'))])
        folder = pathlib.Path(self.layout(t=image))
        largest = max((folder / 'blobs/sha256').iterdir(), key=lambda p: p.stat().st_size)
        largest.write_bytes(bytes(largest.stat().st_size))
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode='w') as t:
            t.add(folder, '')
        self.bad(out.getvalue(), 'sha256:', transport='oci-archive')

    def test_image_of_another_platform(self):
        made = Docker()
        config = made.config.replace(ocilayout.ARCHITECTURE.encode(), ocilayout.FOREIGN.encode())
        made.members['config.json'] = config
        self.bad(made.bytes(), f'the image is for linux/{ocilayout.FOREIGN}')
        self.pull_good(f'docker-archive:{self.file(made.bytes())}', 'missing', f'linux/{ocilayout.FOREIGN}')

    def test_nothing_is_left_of_a_compressed_archive(self):
        made = Docker()
        made.members['noise'] = random.Random(3).randbytes(5 << 20)
        self.good(ocilayout.gz(made.bytes()))
        self.assertEqual(sorted(n for n in os.listdir(f'{self.base}/store') if n.startswith(('.tmp', 'tmp'))), [])

    def test_cancelled_while_inflating(self):
        made = Docker()
        made.members['zeros'] = bytes(600 << 20)
        data = self.file(ocilayout.gz(made.bytes()))
        result = self.pull(f'docker-archive:{data}', cancel=2)
        self.assertEqual(result.returncode, 125)
        self.assertIn('cancelled', result.stderr)
        self.assert_clean()


@unittest.skipUnless(os.getuid() == 0, 'becomes an ordinary user')
class ArchiveAsUser(storetest.StoreTest):
    user = storetest.USER

    def test_both_forms(self):
        path = os.path.join(self.folder('a'), 'd.tar')
        pathlib.Path(path).write_bytes(ocilayout.gz(Docker().bytes()))
        self.assertEqual(self.content(self.pull_good(f'docker-archive:{path}'))['g'], b'new')


if __name__ == '__main__':
    tap.main()
