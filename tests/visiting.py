"""Many browsers at once without a browser: what they ask of a server, as plain requests and websockets."""

import asyncio
import json
import re
import socket
import time
from contextlib import contextmanager
from urllib.parse import urlsplit

from tornado.httpclient import AsyncHTTPClient, HTTPRequest
from tornado.websocket import websocket_connect

TOKEN = re.compile(r'"token"\s*:\s*"([^"]+)"')
LARGEST = 2**30  # a page's data


def raw(url, target, *, method="GET", headers=(), body=b"", wait=10):
    """The answer (bytes) to a request whose target is sent as it is, not tidied as clients do."""
    host, port = urlsplit(url).hostname, urlsplit(url).port
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}:{port}", "Connection: close", *headers, "", ""]
    with socket.create_connection((host, port), timeout=wait) as connection:
        connection.sendall("\r\n".join(lines).encode("latin-1") + body)
        answer = b""
        while part := connection.recv(65536):
            answer += part
    return answer


def status_of(answer):
    """The status code of an answer."""
    return int(answer.split(b" ", 2)[1])


async def token_of(url, cookie=None):
    """The token that a page holds for its session."""
    client = AsyncHTTPClient(force_instance=True, max_body_size=LARGEST)
    headers = {"Cookie": cookie} if cookie else {}
    try:
        page = await client.fetch(HTTPRequest(url, headers=headers, request_timeout=120))
    finally:
        client.close()
    return TOKEN.search(page.body.decode()).group(1)


def socket_of(url, token, origin=None, cookie=None):
    """A websocket to a page's session, as a browser on a page of `origin` opens it; to be awaited."""
    parts = urlsplit(url)
    headers = {"Origin": origin or f"http://{parts.netloc}"}
    if cookie:
        headers["Cookie"] = cookie
    request = HTTPRequest(
        f"ws://{parts.netloc}{parts.path.rstrip('/')}/ws", headers=headers, request_timeout=60
    )
    return websocket_connect(request, subprotocols=["bokeh", token], max_message_size=LARGEST)


async def join(url):
    """A session with its document, as a browser gets it: the open websocket and its bytes."""
    connection = await socket_of(url, await token_of(url))
    for _ in range(3):  # the ACK: header, metadata, content
        await connection.read_message()
    header = {"msgid": "1", "msgtype": "PULL-DOC-REQ"}
    for part in (header, {}, {}):
        await connection.write_message(json.dumps(part))
    size = 0
    while True:
        reply = json.loads(await connection.read_message())
        parts = [await connection.read_message() for _ in range(2 + 2 * reply.get("num_buffers", 0))]
        size += sum(map(len, parts))
        if reply["msgtype"] == "PULL-DOC-REPLY":
            return connection, size


async def leave(*connections):
    """Close websockets, and wait until the server has."""
    for connection in connections:
        connection.close()
    for connection in connections:
        while await connection.read_message() is not None:
            pass


async def crowd(url, count, at_once=10):
    """`count` sessions that are all open at the end: their websockets, and the seconds that each took."""
    gate, found, took = asyncio.Semaphore(at_once), [], []

    async def one():
        async with gate:
            start = time.perf_counter()
            connection, _ = await join(url)
            took.append(time.perf_counter() - start)
            found.append(connection)

    await asyncio.gather(*(one() for _ in range(count)))
    return found, took


@contextmanager
def process(command, **options):
    """A server in a process of its own, once it has printed where it is: the process, and its address."""
    import subprocess

    made = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)
    try:
        line = made.stdout.readline()
        while line and "http://" not in line:
            line = made.stdout.readline()
        if not line:
            raise RuntimeError(made.stderr.read())
        yield made, re.search(r"http://\S+", line).group()
    finally:
        if made.poll() is None:
            made.kill()
        made.communicate()
