"""net: a network tool that talks to its twin in C (guests/native/net.c), verb by verb the same.

    serve PORT [CONNECTIONS]     echo server on IPv4 and IPv6; after a client's last byte it adds "crc32 XXXXXXXX\\n";
                                 ends after so many connections, else never
    ask HOST PORT TEXT           sends one line, prints what comes back
    bulk HOST PORT BYTES         sends pseudo-random bytes, compares what comes back, both with their checksum
    many HOST PORT COUNT         opens all connections first, then speaks on each
    udp-serve PORT [DATAGRAMS]   echo server            udp-ask HOST PORT TEXT   asks again until it answers
    resolve NAME                 addresses, one per line
    http-get URL [PATH]          prints the body, or writes it to PATH

Clients try for a minute to find a server that listens, since members of a Pod start side by side. Every failure is
one line on standard error and exit status 1.
"""

import encodings.idna  # noqa: F401: only modules imported at build time are in the component
import select
import socket
import sys
import time
import zlib

import wit_world.exports

BLOCK = 1 << 18
PATIENCE = 60


def say(text):
    print(text, flush=True)


def connect(host, port):
    """The first address that answers, as a person would try them."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return socket.create_connection((host, port))
        except (ConnectionRefusedError, socket.gaierror):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def read_all(link):
    parts = []
    while part := link.recv(BLOCK):
        parts.append(part)
    return b"".join(parts)


class Echo:
    """One connection of the server: what was read and not yet sent back, and the checksum of it all."""

    def __init__(self, link):
        link.setblocking(False)
        self.link, self.pending, self.checksum, self.ended = link, memoryview(b""), 0, False

    def fileno(self):
        return self.link.fileno()

    def read(self):
        data = self.link.recv(BLOCK)
        self.checksum = zlib.crc32(data, self.checksum)
        if not data:
            self.ended = True
            data = b"crc32 %08x\n" % self.checksum
        self.pending = memoryview(data)

    def write(self):
        """True when the last byte has gone."""
        self.pending = self.pending[self.link.send(self.pending) :]
        return self.ended and not self.pending


def listen(port, kind=socket.SOCK_STREAM):
    """One socket per family: WASI has none that takes both."""
    sockets = []
    for family, address in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
        server = socket.socket(family, kind)
        server.bind((address, port))
        if kind == socket.SOCK_STREAM:
            server.listen(128)
        server.setblocking(False)
        sockets.append(server)
    say(f"listening on {port}")
    return sockets


def step(connection, action):
    """Whether the connection is over. One that breaks ends alone."""
    try:
        return bool(action())
    except BlockingIOError:
        return False
    except OSError as reason:
        print(f"connection lost: {reason}", file=sys.stderr, flush=True)
        return True


def serve(port, count=None):
    servers, connections = listen(int(port)), set()
    left = int(count) if count else None
    while left is None or left > 0 or connections:
        accepting = servers if left is None or left > 0 else []
        idle = [each for each in connections if not each.pending]
        busy = [each for each in connections if each.pending]
        readable, writable, _ = select.select(accepting + idle, busy, [])
        over = [each for each in readable if each not in servers and step(each, each.read)]
        over += [each for each in writable if step(each, each.write)]
        for each in over:
            each.link.close()
            connections.discard(each)
        for server in readable:
            if server in servers and (left is None or left > 0):
                connections.add(Echo(server.accept()[0]))
                left = left - 1 if left is not None else None


def ask(host, port, text):
    with connect(host, int(port)) as link:
        link.sendall(text.encode() + b"\n")
        link.shutdown(socket.SHUT_WR)
        say(read_all(link).decode().rstrip("\n"))


def noise(length):
    """A block whose bytes repeat at no short distance; the same in every run."""
    state, out = 0x9E3779B9, bytearray()
    while len(out) < length:
        state = zlib.crc32(state.to_bytes(8, "little"), state)
        out += zlib.crc32(out[-4:], state).to_bytes(4, "little")
    return bytes(out[:length])


def outgoing(total):
    """`total` bytes: one block of noise, started at a different place each time."""
    block, sent, turn = noise(BLOCK), 0, 0
    while sent < total:
        start = turn * 4099 % BLOCK
        part = (block[start:] + block[:start])[: total - sent]
        yield part
        sent, turn = sent + len(part), turn + 1


def bulk(host, port, count):
    total = int(count)
    with connect(host, int(port)) as link:
        link.setblocking(False)
        parts, pending, sent, tail = outgoing(total), memoryview(b""), 0, b""
        received, ours, theirs = 0, 0, 0
        writing = True
        while True:
            if writing and not pending:
                part = next(parts, b"")
                ours = zlib.crc32(part, ours)
                pending = memoryview(part)
                if not part:
                    link.shutdown(socket.SHUT_WR)
                    writing = False
            readable, writable, _ = select.select([link], [link] if writing else [], [])
            if writable:
                try:
                    count = link.send(pending)
                    pending, sent = pending[count:], sent + count
                except BlockingIOError:
                    pass
            if readable:
                try:
                    data = link.recv(BLOCK)
                except BlockingIOError:
                    continue
                if not data:
                    break
                body = data[: max(0, total - received)]
                theirs = zlib.crc32(body, theirs)
                received += len(body)
                tail += data[len(body) :]
    expected = b"crc32 %08x\n" % ours
    if received != total or theirs != ours or tail != expected:
        raise OSError(f"sent {sent} bytes, crc32 {ours:08x}; got {received}, crc32 {theirs:08x}, then {tail!r}")
    say(f"{total} bytes there and back, crc32 {ours:08x}")


def many(host, port, count):
    links = [connect(host, int(port)) for _ in range(int(count))]
    for number, link in enumerate(links):
        link.sendall(b"connection %d\n" % number)
        link.shutdown(socket.SHUT_WR)
    for number, link in reversed(list(enumerate(links))):
        line = b"connection %d\n" % number
        expected = line + b"crc32 %08x\n" % zlib.crc32(line)
        got = read_all(link)
        if got != expected:
            raise OSError(f"connection {number}: {got!r} instead of {expected!r}")
        link.close()
    say(f"{count} connections at once, all answered")


def udp_serve(port, count=None):
    servers, left = listen(int(port), socket.SOCK_DGRAM), int(count) if count else None
    while left is None or left > 0:
        for server in select.select(servers, [], [])[0]:
            data, sender = server.recvfrom(65536)
            server.sendto(data, sender)
            left = left - 1 if left is not None else None


def udp_ask(host, port, text):
    family, _, _, _, address = socket.getaddrinfo(host, int(port))[0]
    with socket.socket(family, socket.SOCK_DGRAM) as link:
        link.connect(address)
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            try:
                link.send(text.encode())
                if select.select([link], [], [], 0.2)[0]:
                    return say(link.recv(65536).decode())
            except ConnectionRefusedError:
                time.sleep(0.05)
    raise OSError(f"no answer from {host} {port}")


def resolve(name):
    found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    for address in dict.fromkeys(entry[4][0] for entry in found):
        say(address)


def http_get(url, path=None):
    """HTTP/1.0 by hand: one request, one answer, the connection's end is the body's end."""
    authority, _, target = url.removeprefix("http://").partition("/")
    host, _, port = authority.rpartition(":") if ":" in authority.split("]")[-1] else (authority, "", "80")
    with connect(host.strip("[]"), int(port)) as link:
        link.sendall(f"GET /{target} HTTP/1.0\r\nHost: {authority}\r\n\r\n".encode())
        head, _, body = read_all(link).partition(b"\r\n\r\n")
    status = head.split(b"\r\n")[0].decode()
    if " 200" not in status:
        raise OSError(f"{url}: {status}")
    if path is None:
        return say(body.decode().rstrip("\n"))
    with open(path, "wb") as file:
        file.write(body)
    say(f"{len(body)} bytes written to {path}")


VERBS = {
    "serve": serve,
    "ask": ask,
    "bulk": bulk,
    "many": many,
    "udp-serve": udp_serve,
    "udp-ask": udp_ask,
    "resolve": resolve,
    "http-get": http_get,
}


class Run(wit_world.exports.Run):
    def run(self):
        verb = VERBS.get(sys.argv[1] if len(sys.argv) > 1 else "")
        if verb is None:
            sys.exit(f"verbs: {', '.join(VERBS)}")
        try:
            verb(*sys.argv[2:])
        except (OSError, TypeError) as reason:
            sys.exit(f"{sys.argv[1]}: {reason}")
