"""The same endpoint as somebody would write it with FastAPI: a signed cookie keeps what a client was granted."""

import base64
import hashlib
import hmac
import json
import os
from typing import Annotated

from ably import AblyRest
from fastapi import Cookie, FastAPI, Header
from fastapi.responses import JSONResponse

COOKIE = "__Host-granted"
COOKIE_LIFE_SECONDS = 16 * 60 * 60
COOKIE_SECRET = os.environ["COOKIE_SECRET"].encode()
PROXY_SECRET = os.environ["PROXY_SECRET"].encode()
TTL_MS = 60 * 60 * 1000
OPERATIONS = {"subscribe", "publish"}

ably = AblyRest(key=os.environ["ABLY_API_KEY"])
app = FastAPI(openapi_url=None)


@app.get("/auth")
async def auth(
    x_client_id: Annotated[str, Header()] = "",
    x_proxy_secret: Annotated[str, Header()] = "",
    capability: str | None = None,
    granted: Annotated[str, Cookie(alias=COOKIE)] = "",
):
    if not hmac.compare_digest(x_proxy_secret.encode(), PROXY_SECRET) or not x_client_id:
        return refusal(401, 40100, "not authenticated")
    rights = held(granted, x_client_id)
    if capability:
        try:
            wish = json.loads(capability)
            for resource, operations in wish.items():
                if allowed := permitted(resource, operations):
                    rights[resource] = sorted({*rights.get(resource, []), *allowed})
        except (ValueError, TypeError, AttributeError):
            return refusal(400, 40000, "capability is malformed")
    if not rights:
        return refusal(401, 40160, "nothing is permitted")

    token = await ably.auth.create_token_request({"client_id": x_client_id, "capability": rights, "ttl": TTL_MS})
    response = JSONResponse(token.to_dict(), headers={"cache-control": "no-store"})
    text = f"{x_client_id}:{json.dumps(rights, separators=(',', ':'))}"
    response.set_cookie(
        COOKIE, sealed(text), max_age=COOKIE_LIFE_SECONDS, path="/", secure=True, httponly=True, samesite="strict"
    )
    return response


def held(cookie: str, client_id: str) -> dict[str, list[str]]:
    """A cookie is worth nothing to another client, nor changed."""
    encoded, _, received = cookie.partition(".")
    if not hmac.compare_digest(received.encode(), digest(encoded).encode()):
        return {}
    text = base64.urlsafe_b64decode(encoded).decode()
    if not text.startswith(f"{client_id}:"):
        return {}
    return json.loads(text.removeprefix(f"{client_id}:"))


def sealed(text: str) -> str:
    encoded = base64.urlsafe_b64encode(text.encode()).decode()
    return f"{encoded}.{digest(encoded)}"


def digest(text: str) -> str:
    return hmac.digest(COOKIE_SECRET, text.encode(), hashlib.sha256).hex()


def permitted(resource: str, operations: list[str]) -> set[str]:
    """ "chat:*" = ["subscribe", "publish"] """
    if not resource.startswith("chat:") or resource == "chat:":
        return set()
    return OPERATIONS.intersection(operations)


def refusal(status: int, code: int, message: str) -> JSONResponse:
    return JSONResponse({"error": {"code": code, "statusCode": status, "message": message}}, status_code=status)
