"""An ably-python client: it does what the lines on its standard input say, each a JSON list [number, what, arguments],
and says on standard output what came of each and what happens meanwhile. It judges nothing; the tests do.

    client.py OPTIONS [CALLBACK]

OPTIONS are ably-python's own, as JSON. CALLBACK is {"code", "session"}: a definition of auth_callback, and the session
that it sends.
"""

import asyncio
import json
import logging
import sys

import httpx
from ably import AblyException, AblyRealtime

options = json.loads(sys.argv[1])
callback = json.loads(sys.argv[2]) if len(sys.argv) > 2 else None


class Http(httpx.AsyncClient):
    """Tells what an auth_callback was answered; ably-python itself does not call `post`."""

    async def post(self, *args, **kwargs):
        response = await super().post(*args, **kwargs)
        say({"answer": {"status": response.status_code, "refused": response.headers.get("accrue-refused")}})
        return response


def say(line):
    print(json.dumps(line), flush=True)


def shown(error):
    if not isinstance(error, AblyException):
        return error and {"message": repr(error)}
    return {
        "code": error.code,
        "statusCode": error.status_code,
        "message": error.message,
        "cause": shown(error.cause),
    }


def token(details):
    return {
        "token": details.token,
        "clientId": details.client_id,
        "capability": details.capability.to_dict(),
    }


class Client:
    def __init__(self):
        if callback:
            httpx.AsyncClient = Http
            names = {"session": callback["session"]}
            exec(callback["code"], names)
            options["auth_callback"] = names["auth_callback"]
        self.ably = AblyRealtime(**options)
        self.ably.connection.on(self.changed)

    def changed(self, change):
        connection_id = self.ably.connection.connection_manager.connection_id
        say({"connection": {"event": change.event, "id": connection_id, "error": shown(change.reason)}})

    async def attach(self, channel):
        await self.ably.channels.get(channel).attach()

    async def subscribe(self, channel):
        await self.ably.channels.get(channel).subscribe(lambda message: say({"message": message.data}))

    async def publish(self, channel, data):
        await self.ably.channels.get(channel).publish("event", data)

    async def authorize(self, params=None):
        return token(await self.ably.auth.authorize(params))

    async def request_token(self, params=None):
        return token(await self.ably.auth.request_token(params))

    async def sign_in(self, fresh):
        options["auth_headers"].update(fresh)               # ably-python keeps the dict, and reads it each time

    async def state(self):
        return {"connection": self.ably.connection.state, "token": token(self.ably.auth.token_details)}

    async def close(self):
        await self.ably.close()


async def do(client, number, what, arguments):
    try:
        say({"done": number, "result": await getattr(client, what)(*arguments)})
    except Exception as error:
        say({"done": number, "error": shown(error)})


async def main():
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    client = Client()
    running = set()                                         # the loop itself holds tasks weakly
    async for line in lines:
        task = asyncio.create_task(do(client, *json.loads(line)))
        running.add(task)
        task.add_done_callback(running.discard)


logging.basicConfig(level=logging.INFO)                     # ably-python's log, on standard error
asyncio.run(main())
