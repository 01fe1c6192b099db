"""That every contestant does the whole work, and does it right, before anything is measured."""

import base64
import hashlib
import hmac
import json
import re
import time
from dataclasses import dataclass

from client import CLIENT, WISH, Answer, ask, channels, headers, target

MEMBERS = ["keyName", "ttl", "capability", "clientId", "timestamp", "nonce", "mac"]


@dataclass
class Load:
    """The request that is measured, and the answer to it."""

    path: str
    headers: dict
    answer: Answer


class Checks:
    def __init__(self, name, process, settings):
        self.name, self.process, self.settings = name, process, settings

    def load(self, n):
        """Goes through a client's whole story with `n` channels."""
        held, wish = channels(n), WISH
        first = self.ask(held)
        self.expect(self.token(first) == held, "the first token is not for what was asked")
        self.expect(first.values("set-cookie"), "no cookie is set")
        cookies = first.cookies_on({})

        answer = self.ask(wish, cookies)
        self.expect(self.token(answer) == held | wish, "the token is not for what is held and the wish")
        self.expect(answer.values("set-cookie"), "the cookie is not set anew")
        renewed = answer.cookies_on(cookies)
        self.expect(renewed != cookies, "the cookie is the old one")
        for name, value in renewed.items():
            self.expect(len(name) + len(value) <= 4096, "the cookie is longer than browsers keep")
        self.expect(self.token(self.ask(None, renewed)) == held | wish, "the new cookie has not all that is held")

        self.expect(self.token(self.ask({"private:1": ["subscribe"]}, cookies)) == held, "private:1 is granted")
        more = {"chat:NEW": ["history", "subscribe"]}
        self.expect(self.token(self.ask(more, cookies)) == held | wish, "history is granted")
        self.expect(self.ask(None).status != 200, "a token for nothing at all")
        self.expect(self.token(self.ask(wish, cookies, client="carol"), "carol") == wish, "carol has what alice holds")
        for name, value in cookies.items():
            for at in (0, len(value) // 2, len(value) - 1):
                changed = cookies | {name: value[:at] + ("A" if value[at] != "A" else "B") + value[at + 1 :]}
                self.expect(self.token(self.ask(wish, changed)) == wish, f"a cookie changed at {at} still counts")
        guess = "x" * len(self.settings.proxy_secret)
        self.expect(self.ask(wish, cookies, proxy_secret=guess).status == 401, "a wrong proxy's secret will do")
        return Load(target(wish), headers(self.settings.proxy_secret, cookies), answer)

    def same(self, load):
        """The floor's answer is accrue's, byte for byte; only that it is sent at another time."""
        answer = ask(self.process, load.path, load.headers)
        self.expect(undated(answer.raw) == undated(load.answer.raw), "the answer is not accrue's")

    def ask(self, wish, cookies=None, client=CLIENT, proxy_secret=None):
        lines = headers(proxy_secret or self.settings.proxy_secret, cookies, client)
        return ask(self.process, target(wish), lines)

    def token(self, answer, client=CLIENT):
        """The capability of a TokenRequest that Ably would accept."""
        self.expect(answer.status == 200, f"status {answer.status}: {answer.body[:500]!r}")
        token = json.loads(answer.body)
        self.expect(sorted(token) == sorted(MEMBERS), f"the token request has {sorted(token)}")
        name, secret = self.settings.ably_key.split(":")
        text = "".join(f"{token[member]}\n" for member in MEMBERS[:-1])
        mac = base64.b64encode(hmac.digest(secret.encode(), text.encode(), hashlib.sha256)).decode()
        self.expect(token["mac"] == mac, "the mac is wrong")
        self.expect(token["keyName"] == name, "the key is another")
        self.expect(token["clientId"] == client, "the client is another")
        self.expect(len(token["nonce"]) >= 16, "the nonce is short")
        self.expect(token["nonce"] not in self.settings.nonces, "the nonce is an old one")
        self.settings.nonces.add(token["nonce"])
        self.expect(abs(token["timestamp"] / 1000 - time.time()) < 60, "the timestamp is not the time")
        self.expect(0 < token["ttl"] <= 3_600_000, "the ttl is not an hour at most")
        capability = json.loads(token["capability"])
        return {resource: sorted(operations) for resource, operations in capability.items()}

    def expect(self, condition, otherwise):
        if not condition:
            raise SystemExit(f"{self.name}: {otherwise}")


def undated(raw):
    return re.sub(rb"\r\ndate: [^\r]+", b"\r\ndate", raw)
