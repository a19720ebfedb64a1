# SPDX-License-Identifier: Apache-2.0
"""Runs the unittest cases of the calling file and prints TAP (version 12), one line a test as it ends.

    import tap
    class Pull(unittest.TestCase): ...
    if __name__ == '__main__':
        tap.main()

Arguments are substrings of test names; with none all run. The exit status is 1 when a test failed, so that a caller who
reads no TAP sees it too. Skips carry their reason, and subtests that fail are lines of their diagnostics.
"""
import os
import sys
import time
import traceback
import unittest


def _comment(text):
    for line in text.rstrip('\n').split('\n'):
        print('#   ' + line)


def _cases(suite):
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            yield from _cases(item)
        else:
            yield item


class _Result(unittest.TestResult):
    """Prints one test point a case. Failures of class and module fixtures become points of their own."""

    def __init__(self):
        super().__init__()
        self.number = 0
        self.problems = []
        self.skip_reason = None
        self.started = 0.0
        self.bad = False

    def _point(self, ok, name, extra=''):
        self.number += 1
        self.bad = self.bad or not ok
        print(f'{"ok" if ok else "not ok"} {self.number} - {name}{extra}', flush=True)

    def startTest(self, test):
        super().startTest(test)
        self.problems = []
        self.skip_reason = None
        self.started = time.monotonic()

    def stopTest(self, test):
        super().stopTest(test)
        name = test.id().removeprefix('__main__.')
        if self.skip_reason is not None and not self.problems:
            self._point(True, name, f' # SKIP {self.skip_reason}')
            return
        self._point(not self.problems, name)
        print(f'# {name}: {time.monotonic() - self.started:.1f} s')
        for text in self.problems:
            _comment(text)
        sys.stdout.flush()

    def _trouble(self, test, err):
        text = ''.join(traceback.format_exception(*err))
        if isinstance(test, unittest.TestCase):
            self.problems.append(text)
            return
        # setUpClass or setUpModule failed: one point for all its cases, none of which will run.
        self._point(False, str(test))
        _comment(text)

    def addError(self, test, err):
        super().addError(test, err)
        self._trouble(test, err)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self._trouble(test, err)

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            self.problems.append(f'{subtest.id()}\n' + ''.join(traceback.format_exception(*err)))

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        if isinstance(test, unittest.TestCase):
            self.skip_reason = reason
        else:
            self._point(True, str(test), f' # SKIP {reason}')

    def addExpectedFailure(self, test, err):
        self.problems.append('expectedFailure is not used in this project')

    def addUnexpectedSuccess(self, test):
        self.problems.append('expectedFailure is not used in this project')


def main(module='__main__'):
    wanted = sys.argv[1:]
    loaded = unittest.defaultTestLoader.loadTestsFromModule(sys.modules[module])
    cases = [c for c in _cases(loaded) if not wanted or any(w in c.id() for w in wanted)]
    if not cases:
        print('1..0 # SKIP no test has such a name')
        sys.exit(1)
    result = _Result()
    unittest.TestSuite(cases).run(result)
    # The plan comes last: a program that died on the way has none, which its reader takes for a failure.
    print(f'1..{result.number}', flush=True)
    # Threads of a test that went wrong must not keep the program alive.
    os._exit(1 if result.bad else 0)
