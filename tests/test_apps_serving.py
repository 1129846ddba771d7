"""Serving the apps: who reaches them, what is refused, when sessions end, and the commands that start it."""

import asyncio
import gc
import signal
import socket
import struct
import sys
import time
import weakref
from pathlib import Path

import psutil
import pytest
from browsing import outside, serving, visit
from commands import call
from tornado.httpclient import HTTPClientError
from visiting import crowd, join, leave, process, raw, socket_of, status_of, token_of

pn = pytest.importorskip("panel")

from glacierlab.apps import gallery  # noqa: E402
from glacierlab.apps import serving as served_by  # noqa: E402
from glacierlab.errors import GlacierlabError  # noqa: E402

HOSTILE = "<script>window.hurt = 1</script>"
SMALL = (  # a server of its own process, of a page with a file to send
    "import panel as pn; from glacierlab.apps.serving import serve;"
    "serve(lambda: pn.widgets.FileInput(), port=0, show=False, say=lambda text: print(text, flush=True))"
)


def hello():
    return pn.pane.Markdown("hello")


@pytest.fixture
def running():
    """A server in this process: its address."""
    with serving(hello) as (url, _):
        yield url


# ---- pages ----


@pytest.mark.browser
def test_a_page_asks_for_nothing_outside_and_takes_its_title_as_text(browser, served):
    url = served(lambda: gallery.page(pn.pane.Markdown("hello"), HOSTILE, {HOSTILE: "/else"}))
    page = visit(browser, url)
    assert outside(page) == []
    assert page.told == []
    assert page.evaluate("window.hurt") is None
    assert page.locator("#header .title").inner_text().strip() == HOSTILE
    assert page.locator("a[href='/else']").inner_text() == HOSTILE


@pytest.mark.browser
def test_dark_and_light_by_address_and_by_button(browser, served):
    page = visit(browser, f"{served(hello)}?rgi_id=x")
    assert page.locator("html").get_attribute("data-bs-theme") != "dark"
    page.get_by_role("button", name="Dark").click()
    page.wait_for_url("**/?rgi_id=x&theme=dark")  # the rest of the address stays
    page.get_by_role("button", name="Light").wait_for()
    assert page.locator("html").get_attribute("data-bs-theme") == "dark"


def test_what_the_address_says_is_not_in_the_page(running):
    answer = raw(running, "/?rgi_id=%3Cscript%3Ewindow.hurt=1%3C/script%3E&theme=%22%3E%3Cscript%3E")
    assert status_of(answer) == 200
    assert b"window.hurt" not in answer
    assert b'"><script>' not in answer


def test_an_error_of_an_app_is_a_line_and_not_a_traceback(caplog):
    def fails():
        raise GlacierlabError(HOSTILE)

    def breaks():
        raise ZeroDivisionError("of the server")

    assert served_by.guarded(fails, "title")().main[0].object == (
        "<p role='alert'>&lt;script&gt;window.hurt = 1&lt;/script&gt;</p>"
    )
    shown = served_by.guarded(breaks, "title")().main[0].object
    assert "terminal" in shown
    assert "ZeroDivisionError" not in shown
    assert "ZeroDivisionError" in caplog.text


# ---- who reaches it ----


def test_only_this_machine_reaches_it_unless_told(running):
    port = int(running.split(":")[-1].strip("/"))
    listening = {row.laddr for row in psutil.Process().net_connections("tcp") if row.laddr.port == port}
    assert {address.ip for address in listening} == {"127.0.0.1"}


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_taken_port_and_a_foreign_address_are_told_in_a_line(running):
    port = int(running.split(":")[-1].strip("/"))
    with pytest.raises(GlacierlabError, match=rf"^Port {port} of 127.0.0.1 is taken.*--port 0"):
        served_by.server_of(hello, port=port)
    with pytest.raises(GlacierlabError, match=r"'192\.0\.2\.1' is no address of this machine"):
        served_by.server_of(hello, address="192.0.2.1")  # of the range for documentation


def test_other_sites_cannot_connect(running):
    async def connects(origin):
        await leave(await socket_of(running, await token_of(running), origin))

    asyncio.run(connects(running.strip("/")))
    asyncio.run(connects(running.strip("/").replace("127.0.0.1", "localhost")))
    for origin in ("http://evil.example", "http://127.0.0.1:1", "null", running.strip("/") + ".evil.example"):
        with pytest.raises(HTTPClientError, match="403"):
            asyncio.run(connects(origin))


