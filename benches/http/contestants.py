"""Who is compared, and how each is started. Only accrue logs and counts requests."""

import pathlib
import secrets
from dataclasses import dataclass, field

import build
from process import Process

ACCRUE_CONFIG = """
admin = "127.0.0.1:0"                   # so that metrics are counted

[authenticate.header]
name         = "x-client-id"
proxy_secret = "{proxy_secret}"

[permission.rules]
"chat:*" = ["subscribe", "publish"]
"""

OTHERS = ("axum", "express", "fastapi")


@dataclass
class Settings:
    """Fresh for every run; and the nonces that were seen in it."""

    ably_key: str = field(default_factory=lambda: f"appId.keyId:{secrets.token_urlsafe(24)}")
    proxy_secret: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    sealing_secret: str = field(default_factory=lambda: f"k1:{secrets.token_urlsafe(32)}")
    cookie_secret: str = field(default_factory=lambda: secrets.token_urlsafe(48))
    nonces: set = field(default_factory=set)


class Contestants:
    def __init__(self, folder, settings):
        self.folder = folder
        self.key = {"ABLY_API_KEY": settings.ably_key}
        self.sealing = {"ACCRUE_SECRETS": settings.sealing_secret}
        self.secrets = self.key | {"COOKIE_SECRET": settings.cookie_secret, "PROXY_SECRET": settings.proxy_secret}
        self.config = folder / "accrue.toml"
        self.config.write_text(ACCRUE_CONFIG.format(proxy_secret=settings.proxy_secret))

    def accrue(self):
        argv = [build.ACCRUE, "serve", "--config", self.config, "--listen", "127.0.0.1:{port}"]
        return self._start(argv, self.key | self.sealing)

    def floor(self, answer):
        """Gives this one answer, whatever it is asked. It has read the file once it listens."""
        file = self.folder / "answer"
        file.write_bytes(answer.raw)
        return self._start([build.PROGRAMS / "floor", file], {})

    def axum(self):
        return self._start([build.PROGRAMS / "axum_jar"], self.secrets)

    def express(self):
        return self._start([build.NODE, build.HERE / "express/server.mjs"], self.secrets | {"NODE_ENV": "production"})

    def fastapi(self):
        options = "--host 127.0.0.1 --port {port} --loop uvloop --http httptools --no-access-log --log-level warning"
        argv = [build.FASTAPI_PYTHON, "-m", "uvicorn", "server:app", "--app-dir", build.HERE / "fastapi"]
        return self._start([*argv, *options.split()], self.secrets)

    def _start(self, argv, env):
        return Process(argv, env, self.folder / f"{pathlib.Path(argv[0]).name}.log")
