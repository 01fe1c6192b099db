"""As much of HTTP as asking for a token takes, and the request that is measured."""

import json
from dataclasses import dataclass
from urllib.parse import quote

CLIENT = "alice"
WISH = {"chat:NEW": ["subscribe"]}


def channels(n):
    return {f"chat:room-{i:04}": ["publish", "subscribe"] for i in range(1, n + 1)}


def target(wish):
    if wish is None:
        return "/auth"
    return "/auth?capability=" + quote(json.dumps(wish, separators=(",", ":")), safe="")


def headers(proxy_secret, cookies, client=CLIENT):
    """What the reverse proxy in front would send on."""
    lines = {"x-client-id": client, "x-proxy-secret": proxy_secret}
    if cookies:
        lines["cookie"] = "; ".join(f"{name}={value}" for name, value in cookies.items())
    return lines


@dataclass
class Answer:
    raw: bytes
    status: int
    headers: list
    body: bytes

    def values(self, name):
        return [value for key, value in self.headers if key == name]

    def cookies_on(self, cookies):
        """What a browser that had these has now."""
        kept = dict(cookies)
        for line in self.values("set-cookie"):
            (name, value), attributes = line.split(";")[0].split("=", 1), line.lower()
            if "max-age=0" in attributes.split("; "):
                kept.pop(name, None)
            else:
                kept[name] = value
        return kept


def send(connection, path, lines):
    host, port = connection.getpeername()
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    connection.sendall(f"GET {path} HTTP/1.1\r\nhost: {host}:{port}\r\n{head}\r\n".encode())


def receive(connection):
    raw = b""
    while (end := raw.find(b"\r\n\r\n")) < 0:
        raw += _more(connection)
    first, *rest = raw[:end].decode("latin-1").split("\r\n")
    fields = [(name.lower(), value) for name, value in (line.split(": ", 1) for line in rest)]
    length = int(dict(fields)["content-length"])
    while len(raw) < end + 4 + length:
        raw += _more(connection)
    return Answer(raw, int(first.split()[1]), fields, raw[end + 4 :])


def _more(connection):
    some = connection.recv(65536)
    if not some:
        raise SystemExit("a server closed the connection instead of answering")
    return some


def ask(process, path, lines):
    with process.connect() as connection:
        send(connection, path, lines)
        return receive(connection)