def test_origins_are_this_machine_and_what_is_named():
    assert served_by.origins_of("127.0.0.1", 7) == {"127.0.0.1:7", "localhost:7"}
    everywhere = served_by.origins_of("0.0.0.0", 7)
    assert {"127.0.0.1:7", "localhost:7", f"{socket.gethostname().lower()}:7"} <= everywhere
    assert served_by.origins_of("Glaciers.org", 7) == {"glaciers.org:7"}
    assert served_by.with_port("Glaciers.org") == "glaciers.org"
    for wrong in ("http://glaciers.org", "*", "glaciers.org:many", ""):
        with pytest.raises(GlacierlabError, match="is no host"):
            served_by.with_port(wrong)


def test_a_name_is_served_where_an_address_of_ipv6_is_not():
    async def connects(url, origin):
        await leave(await socket_of(url, await token_of(url), origin))

    with pytest.raises(GlacierlabError, match=r"--address ::1: Panel cannot serve .* as localhost does for"):
        served_by.server_of(hello, address="::1")
    with serving(hello, address="localhost") as (url, _):
        asyncio.run(connects(url, url.strip("/")))


def test_a_named_origin_may_connect():
    async def connects(url, origin):
        await leave(await socket_of(url, await token_of(url), origin))

    with serving(hello, allow_origin=["glaciers.example.org"]) as (url, _):
        asyncio.run(connects(url, "https://glaciers.example.org"))
        with pytest.raises(HTTPClientError, match="403"):
            asyncio.run(connects(url, "https://glaciers.example.com"))


def test_a_session_begins_with_a_token_of_this_server(running):
    from bokeh.util.token import generate_jwt_token, generate_session_id

    async def answers():
        connection = await socket_of(running, generate_jwt_token(generate_session_id()))
        answer = await connection.read_message()
        connection.close()
        return answer

    assert asyncio.run(answers()) is None  # closed at once


# ---- files ----


@pytest.mark.parametrize("before", ["", "/static", "/static/extensions/panel", "/components", "/inspect"])
@pytest.mark.parametrize(
    "up", ["../", "..%2f", "%2e%2e/", "%2e%2e%2f", "..\\", "..%5c", "%252e%252e%252f", "/"]
)
def test_no_file_leaves_the_server(running, tmp_path, before, up):
    secret = tmp_path / "secret.txt"
    secret.write_text("kept")
    inside = secret.as_posix().strip("/")
    answer = raw(running, f"{before}/{up * 20}{inside}")
    assert status_of(answer) in (400, 403, 404)
    assert b"kept" not in answer


@pytest.mark.parametrize("query", ["?file=../../etc/passwd", "?path=/etc/passwd", "?rgi_id=../../etc/passwd"])
def test_a_query_opens_no_file(running, query):
    answer = raw(running, f"/{query}")
    assert status_of(answer) == 200
    assert b"root:" not in answer


def test_the_folder_it_was_started_in_is_not_served(running):
    for name in ("pyproject.toml", "tests/conftest.py", ".git/config"):
        assert Path(name).name
        assert status_of(raw(running, f"/{name}")) == 404


def test_an_address_imports_no_module(running):
    assert "antigravity" not in sys.modules
    assert status_of(raw(running, "/components/antigravity/a/css/b")) == 404
    assert "antigravity" not in sys.modules


# ---- uploads ----


