# SPDX-License-Identifier: Apache-2.0
"""Runs tests/support/tree-list.c and compares what it says of two trees."""
import pathlib
import subprocess
from collections import namedtuple

SOURCE = pathlib.Path(__file__).with_name('tree-list.c')
Entry = namedtuple('Entry', 'type mode uid gid mtime links device size group digest xattrs')


def build(folder):
    """The program, for any Linux of this architecture."""
    program = pathlib.Path(folder) / 'tree-list'
    subprocess.run(['musl-gcc', '-static', '-O3', '-std=gnu17', '-D_GNU_SOURCE', '-o', program, SOURCE], check=True)
    return str(program)


def parse(text):
    rows = (line.split('\t') for line in text.splitlines())
    return {path: Entry(*fields) for path, *fields in rows}


def entries(program, folder):
    return parse(subprocess.run([program, '-x', str(folder)], check=True, capture_output=True, text=True).stdout)


def differences(ours, theirs, except_for=lambda path, field, ours, theirs: False):
    """A line each. @except_for says which are known, and right."""
    found = []
    for path in sorted({*ours, *theirs}):
        a, b = ours.get(path), theirs.get(path)
        if a is None or b is None:
            if not except_for(path, None, a, b):
                found.append(f'{path}: only {"theirs" if a is None else "ours"}: {b or a}')
            continue
        for field in Entry._fields:
            x, y = getattr(a, field), getattr(b, field)
            if x != y and not except_for(path, field, x, y):
                found.append(f'{path}: {field} {x}, theirs {y}')
    return found
