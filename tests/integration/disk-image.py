#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Downloads of disk images from a server that breaks off, is busy, changes its file, lies, and is slow."""
import bz2
import gzip
import hashlib
import http.server
import json
import lzma
import os
import pathlib
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'support'))
import ocilayout
import storetest
import tap

TIMEOUT = 120
# Some noise, a hole, some noise, and zeros at the end.
CONTENT = random.Random(1).randbytes(300001) + bytes(5 << 20) + random.Random(2).randbytes(1000) + bytes(9999)


def sha256(data):
    return hashlib.sha256(data).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def log_message(self, *_):
        pass

    def do_GET(self):
        s = self.server
        with s.lock:
            number = len(s.requests)
            s.requests.append((self.path, self.headers.get('Range')))
        answer = s.answers.get(number, s.answers.get('*', {}))
        if callable(answer):
            answer = answer(self)
        data = answer.get('data', s.data)
        start = 0
        status = answer.get('status')
        wanted = re.fullmatch(r'bytes=(\d+)-', self.headers.get('Range', ''))
        if wanted and s.ranges and not status:
            start = int(wanted[1])
            status = 206 if start < len(data) else 416
        self.send_response(status or 200)
        headers = {'ETag': s.etag, 'Last-Modified': s.modified, **answer.get('headers', {})}
        if status == 206:
            headers.setdefault('Content-Range', f'bytes {start}-{len(data) - 1}/{len(data)}')
        body = data[start:] if status in (None, 200, 206) else b''
        if answer.get('chunked'):
            headers['Transfer-Encoding'] = 'chunked'
            body = b''.join(b'%x\r\n%s\r\n' % (len(p), p) for p in
                            (body[i:i + 65536] for i in range(0, len(body), 65536))) + b'0\r\n\r\n'
        else:
            headers['Content-Length'] = str(len(body))
        for key, value in headers.items():
            if value is not None:
                self.send_header(key, value)
        self.end_headers()
        try:
            self.wfile.write(body[:answer.get('cut', len(body))])
            self.wfile.flush()
            if 'hold' in answer:
                answer['hold'].wait(TIMEOUT)
        except OSError:
            pass
        if 'cut' in answer:
            self.close_connection = True


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self):
        super().__init__(('127.0.0.1', 0), Handler)
        self.lock = threading.Lock()
        self.requests = []
        self.answers = {}
        self.ranges = True
        self.etag, self.modified = '"one"', 'Mon, 01 Jan 2024 00:00:00 GMT'
        self.data = CONTENT

    def handle_error(self, *_):
        pass


