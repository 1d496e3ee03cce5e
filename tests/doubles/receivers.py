"""Receivers of copies, as real as SIEMs have them: syslog on every transport, and an HTTP server."""

from __future__ import annotations

import datetime
import json
import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


class Frames:
    """Takes octet-counted frames apart (RFC 6587 section 3.4.1), as they come in pieces."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, chunk: bytes) -> list[bytes]:
        self._rest += chunk
        found = []
        while b" " in self._rest:
            length, _, rest = self._rest.partition(b" ")
            if len(rest) < int(length):
                break
            found.append(rest[: int(length)])
            self._rest = rest[int(length) :]
        return found


class SyslogReceiver:
    """Listens on loopback for syslog over TCP, or TLS with `context`. `stop` ends it, `start` begins anew."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.messages: list[bytes] = []
        self.connections = 0
        self.reading = threading.Event()
        self.reading.set()
        self._context = context
        self._open: list[socket.socket] = []
        self.port = 0
        self.start()

    def start(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", self.port))
        self.port = self._listening.getsockname()[1]
        self._stopped = False
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop listening and break every connection."""
        self._stopped = True
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for each in self._open:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        self._open.clear()
        self._thread.join(5.0)

    def _accept(self) -> None:
        while not self._stopped:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._read, args=(connection,), daemon=True).start()

    def _read(self, connection: socket.socket) -> None:
        frames = Frames()
        try:
            if self._context is not None:
                connection = self._context.wrap_socket(connection, server_side=True)
            self._open.append(connection)
            while True:
                self.reading.wait()
                chunk = connection.recv(65_536)
                if not chunk:
                    break
                self.messages += frames.feed(chunk)
        except (OSError, ValueError):
            pass
        finally:
            connection.close()


class HttpReceiver:
    """Takes POSTs on loopback. `answer` decides the status from the number of the post and its body."""

    def __init__(self, answer: Callable[[int, bytes], int] | None = None, body: bytes = b"") -> None:
        self.posts: list[tuple[dict[str, str], bytes]] = []
        self.statuses: list[int] = []
        decide = answer or (lambda number, said: 200)
        outer = self

        class Posts(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                said = self.rfile.read(int(self.headers["Content-Length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                outer.posts.append((headers, said))
                status = decide(len(outer.posts), said)
                outer.statuses.append(status)
                with suppress(OSError):
                    self.send_response(status)
                    self.send_header("Content-Length", str(len(body)))
                    self.send_header("Content-Type", "application/json")
                    self.end_headers()
                    self.wfile.write(body)

            def log_message(self, *arguments: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Posts)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/in?key=canary-of-the-url"

    def entries(self) -> list[dict[str, Any]]:
        """Return what was taken: of the posts that were answered with success."""
        taken = [said for (_, said), status in zip(self.posts, self.statuses, strict=False) if status < 300]
        return [entry for said in taken for entry in json.loads(said)["entries"]]

    def logs(self) -> list[dict[str, Any]]:
        """Return the log records that were posted, of OpenTelemetry."""
        found: list[dict[str, Any]] = []
        for _, said in self.posts:
            found += json.loads(said)["resourceLogs"][0]["scopeLogs"][0]["logRecords"]
        return found

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5.0)


def authority(directory: Path) -> tuple[Path, ssl.SSLContext]:
    """Make a throw-away CA and a certificate of it for 127.0.0.1; return the CA's file and a server's context."""
    now = datetime.datetime.now(datetime.UTC)
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a CA of the tests")])
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a receiver")])

    def certificate(subject: x509.Name, public: Any, *, ca: bool) -> x509.Certificate:
        usage = x509.KeyUsage(digital_signature=True, content_commitment=False, key_encipherment=False, data_encipherment=False, key_agreement=False, key_cert_sign=ca, crl_sign=ca, encipher_only=False, decipher_only=False)  # fmt: skip
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(ca_name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(
                x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
            )
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False
            )
            .sign(ca_key, hashes.SHA256())
        )

    pem = serialization.Encoding.PEM
    ca_file, chain, key_file = directory / "ca.pem", directory / "chain.pem", directory / "key.pem"
    ca_file.write_bytes(certificate(ca_name, ca_key.public_key(), ca=True).public_bytes(pem))
    chain.write_bytes(certificate(name, key.public_key(), ca=False).public_bytes(pem))
    key_file.write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key_file)
    return ca_file, context
