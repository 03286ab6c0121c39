"""A real S3 server (moto's, in a process of its own), and a proxy that spoils its answers."""

import http.client
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SERVER = """
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
input()
"""
SECRET = "wJalrXUtnFEMI-a-secret-of-the-test"
ERRORS = {"503": "SlowDown", "403": "AccessDenied", "404": "NoSuchBucket"}
HOP = ("connection", "expect", "transfer-encoding")  # of one connection, not of the message
Fault = Callable[[str, str], str | None]  # method, path -> one of ERRORS, cut, slow, or nothing


def environment(port: int) -> dict[str, str]:
    """What a client of the server needs in its environment."""
    return {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


@contextmanager
def s3_server() -> Iterator[int]:
    """A server without any bucket: its port."""
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    command = [sys.executable, "-W", "ignore", "-c", SERVER]
    with subprocess.Popen(
        command, **pipes, stderr=subprocess.DEVNULL, env={**os.environ, **environment(0)}
    ) as process:
        try:
            yield int(process.stdout.readline())
        finally:
            process.kill()


def ask(port: int, method: str, path: str) -> int:
    """One plain request, as making a bucket is; its status."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    headers = {
        "Authorization": "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request"
    }
    try:
        connection.request(method, path, headers=headers)
        return connection.getresponse().status
    finally:
        connection.close()


@contextmanager
def spoiling_proxy(port: int, fault: Fault) -> Iterator[int]:
    """A proxy before the server whose answers `fault` spoils: its port."""

    class Handler(Spoiling):
        server_port, spoil = port, staticmethod(fault)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Spoiling(BaseHTTPRequestHandler):
    """Passes a request on and its answer back, unless a fault is asked for."""

    protocol_version = "HTTP/1.1"
    server_port = 0
    spoil: Fault

    def answer(self) -> None:
        """One request."""
        kind = type(self).spoil(self.command, self.path)
        body = self.body()
        if kind in ERRORS:
            text = f"<Error><Code>{ERRORS[kind]}</Code><Message>as asked</Message></Error>"
            self.send(int(kind), {"Content-Type": "application/xml"}, text.encode(), "")
            return
        if kind == "cut" and self.command == "PUT":
            self.close_connection = True  # the request came, its answer does not
            return
        connection = http.client.HTTPConnection("127.0.0.1", type(self).server_port, timeout=60)
        kept = {k: v for k, v in self.headers.items() if k.lower() not in HOP}
        connection.request(self.command, self.path, body, kept)
        found = connection.getresponse()
        data, headers = found.read(), dict(found.getheaders())
        connection.close()
        self.send(found.status, headers, data, kind or "")

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = answer

    def body(self) -> bytes:
        """The request's body, whole or in chunks."""
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        pieces = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return b"".join(pieces)

    def send(self, status: int, headers: dict[str, str], data: bytes, kind: str) -> None:
        """An answer, cut in the middle or one byte after another."""
        headers.setdefault("Content-Length", str(len(data)))
        self.send_response_only(status)
        for name, value in headers.items():
            if name.lower() not in HOP:
                self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        try:
            if kind == "cut" and data:
                self.wfile.write(data[: len(data) // 2])
                self.close_connection = True
            elif kind == "slow":
                for byte in data:
                    self.wfile.write(bytes([byte]))
                    self.wfile.flush()
                    time.sleep(0.05)
            else:
                self.wfile.write(data)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def log_message(self, *_: Any) -> None:
        """Nothing: the test's output is its own."""
