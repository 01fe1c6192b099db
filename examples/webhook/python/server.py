"""What accrue's permission webhook asks, answered with Python's standard library (3.10 or newer).

    WEBHOOK_BEARER=TOKEN python3 server.py

In accrue.toml, under [permission.webhook]: url = "http://127.0.0.1:3000/ably/permissions", bearer = "TOKEN".
"""

import hmac
import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

AUTHORIZATION = f"Bearer {os.environ['WEBHOOK_BEARER']}".encode()
ROOMS = {"alice": ["chat:1", "chat:2"], "bob": ["chat:1"]}
OPERATIONS = ["subscribe", "publish", "presence", "history"]
BARRED = ["mallory"]


def answer(client_id, asked):
    """Whole names are compared, so that who asks for chat:* gets it only where it is listed; * likewise."""
    if client_id in BARRED:
        return {"barred": True}
    everything = {room: OPERATIONS for room in ROOMS.get(client_id, [])}
    if asked is None:
        return {"granted": everything}
    granted = {room: [one for one in asked[room] if one in OPERATIONS] for room in everything if room in asked}
    return {"granted": {room: operations for room, operations in granted.items() if operations}}


class Webhook(BaseHTTPRequestHandler):
    timeout = 5

    def do_POST(self):
        length = self.headers.get("Content-Length", "0")
        if not (length.isdecimal() and int(length) <= 1_000_000):
            return self.reply(413)
        body = self.rfile.read(int(length))
        if self.path != "/ably/permissions":
            return self.reply(404)
        if not hmac.compare_digest(self.headers.get("Authorization", "").encode(), AUTHORIZATION):
            return self.reply(401)
        try:
            question = json.loads(body)
        except ValueError:
            return self.reply(400)
        match question:
            case {"clientId": str(client_id), "asked": dict() | None as asked}:
                self.reply(200, answer(client_id, asked))
            case _:
                self.reply(400)

    def reply(self, status, content=None):
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


server = ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", 3000))), Webhook)
print(f"listening on http://127.0.0.1:{server.server_port}", flush=True)
server.serve_forever()
