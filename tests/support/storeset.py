# SPDX-License-Identifier: Apache-2.0
"""The images of imageset.py in a real registry, pulled from there by the microvm command, and what the store has of
them afterwards."""
import json
import os
import pathlib
import shutil
import subprocess

import registry

PROGRAMS = ('src/cli/microvm', 'tests/support/present-tool', 'tests/support/pull-tool')


def run(*words, **how):
    done = subprocess.run([str(w) for w in words], stdin=subprocess.DEVNULL, capture_output=True, text=True, **how)
    if done.returncode:
        raise AssertionError(f'{words}: {done.returncode}: {done.stdout}{done.stderr}')
    return done.stdout


class Served:
    """A registry with copies of what is in OCI layouts."""

    def __init__(self):
        self.registry = registry.Registry()

    def add(self, layout, name):
        """Gives the reference."""
        reference = f'{self.registry.address}/set:{name}'
        run('skopeo', '--insecure-policy', 'copy', '--quiet', '--dest-tls-verify=false', f'oci:{layout}:{name}',
            f'docker://{reference}')
        return reference

    def close(self):
        self.registry.close()


class Pulled:
    """An image that is only in the registry becomes one of a store below @folder, by the programs of @build, as another
    user where @identity (subprocess.run()'s user, group, extra_groups) says so."""

    def __init__(self, build, folder, reference, **identity):
        self.folder, self.identity = pathlib.Path(folder), identity
        self.folder.mkdir(mode=0o755)
        for program in PROGRAMS:
            shutil.copy(pathlib.Path(build) / program, self.folder)
        self.own = self.folder / 'own'
        self.own.mkdir(mode=0o700)
        if identity:
            os.chown(self.own, identity['user'], identity['group'])
        self.run('microvm', 'pull', '-q', reference)
        # As `microvm run` has it: the metadata image first, then what there is of data, base first.
        self.extents = self.run('pull-tool', self.own / 'cache', reference, 'never').splitlines()

    def run(self, program, *words):
        env = {k: v for k, v in os.environ.items() if not k.lower().endswith('_proxy')}
        env.update(MICROVM_DATA_DIR=str(self.own), HOME=str(self.own))
        return run(self.folder / program, *words, env=env, cwd=self.own, **self.identity)

    def disk(self):
        """The root disk as one sparse file."""
        path = self.folder / 'disk'
        with open(path, 'wb') as out:
            for extent in self.extents:
                with open(extent, 'rb') as data:
                    append_sparse(data, out)
        return path

    def directory(self):
        """The image as a real directory; how many things could not be kept, and the first of them."""
        config = json.loads(pathlib.Path(self.extents[0]).with_name('config.json').read_bytes())
        parts = []
        for diff_id in config['rootfs']['diff_ids']:
            data, index = (self.own / 'cache/layers' / (diff_id.replace(':', '-') + end) for end in ('.data', '.index'))
            parts += [data if data.exists() else '-', index]
        _, lost, first = self.run('present-tool', self.own, 'root', *parts).split(None, 2)
        return self.own / 'root', int(lost), first.strip()


def append_sparse(data, out):
    """Appends @data, whose length is a multiple of 4096, with its holes."""
    start, size = out.tell(), os.fstat(data.fileno()).st_size
    assert size % 4096 == 0, data.name
    at = 0
    while at < size:
        try:
            at = os.lseek(data.fileno(), at, os.SEEK_DATA)
        except OSError:     # a hole to the end
            break
        end = os.lseek(data.fileno(), at, os.SEEK_HOLE)
        data.seek(at)
        out.seek(start + at)
        while at < end:
            piece = data.read(min(end - at, 1 << 20))
            out.write(piece)
            at += len(piece)
    out.truncate(start + size)
    out.seek(start + size)
