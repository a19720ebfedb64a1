# SPDX-License-Identifier: Apache-2.0
"""A proxy on loopback that knows names of its own: GET of absolute URLs, and CONNECT."""
import http.client
import http.server
import select
import socket
import threading
import urllib.parse


class Proxy:
    """@names: "host:port" to the loopback port that is meant. seen: (method, target, headers) of all that came."""

    def __init__(self, names):
        self.names = names
        self.seen = []
        proxy = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                proxy.seen.append(('GET', self.path, dict(self.headers)))
                url = urllib.parse.urlsplit(self.path)
                port = proxy.names.get(f'{url.hostname}:{url.port or 80}')
                if not port:
                    self.send_error(502)
                    return
                there = http.client.HTTPConnection('127.0.0.1', port, timeout=30)
                there.request('GET', url.path, headers={k: v for k, v in self.headers.items()
                                                        if not k.lower().startswith('proxy-')})
                answer = there.getresponse()
                body = answer.read()
                self.send_response(answer.status)
                for name, value in answer.getheaders():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)
                there.close()

            def do_CONNECT(self):
                proxy.seen.append(('CONNECT', self.path, dict(self.headers)))
                port = proxy.names.get(self.path)
                if not port:
                    self.send_error(502)
                    return
                with socket.create_connection(('127.0.0.1', port)) as there:
                    self.send_response(200)
                    self.end_headers()
                    self.relay(there)

            def relay(self, there):
                ends = {self.connection: there, there: self.connection}
                while True:
                    for ready in select.select(list(ends), [], [], 30)[0]:
                        data = ready.recv(1 << 16)
                        if not data:
                            return
                        ends[ready].sendall(data)

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_):
                pass    # peers go away at any time

        self.server = Server(('127.0.0.1', 0), Handler)
        self.url = f'http://127.0.0.1:{self.server.server_address[1]}'
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={'poll_interval': 0.05}, daemon=True)
        self.thread.start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()
