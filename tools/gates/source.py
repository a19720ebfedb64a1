# SPDX-License-Identifier: Apache-2.0
"""What the gates share: the tree's C files, their text without comments and strings, and how findings are told.

A gate is a program that is given the root of a tree (this one by default), prints one line a finding and ends with
status 1 when there are any.
"""
import os
import re
import sys

FOLDERS = ('include', 'src', 'guest', 'tests', 'tools')
# Comments, strings and character constants, in that order of what a text can start.
_TOKEN = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def root():
    return sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.path.dirname(os.path.dirname(
        os.path.abspath(__file__))))


def files(top, endings=('.c', '.h')):
    """Paths below @top with one of @endings, in order."""
    found = []
    for folder in FOLDERS:
        for path, names, leaves in os.walk(os.path.join(top, folder)):
            names[:] = [n for n in names if n not in ('corpus', '__pycache__')]
            found += [os.path.relpath(os.path.join(path, leaf), top) for leaf in leaves if leaf.endswith(endings)]
    return sorted(found)


def read(top, path):
    with open(os.path.join(top, path), encoding='utf-8') as f:
        return f.read()


def strip(text, keep_strings=False):
    """@text with comments, and unless told otherwise strings, blanked out; the lines stay where they are."""
    def blank(match):
        token = match.group(0)
        if token[0] != '/':
            return token if keep_strings else token[0] + ' ' * (len(token) - 2) + token[0]
        return re.sub(r'[^\n]', ' ', token)
    return _TOKEN.sub(blank, text)


def line_of(text, offset):
    return text.count('\n', 0, offset) + 1


def calls(text, names):
    """(name, arguments, line) of each call of one of @names in the stripped @text; @arguments up to its ')'."""
    for match in re.finditer(r'(?<![\w.>])(' + '|'.join(names) + r')\s*\(', text):
        depth, end = 1, match.end()
        while end < len(text) and depth:
            depth += {'(': 1, ')': -1}.get(text[end], 0)
            end += 1
        yield match.group(1), text[match.end():end - 1], line_of(text, match.start())


def finish(findings):
    for finding in findings:
        print(finding)
    sys.exit(1 if findings else 0)
