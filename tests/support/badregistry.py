# SPDX-License-Identifier: Apache-2.0
"""A registry on loopback that is right by default and wrong wherever a test says so."""
import http.server
import json
import re
import ssl
import threading
import time
import warnings


class BadRegistry:
    """Serves @blobs by digest and @tags (name to bytes and media type) of any repository.

    hooks: a list of (regular expression of the path, function(handler) or None to be right after all). A function
    answers itself; the first that matches is taken. requests: (path, headers) of all that came; bodies: of those that
    were POSTs. With @tls, a pair of certificate and key, it speaks https; @client_ca then wants a certificate back,
    and @version is the only one of TLS that it knows.
    """

    def __init__(self, blobs=None, tags=None, tls=None, client_ca=None, version=None):
        self.blobs = blobs or {}
        self.tags = tags or {}
        self.hooks = []
        self.requests = []
        self.bodies = []
        registry = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = 'HTTP/1.1'

            def do_GET(self):
                registry.requests.append((self.path, dict(self.headers)))
                for pattern, hook in registry.hooks:
                    if re.search(pattern, self.path) and hook(self) is not False:
                        return
                registry.serve(self)

            def do_POST(self):
                registry.bodies.append(self.rfile.read(int(self.headers['Content-Length'])).decode())
                self.do_GET()

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_):
                pass    # clients that are cancelled go away at any time

        self.server = Server(('127.0.0.1', 0), Handler)
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            if version:
                # An old version has signatures that the library's usual level of security refuses.
                context.set_ciphers('DEFAULT:@SECLEVEL=0')
                with warnings.catch_warnings():
                    warnings.simplefilter('ignore')     # old versions are deprecated
                    context.minimum_version = context.maximum_version = version
            if client_ca:
                context.verify_mode = ssl.CERT_REQUIRED
                context.load_verify_locations(client_ca)
            # The handshake is the connection's thread's, so that one that hangs holds up nobody.
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True,
                                                     do_handshake_on_connect=False)
        self.port = self.server.server_address[1]
        self.address = f'127.0.0.1:{self.port}'
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={'poll_interval': 0.05}, daemon=True)
        self.thread.start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def serve(self, handler):
        path = re.sub('^http://[^/]+', '', handler.path)    # as a proxy is asked
        match = re.fullmatch(r'/v2/(?:(.+)/(manifests|blobs)/([^/?]+))?', path.split('?')[0])
        if not match:
            answer(handler, 404)
        elif not match[1]:
            answer(handler, 200, b'{}')
        elif match[2] == 'manifests' and match[3] in self.tags:
            data, media_type = self.tags[match[3]]
            answer(handler, 200, data, {'Content-Type': media_type})
        elif match[2] == 'manifests' and match[3] in self.blobs:
            data = self.blobs[match[3]]
            answer(handler, 200, data, {'Content-Type': json.loads(data).get('mediaType', '')})
        elif match[2] == 'blobs' and match[3] in self.blobs:
            answer(handler, 200, self.blobs[match[3]])
        else:
            answer(handler, 404, errors('MANIFEST_UNKNOWN', 'no such thing'))

    def count(self, pattern):
        return sum(1 for path, _ in self.requests if re.search(pattern, path))


def errors(code, message):
    return json.dumps({'errors': [{'code': code, 'message': message}]}).encode()


def answer(handler, status, body=b'', headers=None, length=None):
    handler.send_response(status)
    for name, value in (headers or {}).items():
        for one in value if isinstance(value, list) else [value]:
            handler.send_header(name, one)
    handler.send_header('Content-Length', str(len(body) if length is None else length))
    handler.end_headers()
    handler.wfile.write(body)
    if length is not None and length != len(body):
        handler.close_connection = True


def always(status, body=b'', **headers):
    return lambda handler: answer(handler, status, body, {k.replace('_', '-'): v for k, v in headers.items()})


def first(times, hook):
    """Is wrong that many times, then right."""
    left = [times]

    def once(handler):
        left[0] -= 1
        return hook(handler) if left[0] >= 0 else False
    return once


def slowly(body, seconds):
    """A hook that sends @body piece by piece within so many seconds."""
    def send(handler):
        handler.send_response(200)
        handler.send_header('Content-Length', str(len(body)))
        handler.end_headers()
        step = max(1, len(body) // 20)
        for i in range(0, len(body), step):
            handler.wfile.write(body[i:i + step])
            handler.wfile.flush()
            time.sleep(seconds / 20)
    return send