def frames(total, chunk=2**20):
    """A websocket message of `total` bytes as a browser sends it: a header with its length, then bytes."""
    yield struct.pack("!BBQI", 0x81, 0x80 | 127, total, 0)  # text, masked by zeros
    block = b"a" * chunk
    for _ in range(total // chunk):
        yield block


def handshake(url):
    """A connected socket that speaks websocket."""
    token = asyncio.run(token_of(url))
    host, port = url.removeprefix("http://").strip("/").split(":")
    connection = socket.create_connection((host, int(port)), timeout=20)
    lines = [
        "GET /ws HTTP/1.1", f"Host: {host}:{port}", "Upgrade: websocket", "Connection: Upgrade",
        f"Origin: http://{host}:{port}", "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", f"Sec-WebSocket-Protocol: bokeh, {token}", "", "",
    ]  # fmt: skip
    connection.sendall("\r\n".join(lines).encode())
    assert b" 101 " in connection.recv(4096)
    return connection


def sent(connection, parts, least=0):
    """How many bytes go out before the other end closes."""
    count = 0
    try:
        for part in parts:
            connection.sendall(part)
            count += len(part)
    except OSError:
        pass
    return count


def test_two_gigabytes_are_refused_and_fill_no_memory():
    with process([sys.executable, "-c", SMALL]) as (server, url):
        before = psutil.Process(server.pid).memory_info().rss
        with handshake(url) as connection:
            assert sent(connection, frames(2 * 2**30)) < 2**28  # by its length, before it came
        head = ["Content-Type: application/octet-stream", f"Content-Length: {2 * 2**30}"]
        assert status_of(raw(url, "/", method="POST", headers=head)) in (400, 413)
        head = ["Transfer-Encoding: chunked"]
        blocks = b"100000\r\n" + b"a" * 2**20 + b"\r\n"
        with socket.create_connection(
            (url.split("/")[2].split(":")[0], int(url.strip("/").split(":")[-1]))
        ) as it:
            it.sendall(f"POST / HTTP/1.1\r\nHost: x\r\n{head[0]}\r\n\r\n".encode())
            assert sent(it, (blocks for _ in range(2048))) < 2**28
        grown = psutil.Process(server.pid).memory_info().rss - before
        assert grown < 100 * 2**20
        assert status_of(raw(url, "/liveness")) == 200


@pytest.mark.browser
def test_a_file_within_the_bound_arrives_and_one_above_does_not(browser, tmp_path):
    found = []

    def make():
        widget = pn.widgets.FileInput()
        widget.param.watch(lambda event: found.append(len(event.new)), "value")
        return widget

    for size in (2, 4):
        (tmp_path / f"{size}.bin").write_bytes(b"a" * size * 2**20)
    with serving(make, max_upload_mb=3) as (url, _):
        page = visit(browser, url)
        page.locator("input[type=file]").set_input_files(tmp_path / "2.bin")
        page.wait_for_timeout(1500)
        assert found == [2 * 2**20]
        page = visit(browser, url)
        page.locator("input[type=file]").set_input_files(tmp_path / "4.bin")
        page.wait_for_timeout(1500)
        assert found == [2 * 2**20]


def test_a_bound_of_nothing_is_refused():
    for bound in (0, -1, float("nan"), float("inf")):
        with pytest.raises(GlacierlabError, match="above 0"):
            served_by.server_of(hello, max_upload_mb=bound)


# ---- sessions ----


def test_sessions_are_apart_and_end_when_their_browser_is_gone(monkeypatch):
    monkeypatch.setattr(served_by, "LIFETIME_S", 3)
    monkeypatch.setattr(served_by, "CHECK_S", 0.1)
    made = []

    def make():
        app = pn.widgets.TextInput()
        made.append(weakref.ref(app))
        return app

    async def visited(url, server):
        connections, _ = await crowd(url, 5)
        assert len(server.get_sessions()) == 5
        await leave(*connections)

    with serving(make) as (url, server):
        asyncio.run(visited(url, server))
        assert len(made) == len({*map(id, made)}) == 5
        deadline = time.monotonic() + 20
        while server.get_sessions() and time.monotonic() < deadline:
            time.sleep(0.1)
        assert server.get_sessions() == []
        time.sleep(0.5)
        gc.collect()
        assert [app() for app in made] == [None] * 5  # and so is what they held


def test_fifty_sessions_at_once():
    async def visited(url, server):
        connections, took = await crowd(url, 50, at_once=8)
        assert len(server.get_sessions()) == 50
        assert len(took) == 50
        connection, size = await join(url)
        assert size > 1000
        await leave(connection, *connections)

    with serving(hello) as (url, server):
        asyncio.run(visited(url, server))


def test_a_server_that_holds_all_it_can_says_so_and_makes_no_more(monkeypatch):
    monkeypatch.setattr(served_by, "MOST_SESSIONS", 3)
    made = []

    async def visited(url, server):
        connections, _ = await crowd(url, 5, at_once=1)
        told = [served_by.FULL in str(each.document.to_json()) for each in server.get_sessions()]
        assert (len(made), sum(told)) == (3, 2)
        await leave(*connections)

    with serving(lambda: made.append(hello()) or made[-1]) as (url, server):
        asyncio.run(visited(url, server))


@pytest.mark.browser
def test_a_server_that_is_gone_is_noticed_in_the_page(browser):
    with process([sys.executable, "-c", SMALL]) as (server, url):
        page = visit(browser, url)
        assert page.get_by_role("alert").count() == 0
        server.kill()
        page.get_by_role("alert").filter(has_text="The server does not answer").wait_for()
        page.get_by_role("alert").filter(has_text="Reload this page").wait_for()


def test_the_server_says_that_it_lives(running):
    assert raw(running, "/liveness").endswith(b'{"ok": true, "sessions": 0}')


# ---- who may enter ----


def test_passwords_come_from_a_file_or_the_environment(tmp_path, monkeypatch):
    monkeypatch.delenv(served_by.PASSWORD, raising=False)
    assert served_by.password_of(None) is None
    monkeypatch.setenv(served_by.PASSWORD, "from outside")
    assert served_by.password_of(None) == "from outside"
    path = tmp_path / "who"
    for text, expected in (("one word\n", "one word"), ('{"ana": "a", "bo": "b"}', {"ana": "a", "bo": "b"})):
        path.write_text(text)
        assert served_by.password_of(path) == expected
    for text in ("", "{}", '{"ana": ""}', '{"ana": 3}', '{"ana": '):
        path.write_text(text)
        with pytest.raises(GlacierlabError, match=r"holds no password|no JSON"):
            served_by.password_of(path)
    with pytest.raises(GlacierlabError, match=r"takes a file.*GLACIERLAB_PASSWORD"):
        served_by.password_of("a password")


def test_a_password_is_asked_for_and_the_name_is_known(tmp_path):
    seen = []

    def make():
        seen.append(pn.state.user)
        return hello()

    def login(url, name, password):
        body = f"username={name}&password={password}".encode()
        head = ["Content-Type: application/x-www-form-urlencoded", f"Content-Length: {len(body)}"]
        answer = raw(url, "/login", method="POST", headers=head, body=body).decode("latin-1")
        cookies = [
            line.split(": ", 1)[1].split(";")[0] for line in answer.split("\r\n") if "Set-Cookie" in line
        ]
        return "; ".join(cookie for cookie in cookies if not cookie.endswith('=""'))

    async def enters(url, cookie):
        await leave(await socket_of(url, await token_of(url, cookie), cookie=cookie))
        with pytest.raises(HTTPClientError, match="403"):
            await socket_of(url, await token_of(url, cookie))  # the token alone is not enough

    path = tmp_path / "who"
    path.write_text('{"ana": "right"}')
    with serving(make, basic_auth=path) as (url, _):
        assert status_of(raw(url, "/")) == 302
        assert "user=" not in login(url, "ana", "wrong")
        assert "user=" not in login(url, "bo", "right")
        cookie = login(url, "ana", "right")
        assert "user=" in cookie
        asyncio.run(enters(url, cookie))
    assert set(seen) == {"ana"}


def test_a_login_elsewhere_is_passed_on(monkeypatch):
    served = SMALL.replace("port=0", "port=0, oauth_provider='github', oauth_key='our-key'")
    monkeypatch.setenv("PANEL_OAUTH_SECRET", "ours")
    with process([sys.executable, "-W", "ignore", "-c", served]) as (_, url):
        assert b"Location: ./login" in raw(url, "/")
        answer = raw(url, "/login").decode()
        assert "https://github.com/login/oauth/authorize" in answer
        assert "client_id=our-key" in answer
        assert "ours" not in answer.replace("our-key", "")


def test_a_login_elsewhere_needs_what_it_gave(monkeypatch):
    monkeypatch.delenv("PANEL_OAUTH_SECRET", raising=False)
    with pytest.raises(GlacierlabError, match=r"github needs the key and the secret.*PANEL_OAUTH_SECRET"):
        served_by.server_of(hello, oauth_provider="github", oauth_key="k")
    with pytest.raises(GlacierlabError, match="Unknown OAuth provider 'githup'"):
        served_by.server_of(hello, oauth_provider="githup", oauth_key="k")


# ---- the end ----


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_it_ends_with_a_line(name):
    with process([sys.executable, "-c", SMALL]) as (server, url):
        assert status_of(raw(url, "/")) == 200
        server.send_signal(getattr(signal, name))
        out, err = server.communicate(timeout=20)
    assert server.returncode == 0
    assert out == "Stopped.\n"
    assert err == ""


# ---- the commands ----


def test_commands_have_help_with_examples(capsys):
    for command in ("inspect", "dashboard"):
        code, out, _ = call(capsys, command, "--help")
        assert code == 0
        assert f"&& glacierlab {command}" in out
        for option in ("--port", "--address", "--no-browser", "--basic-auth", "--oauth-provider"):
            assert option in out


@pytest.mark.parametrize("command", ["inspect", "dashboard"])
def test_commands_tell_bad_input_in_a_line(capsys, tmp_path, command):
    for path, told in ((tmp_path / "none", "does not exist"), (tmp_path, "nothing there to show")):
        code, _, err = call(capsys, command, path, "--no-browser", "--port", "0")
        assert code == 2
        assert told in err
        assert err.count("\n") == 1
