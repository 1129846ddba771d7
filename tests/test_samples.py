"""Samples: found locally, downloaded whole or not at all. The servers are local."""

import csv
import hashlib
import json
import re
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pandas as pd
import pytest

from glacierlab.errors import SampleError, UnknownNameError
from glacierlab.io import samples

SHIPPED = samples.SAMPLES
CONTENT = {"ice.csv": b"class,green\n1,0.9\n3,0.5\n" * 5000, "more ice.txt": b"firn" * 20000}
ROW = {
    "long_name": "a tiny sample",
    "kind": "table",
    "folder": "tiny",
    "license": "CC0",
    "citation": "nobody 2024",
    "repo": "someone/something",
    "commit": "c" * 40,
    "files": [
        {"path": f"data/{name}", "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        for name, content in CONTENT.items()
    ],
}
URLS = {f"/{ROW['repo']}/{ROW['commit']}/data/{name.replace(' ', '%20')}": name for name in CONTENT}
FAULTS = {  # what the server does → what the message says
    "cut": "connection was cut",
    "cut without length": "not the expected file",
    "wrong": "not the expected file",
    "missing": "answered 404 Not Found",
    "hang up": "no connection",
    "stall": "stopped answering",
}


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        server = self.server
        name = URLS[self.path]
        server.requested.append(name)
        server.together.wait(timeout=60)
        fault = server.faults.get(name)
        if fault == "hang up":
            return
        if fault == "missing":
            return self.send_error(404)
        body = CONTENT[name]
        self.send_response(200)
        if fault != "cut without length":
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if fault == "stall":
            server.released.wait(timeout=60)
        elif fault == "wrong":
            self.wfile.write(body[::-1])
        else:
            self.wfile.write(body[: len(body) // 2] if fault else body)

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    """A server of CONTENT: `url`, names `requested`, `faults` by name, how many must ask `together`."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.url = f"http://127.0.0.1:{server.server_port}"
        server.requested, server.faults = [], {}
        server.together, server.released = threading.Barrier(1), threading.Event()
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.released.set()
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """An empty cache; one sample, "tiny", of two files."""
    cache = tmp_path / "cache"
    monkeypatch.setenv("GLACIERLAB_CACHE", str(cache))
    monkeypatch.delenv("GLACIERLAB_DATA", raising=False)
    monkeypatch.delenv("GLACIERLAB_BASE_URL", raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(samples, "SAMPLES", {"tiny": samples.Sample(**ROW)})
    monkeypatch.setattr(samples, "TIMEOUT_S", 20)
    return cache


@pytest.fixture
def nobody():
    """The URL of a port that nobody listens at."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{unused.getsockname()[1]}"


def held(folder):
    """Everything below a folder, by name."""
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def write(folder, content=CONTENT):
    folder.mkdir(parents=True, exist_ok=True)
    for name, body in content.items():
        (folder / name).write_bytes(body)


def test_download_then_no_network(server, cache, capfd):
    folder = samples.fetch("tiny", base_url=server.url + "/")
    assert folder == cache / "tiny"
    assert held(cache) == CONTENT
    out, err = capfd.readouterr()
    assert out == ""
    assert "tiny: 100%" in err
    server.faults.update(dict.fromkeys(CONTENT, "missing"))
    assert samples.fetch("tiny", base_url=server.url) == folder
    assert server.requested == list(CONTENT)
    assert capfd.readouterr().err == ""


def test_quiet_from_a_mirror_named_by_the_environment(server, cache, monkeypatch, capfd):
    monkeypatch.setenv("GLACIERLAB_BASE_URL", server.url)
    samples.fetch("tiny", progress=False)
    assert held(cache) == CONTENT
    assert capfd.readouterr() == ("", "")


def test_default_place_is_the_pinned_commit_on_github(monkeypatch):
    urls = []
    monkeypatch.setattr(samples, "_download", lambda url, *_: urls.append(url))
    samples.fetch("tiny", progress=False)
    start = f"https://raw.githubusercontent.com/someone/something/{'c' * 40}/data/"
    assert urls == [start + "ice.csv", start + "more%20ice.txt"]


def test_data_folder_first(nobody, cache, tmp_path, monkeypatch):
    monkeypatch.setenv("GLACIERLAB_DATA", str(tmp_path / "data"))
    write(tmp_path / "data" / "tiny")
    write(cache / "tiny")
    assert samples.fetch("tiny", base_url=nobody) == tmp_path / "data" / "tiny"


@pytest.mark.parametrize("content", [{}, {"ice.csv": CONTENT["ice.csv"]}, {**CONTENT, "ice.csv": b"melted"}])
def test_data_folder_without_the_sample_is_passed_over(server, cache, tmp_path, monkeypatch, content):
    monkeypatch.setenv("GLACIERLAB_DATA", str(tmp_path / "data"))
    write(tmp_path / "data" / "tiny", content)
    assert samples.fetch("tiny", base_url=server.url) == cache / "tiny"
    assert held(tmp_path / "data") == content


def test_spoilt_file_in_the_cache_is_replaced(server, cache):
    spoilt = CONTENT["ice.csv"].replace(b"9", b"8")  # the size is right
    write(cache / "tiny", {**CONTENT, "ice.csv": spoilt})
    samples.fetch("tiny", base_url=server.url)
    assert held(cache) == CONTENT
    assert server.requested == ["ice.csv"]


@pytest.mark.parametrize("fault", FAULTS)
def test_failure_leaves_whole_files_only_and_the_next_call_goes_on(server, cache, monkeypatch, fault):
    server.faults["more ice.txt"] = fault
    if fault == "stall":
        monkeypatch.setattr(samples, "TIMEOUT_S", 0.5)
    with pytest.raises(SampleError, match=FAULTS[fault]) as caught:
        samples.fetch("tiny", base_url=server.url)
    message = str(caught.value)
    assert "\n" not in message
    for part in (
        "'tiny'",
        f"{server.url}/someone/",
        "more%20ice.txt",
        "GLACIERLAB_DATA",
        "tiny/more ice.txt",
    ):
        assert part in message
    assert held(cache) == {"ice.csv": CONTENT["ice.csv"]}
    server.faults.clear()
    samples.fetch("tiny", base_url=server.url)
    assert held(cache) == CONTENT
    assert server.requested == ["ice.csv", "more ice.txt", "more ice.txt"]


def test_offline(nobody, cache):
    with pytest.raises(SampleError, match=r"'tiny'.*no connection.*Check the connection.*GLACIERLAB_DATA"):
        samples.fetch("tiny", base_url=nobody)
    assert held(cache) == {}


def test_cache_that_cannot_be_written(server, cache):
    cache.write_text("a file where the folder should be")
    with pytest.raises(SampleError, match=r"'tiny'.*could not be stored in .*GLACIERLAB_CACHE"):
        samples.fetch("tiny", base_url=server.url)


def test_disk_full(server, cache, monkeypatch):
    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pooch.core.shutil.move", full)
    with pytest.raises(SampleError, match="No space left on device"):
        samples.fetch("tiny", base_url=server.url)
    assert held(cache) == {}


def test_two_threads_at_once(server, cache):
    server.together = threading.Barrier(2)
    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(samples.fetch, "tiny", base_url=server.url, progress=False) for _ in range(2)]
        assert [one.result() for one in both] == [cache / "tiny"] * 2
    assert held(cache) == CONTENT


def test_two_processes_at_once(server, cache):
    server.together = threading.Barrier(2)  # each file is sent when both have asked for it
    code = (
        "import json, sys; from glacierlab.io import samples; "
        "samples.SAMPLES['tiny'] = samples.Sample(**json.loads(sys.argv[1])); "
        "print(samples.fetch('tiny', base_url=sys.argv[2], progress=False))"
    )
    command = [sys.executable, "-c", code, json.dumps(ROW), server.url]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert [one.communicate(timeout=120)[0].strip() for one in both] == [str(cache / "tiny")] * 2
    assert held(cache) == CONTENT
    assert len(server.requested) == 4


def test_unknown_name():
    for function in (samples.fetch, samples.sample):
        with pytest.raises(UnknownNameError, match=r"Unknown sample 'tini'\. Did you mean 'tiny'"):
            function("tini")


def test_table_is_opened_with_its_title_license_and_citation(cache):
    write(cache / "tiny")
    table = samples.sample("tiny")
    assert table.shape == (10000 + 4999, 2)
    assert table.attrs == {"title": "a tiny sample", "license": "CC0", "citation": "nobody 2024"}


@pytest.mark.parametrize(("kind", "opened"), [("scene", ""), ("inventory", "ice.csv")])
def test_opener_gets_path_and_arguments(cache, monkeypatch, kind, opened):
    def opener(path, **options):
        calls.append((path, options))
        return pd.DataFrame()

    calls = []
    options = {"bands": {"red": "ice.csv:1"}, "sensor": "landsat-7"}
    row = samples.Sample(**{**ROW, "kind": kind, "open": options, "note": "an assumption"})
    monkeypatch.setattr(samples, "SAMPLES", {"tiny": row})
    monkeypatch.setitem(samples.OPENERS, kind, opener)
    write(cache / "tiny")
    assert samples.sample("tiny").attrs["note"] == "an assumption"
    assert calls == [(cache / "tiny" / opened, options)]


def test_sample_table(cache):
    listed = samples.sample_table()
    assert list(listed.columns) == ["name", "kind", "long_name", "MB", "license", "cached"]
    assert listed.MB[0] == pytest.approx(sum(map(len, CONTENT.values())) / 1e6)
    assert list(listed.cached) == [False]
    write(cache / "tiny")
    assert list(samples.sample_table().cached) == [True]


@pytest.fixture
def rows(monkeypatch):
    """The shipped table in place of the tiny one."""
    monkeypatch.setattr(samples, "SAMPLES", SHIPPED)
    return SHIPPED


def test_rows(rows):
    assert len(rows) == 12
    first = {"scene": r"\.tif$", "inventory": r"\.(shp|gpkg|json)$", "table": r"\.csv$"}
    for row in rows.values():
        assert row.kind in samples.OPENERS
        assert re.search(first[row.kind], row.files[0].name)
        assert all(re.fullmatch("[0-9a-f]{40}", file.commit) for file in row.files)
        assert all(re.fullmatch("[0-9a-f]{64}", file.sha256) for file in row.files)
        band_files = {spec.split(":")[0] for spec in row.open.get("bands", {}).values()}
        assert band_files <= {file.name for file in row.files}


def test_rows_describe_the_real_files(rows, data, nobody, monkeypatch):
    monkeypatch.setenv("GLACIERLAB_DATA", str(data))
    with open(data / "registry.csv", encoding="utf-8") as lines:
        upstream = {line["path"]: line["upstream"] for line in csv.DictReader(lines)}
    for name, row in rows.items():
        assert samples.fetch(name, base_url=nobody) == data / row.folder
        for file in row.files:
            body = (data / row.folder / file.name).read_bytes()
            assert len(body) == file.bytes
            assert hashlib.sha256(body).hexdigest() == file.sha256
            assert upstream[f"{row.folder}/{file.name}"] == f"{file.repo}@{file.commit}:{file.path}"


def test_spectra(rows, data, monkeypatch):
    monkeypatch.setenv("GLACIERLAB_DATA", str(data))
    spectra = samples.sample("spectra")
    assert len(spectra) == 11_729
    assert set(spectra["class"]) == {1, 2, 3, 4, 5}
    assert spectra.attrs["license"] == "MIT"