class DiskImage(unittest.TestCase):
    def setUp(self):
        self.base = tempfile.mkdtemp(prefix='disk-image-')
        self.addCleanup(subprocess.run, ['rm', '-rf', self.base])
        self.dir = os.path.join(self.base, 'deep', 'images')
        self.server = Server()
        self.addCleanup(self.server.server_close)
        thread = threading.Thread(target=self.server.serve_forever, kwargs={'poll_interval': 0.05})
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(self.server.shutdown)
        self.url = f'http://127.0.0.1:{self.server.server_port}/images/debian.raw'

    def command(self, url, *arguments):
        return [str(pathlib.Path(storetest.pull_tool()).with_name('disk-tool')), url or self.url, self.dir, *arguments]

    def run_tool(self, *arguments, url=None, **environment):
        return subprocess.run(self.command(url, *arguments), env={**os.environ, **environment}, text=True,
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=TIMEOUT)

    def good(self, *arguments, url=None, content=CONTENT, kept=0, **environment):
        result = self.run_tool(*arguments, url=url, **environment)
        self.assertEqual(result.returncode, 0, result.stderr)
        path = result.stdout.strip()
        self.assertEqual(sha256(pathlib.Path(path).read_bytes()), sha256(content))
        self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)
        self.assertEqual(len(self.left()), kept)
        self.log = result.stderr
        return path

    def bad(self, words, *arguments, url=None, kept=0, **environment):
        result = self.run_tool(*arguments, url=url, **environment)
        self.assertEqual((result.returncode, result.stdout), (125, ''))
        self.assertEqual(result.stderr.count('\n'), 1, result.stderr)
        self.assertIn(words, result.stderr)
        self.assertEqual(len(self.left()), kept, self.left())
        return result.stderr

    def left(self):
        """What is no image and not what is noted of one."""
        names = os.listdir(self.dir) if os.path.isdir(self.dir) else []
        return [n for n in names if n.startswith(('.download-', '.inflate-', '.tmp-'))]

    def requests(self):
        got = [r[1] for r in self.server.requests]
        self.server.requests.clear()
        return got

    # Names and the cache

    def test_name_and_a_second_call(self):
        path = self.good()
        self.assertRegex(os.path.basename(path), r'^[0-9a-f]{16}-debian\.raw$')
        self.assertEqual(os.stat(self.dir).st_mode & 0o777, 0o700)
        self.assertEqual(self.requests(), [None])
        self.assertEqual(self.good(), path)
        self.assertEqual(self.good(sha256(CONTENT).upper()), path)
        self.assertEqual(self.requests(), [])
        # The whole URL makes the name.
        self.assertNotEqual(self.good(url=self.url + '?v=2'), path)
        self.assertEqual(self.good(url=self.url + '#part'), path)

    def test_names_of_urls(self):
        root = f'http://127.0.0.1:{self.server.server_port}'
        for tail, name in (('/a/b.qcow2.xz?token=secret', 'b.qcow2'), ('/x%20y;z', 'x_20y_z'), ('/.hidden', '.hidden'),
                           ('/a.gz.gz', 'a.gz'), ('/.gz', '.gz'), ('/' + 'n' * 99 + '.raw', 'n' * 96 + '.raw')):
            with self.subTest(tail):
                self.assertEqual(os.path.basename(self.good(url=root + tail))[17:], name)
        for tail in ('', '/', '/a/', '/?x', '/..', '/.', '/a/..?b/c', '/...xz'):
            with self.subTest(tail):
                self.bad('no file name can be derived', url=root + tail)
        for url in ('ftp://127.0.0.1/x', 'file:///etc/passwd', '/etc/passwd', 'http://', 'http://h:0/x'):
            with self.subTest(url):
                self.assertRegex(self.run_tool(url=url).stderr, '^-[0-9]+ disk image')

    def test_secrets_of_the_url_are_not_shown(self):
        self.server.answers['*'] = {'status': 403}
        self.assertNotIn('hidden', self.bad('status 403', url=self.url + '?signature=hidden'))
        self.assertNotIn('secret', self.bad('has a user in it', url=self.url.replace('//', '//user:secret@')))

    def test_changed_file_is_fetched_again(self):
        path = self.good(sha256(CONTENT))
        with open(path, 'r+b') as f:
            f.write(b'changed')
        # Without a digest the file is what it is.
        self.good(content=pathlib.Path(path).read_bytes())
        self.assertEqual(self.requests(), [None])
        self.good(sha256(CONTENT))
        self.assertIn('is fetched again: it has the digest', self.log)
        self.assertEqual(self.requests(), [None])
        other = CONTENT[:1000]
        self.server.data = other
        self.good(sha256(other), content=other)
        self.assertIn('is fetched again: it came of a file with the digest', self.log)

    def test_file_that_somebody_put_there(self):
        path = self.good()
        for name in os.listdir(self.dir):
            if name.startswith('.'):
                os.unlink(os.path.join(self.dir, name))
        self.requests()
        self.assertEqual(self.good(sha256(CONTENT)), path)
        self.assertEqual(self.requests(), [])
        os.unlink(path)
        os.mkdir(path)
        self.bad('is not a regular file')
        os.rmdir(path)
        os.symlink('/etc/passwd', path)
        self.assertEqual(self.run_tool().returncode, 125)
        self.assertTrue(os.path.islink(path))

    # Digests

    def test_wrong_digest(self):
        error = self.bad(f'it has the digest sha256:{sha256(CONTENT)}, expected is sha256:{"0" * 64}', '0' * 64)
        self.assertTrue(error.startswith('-13 '), error)
        self.assertEqual(self.requests(), [None])
        self.assertEqual(os.listdir(self.dir), [])
        for text in ('', '0' * 63, '0' * 65, 'g' * 64):
            self.bad('64 hex digits are wanted', text)

    # Compression

    def test_inflates_by_content(self):
        forms = {'gzip': gzip.compress(CONTENT), 'bzip2': bz2.compress(CONTENT), 'xz': lzma.compress(CONTENT),
                 'zstd': ocilayout.zstd(CONTENT),
                 'two gzip members': gzip.compress(CONTENT[:7]) + gzip.compress(CONTENT[7:]),
                 'two bzip2 streams': bz2.compress(CONTENT[:7]) + bz2.compress(CONTENT[7:]),
                 'two xz streams': lzma.compress(CONTENT[:7]) + lzma.compress(CONTENT[7:]),
                 'two zstd frames': ocilayout.zstd(CONTENT[:7]) + ocilayout.zstd(CONTENT[7:])}
        for name, data in forms.items():
            with self.subTest(name):
                self.server.data = data
                path = self.good(sha256(data), url=self.url + '?' + name.replace(' ', '-'))
                # Holes stay holes.
                self.assertLess(os.stat(path).st_blocks * 512, 1 << 20)
                self.requests()
                self.good(sha256(data), url=self.url + '?' + name.replace(' ', '-'))
                self.assertEqual(self.requests(), [])

    def test_nothing_compressed(self):
        for name, data in (('gzip', gzip.compress(b'')), ('bzip2', bz2.compress(b'')), ('xz', lzma.compress(b'')),
                           ('zstd', ocilayout.zstd(b'')), ('plain', b''), ('short', b'BZh9')):
            with self.subTest(name):
                self.server.data = data
                self.good(url=f'{self.url}?{name}', content=data if name == 'short' else b'')

    def test_malformed_compression(self):
        whole = {'gzip': gzip.compress(CONTENT), 'bzip2': bz2.compress(CONTENT), 'xz': lzma.compress(CONTENT),
                 'zstd': ocilayout.zstd(CONTENT)}
        for name, data in whole.items():
            flipped = bytearray(data)
            flipped[len(data) - (10 if name == 'bzip2' else 6 if name == 'gzip' else 20)] ^= 4
            cases = [('cut', data[:-5]), ('cut early', data[:50])]
            if name != 'zstd':   # the frames made here have no checksum
                cases.append(('flipped', bytes(flipped)))
            for how, broken in cases:
                with self.subTest(f'{name} {how}'):
                    self.server.data = broken
                    self.assertRegex(self.bad(name, url=f'{self.url}?{name}-{how.replace(" ", "-")}'), '^-4 ')
            with self.subTest(f'{name} with more behind it'):
                self.server.data = data + b'more than a header of anything' * 10
                self.assertRegex(self.bad(name, url=f'{self.url}?{name}-more'), '^-4 ')

    def test_memory_of_xz_is_limited(self):
        for size, good in ((64, True), (256, False)):
            self.server.data = lzma.compress(CONTENT, filters=[{'id': lzma.FILTER_LZMA2, 'dict_size': size << 20}])
            if good:
                self.good(url=f'{self.url}?{size}')
            else:
                self.bad('xz: needs more memory than the limit of 128 MiB', url=f'{self.url}?{size}')

    def test_limits(self):
        size = len(CONTENT)
        self.good('-', str(size))
        self.bad(f'more than the limit of {size - 1} bytes', '-', str(size - 1), url=self.url + '?1')
        self.server.answers['*'] = {'chunked': True}
        self.bad(f'more than the limit of {size - 1} bytes', '-', str(size - 1), url=self.url + '?2')
        self.good('-', str(size), url=self.url + '?3')
        self.server.answers.clear()
        for name, form in (('gzip', gzip.compress), ('bzip2', bz2.compress), ('xz', lzma.compress)):
            self.server.data = form(bytes(20 << 20))
            self.good('-', str(20 << 20), url=f'{self.url}?{name}', content=bytes(20 << 20))
            self.bad(f'more than the limit of {(20 << 20) - 1} bytes inflated', '-', str((20 << 20) - 1),
                     url=f'{self.url}?{name}2')

    # Failures of the server

    def test_body_that_breaks_off(self):
        self.server.answers = {0: {'cut': 1000}, 1: {'cut': 200000}, 2: {'status': 503}}
        self.good(sha256(CONTENT))
        self.assertEqual(self.requests(), [None, 'bytes=1000-', 'bytes=201000-', 'bytes=201000-'])
        self.server.data = gzip.compress(CONTENT)
        self.server.answers = {0: {'cut': 1000}}
        self.good(url=self.url + '?gz')
        self.assertEqual(self.requests(), [None, 'bytes=1000-'])

    def test_busy_server(self):
        for status in (408, 429, 500, 503):
            self.server.answers = {0: {'status': status}}
            with self.subTest(status):
                self.good(url=f'{self.url}?{status}')
                self.assertEqual(self.requests(), [None, None])
        self.server.answers = {0: {'status': 503, 'headers': {'Retry-After': '2'}}}
        before = time.monotonic()
        self.good(url=self.url + '?after')
        self.assertGreater(time.monotonic() - before, 2)

    def test_server_that_stays_busy(self):
        self.server.answers['*'] = {'status': 503}
        self.assertRegex(self.bad('after 5 tries: status 503'), '^-15 ')
        self.assertEqual(len(self.requests()), 5)

    def test_other_statuses_fail_at_once(self):
        for status, code in ((400, -15), (403, -15), (404, -6), (410, -6), (304, -15)):
            self.server.answers['*'] = {'status': status}
            with self.subTest(status):
                self.assertRegex(self.bad(f'status {status}'), f'^{code} ')
                self.assertEqual(len(self.requests()), 1)

    def test_no_server(self):
        self.assertRegex(self.bad('after 5 tries: ', url='http://127.0.0.1:1/x.raw'), '^-15 ')

    def test_redirects(self):
        def follow(n):
            return {'status': 302, 'headers': {'Location': f'/r{n}'}}
        self.server.answers = {i: follow(i) for i in range(10)}
        self.good()
        self.server.requests.clear()
        self.server.answers = {i: follow(i) for i in range(11)}
        self.bad('more than 10 redirects', url=self.url + '?x')

    def test_redirects_into_the_network_of_the_user_are_refused(self):
        port = self.server.server_port
        proxy = f'http://127.0.0.1:{port}'

        def lead(target, before=()):
            self.server.answers = {i: {'status': 302, 'headers': {'Location': to}}
                                   for i, to in enumerate([*before, target])}
            self.server.requests.clear()

        for target, words in ((f'http://127.0.0.1:{port}/x', "internal address '127.0.0.1'"),
                              (f'http://localhost:{port}/x', "internal address 'localhost'"),
                              ('http://10.1.2.3/x', 'internal address'), ('http://[fe80::1]/x', 'internal address'),
                              ('http://169.254.169.254/x', 'internal address'),
                              ('http://2852039166/x', "internal address '169.254.169.254'"),
                              ('file:///etc/passwd', 'neither https nor http'),
                              ('http://me:secret@other.example/x', 'has a user in it')):
            with self.subTest(target):
                lead(target)
                self.assertNotIn('secret', self.bad(words, url='http://images.example/x.raw', http_proxy=proxy))
                self.assertEqual(len(self.server.requests), 1)
        # Who was named by the user counts, and not who was asked last.
        lead('http://10.1.2.3/x', ['http://cdn.example/y'])
        self.bad("'images.example' has no business", url='http://images.example/x.raw', http_proxy=proxy)
        lead('http://cdn.example/y')
        self.good(url='http://images.example/x.raw', http_proxy=proxy)
        # A server of the user's own machine may.
        lead(f'http://localhost:{port}/y')
        self.good()

    # Resuming

    def killed(self, *arguments, at=150000, **answer):
        """A download of which @at bytes were kept when its process was killed."""
        hold = threading.Event()
        self.addCleanup(hold.set)
        self.server.answers = {0: {'cut': at, 'hold': hold, **answer}}
        process = subprocess.Popen(self.command(None, *arguments), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + TIMEOUT
        while not any(n.startswith('.download-') and os.path.getsize(os.path.join(self.dir, n)) == at
                      for n in (os.listdir(self.dir) if os.path.isdir(self.dir) else [])):
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
        hold.set()
        self.assertEqual(self.requests(), [None])
        self.server.answers = {}

    def test_killed_and_resumed(self):
        self.killed()
        self.assertEqual(len(self.left()), 2)
        self.good(sha256(CONTENT))
        self.assertEqual(self.requests(), ['bytes=150000-'])

    def test_killed_and_resumed_while_inflating(self):
        for data in (gzip.compress(CONTENT), lzma.compress(CONTENT), bz2.compress(CONTENT)):
            self.server.data = data
            self.killed()
            self.assertEqual(len(self.left()), 3)
            path = self.good(sha256(data))
            self.assertEqual(self.requests(), ['bytes=150000-'])
            os.unlink(path)

    def test_killed_with_all_bytes_there(self):
        # The last byte ends the download at once: it is put there when the process is gone.
        self.killed(at=len(CONTENT) - 1)
        for name in os.listdir(self.dir):
            path = os.path.join(self.dir, name)
            if os.path.getsize(path) == len(CONTENT) - 1:
                with open(path, 'ab') as kept:
                    kept.write(CONTENT[-1:])
        self.good(sha256(CONTENT))
        self.assertEqual(self.requests(), [])

    def test_changed_file_is_not_resumed(self):
        other = random.Random(7).randbytes(len(CONTENT))
        for change in ({'etag': '"two"'}, {'modified': 'Tue, 02 Jan 2024 00:00:00 GMT'}, {'etag': None},
                       {'data': other[:-1]}, {'data': other[:1000]}):
            with self.subTest(list(change)):
                self.server.data, self.server.etag = CONTENT, '"one"'
                self.server.modified = 'Mon, 01 Jan 2024 00:00:00 GMT'
                self.killed()
                self.server.data = other
                for key, value in change.items():
                    setattr(self.server, key, value)
                path = self.good(content=self.server.data)
                self.assertEqual(self.requests(), ['bytes=150000-', None])
                os.unlink(path)

    def test_without_a_validator_only_a_digest_allows_it(self):
        self.server.etag = self.server.modified = None
        self.killed()
        path = self.good()
        self.assertEqual(self.requests(), [None])
        os.unlink(path)
        self.killed(sha256(CONTENT))
        self.good(sha256(CONTENT))
        self.assertEqual(self.requests(), ['bytes=150000-'])

    def test_weak_tag_is_no_validator(self):
        self.server.etag, self.server.modified = 'W/"one"', None
        self.killed()
        self.good()
        self.assertEqual(self.requests(), [None])

    def test_server_without_ranges(self):
        self.killed()
        self.server.ranges = False
        self.good()
        self.assertEqual(self.requests(), ['bytes=150000-', None])

    def test_wrong_ranges(self):
        for text in ('bytes 1-5/6', 'bytes 150000-', 'items 150000-1/2', '', 'bytes 150000-5/x'):
            with self.subTest(text):
                self.killed()
                self.server.answers = {'*': {'headers': {'Content-Range': text}}}
                self.bad('an answer with the wrong range', kept=2)
                self.requests()
                subprocess.run(['rm', '-rf', self.dir], check=True)

    def test_file_that_changes_again_and_again(self):
        state = {'n': 0}

        def answer(_):
            state['n'] += 1
            return {'headers': {'ETag': f'"{state["n"]}"'}, 'cut': 1000}
        self.server.answers['*'] = answer
        self.assertIn('given up after 3 restarts', self.bad('is another one now'))

    def test_other_state_is_thrown_away(self):
        note = None
        for change in ({'url': 'http://other/x'}, {'boot': '0' * 36}, {'etag': 7}, {'total': -1}, None, b'\0' * 100):
            with self.subTest(change):
                self.killed()
                note, = (os.path.join(self.dir, n) for n in self.left() if n.endswith('.json'))
                if change is None:
                    os.unlink(note)
                elif isinstance(change, bytes):
                    pathlib.Path(note).write_bytes(change)
                else:
                    pathlib.Path(note).write_text(json.dumps({**json.loads(pathlib.Path(note).read_text()), **change}))
                path = self.good()
                self.assertEqual(self.requests(), [None])
                os.unlink(path)

    def test_damaged_kept_bytes_are_found_by_the_digest(self):
        self.killed(sha256(CONTENT))
        part, = (os.path.join(self.dir, n) for n in self.left() if not n.endswith('.json'))
        with open(part, 'r+b') as f:
            f.write(b'damage')
        self.bad('expected is sha256:', sha256(CONTENT))
        self.good(sha256(CONTENT))

    def test_old_state_of_others_is_swept(self):
        self.killed()
        for name in self.left():
            os.utime(os.path.join(self.dir, name), (time.time() - 8 * 86400,) * 2)
        self.good(url=self.url + '?other')
        self.requests()
        self.killed()
        for name in self.left():
            os.utime(os.path.join(self.dir, name), (time.time() - 6 * 86400,) * 2)
        self.good(url=self.url + '?another', kept=2)

    # Progress, cancelling, several at once

    def test_progress(self):
        self.good(DISK_TOOL_PROGRESS='1')
        lines = [line.split() for line in self.log.splitlines()]
        self.assertTrue(all(line[0] == 'progress' and line[1] == '3' and line[3] == self.url for line in lines))
        done = [int(line[2].split('/')[0]) for line in lines]
        self.assertEqual((done[0], done[-1], done), (0, len(CONTENT), sorted(done)))
        self.assertEqual(lines[-1][2], f'{len(CONTENT)}/{len(CONTENT)}')

    def test_cancelled_and_resumed(self):
        hold = threading.Event()
        self.addCleanup(hold.set)
        self.server.answers = {0: {'cut': 200000, 'hold': hold}}
        start = time.monotonic()
        self.bad('cancelled', kept=2, DISK_TOOL_CANCEL='100000')
        took = time.monotonic() - start
        print(f'# test_cancelled_and_resumed: {took * 1000:.0f} ms from the start to the end')
        self.assertLess(took, 2)
        self.good()
        self.assertRegex(self.requests()[1], r'^bytes=\d{6}-$')

    def test_two_at_once_download_once(self):
        hold = threading.Event()
        self.server.answers = {0: {'cut': len(CONTENT) - 1, 'hold': hold}}
        both = [subprocess.Popen(self.command(None), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
                for _ in range(2)]
        time.sleep(0.5)
        hold.set()
        paths = {p.communicate(timeout=TIMEOUT)[0] for p in both}
        self.assertEqual([p.returncode for p in both], [0, 0])
        self.assertEqual(len(paths), 1)
        self.assertEqual(self.requests(), [None, f'bytes={len(CONTENT) - 1}-'])
        self.assertEqual(self.left(), [])

    def test_full_disk(self):
        if os.getuid() != 0:
            self.skipTest('mounts a small file system')
        os.makedirs(self.dir)
        subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=1m', 'none', self.dir], check=True)
        self.addCleanup(subprocess.run, ['umount', self.dir])
        self.assertRegex(self.bad('No space left on device'), '^-2 ')


if __name__ == '__main__':
    tap.main()
