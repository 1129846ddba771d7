"""Real samples by name: from `GLACIERLAB_DATA`, else the cache, else their pinned upstream commit."""

import os
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from urllib.parse import quote

import pandas as pd
import pooch
import requests
from tqdm import tqdm

from ..errors import SampleError
from ..tables import lookup, read_table
from .inventory import open_inventory
from .scene import open_scene

BASE_URL = "https://raw.githubusercontent.com"
TIMEOUT_S = 30  # to connect, and between two bytes

OPENERS = {"scene": open_scene, "inventory": open_inventory, "table": pd.read_csv}


@dataclass(frozen=True)
class SampleFile:
    """A file of a sample: where it lies upstream and what it must be."""

    name: str  # in the sample's folder
    repo: str  # "owner/name" on GitHub
    commit: str
    path: str  # below the repository
    bytes: int
    sha256: str

    def is_whole_in(self, folder):
        """Whether the folder holds exactly this file."""
        path = folder / self.name
        return (
            path.is_file()
            and path.stat().st_size == self.bytes
            and pooch.file_hash(str(path), alg="sha256") == self.sha256
        )


@dataclass(frozen=True)
class Sample:
    """A row of `samples.toml`."""

    long_name: str
    kind: str  # a key of OPENERS
    folder: str  # below GLACIERLAB_DATA and the cache; samples may share one
    license: str
    citation: str
    repo: str  # of the files that state none
    commit: str
    files: tuple[SampleFile, ...]  # the first is the one that is opened, unless the folder is
    open: dict = field(default_factory=dict)  # keyword arguments of the opening function
    note: str = ""

    def __post_init__(self):
        own = {"repo": self.repo, "commit": self.commit}
        files = (
            SampleFile(**{"name": PurePosixPath(file["path"]).name, **own, **file}) for file in self.files
        )
        object.__setattr__(self, "files", tuple(files))


SAMPLES = read_table("samples.toml", Sample)


def sample(name):
    """Open a real sample; its files are downloaded on first use.

    Parameters
    ----------
    name : str
        A key of `SAMPLES`, such as "athabasca"; `sample_table()` lists them.

    Returns
    -------
    xarray.Dataset or geopandas.GeoDataFrame or pandas.DataFrame
        A scene (see `open_scene`), an inventory (see `open_inventory`) or a table, as the row's `kind`
        says; `attrs` holds its title, license, citation and, where there is one, a note.

    Raises
    ------
    UnknownNameError, SampleError

    Examples
    --------
    >>> from glacierlab.io.samples import sample_table
    >>> sample_table().set_index("name").kind["athabasca":"everest"].to_dict()
    {'athabasca': 'scene', 'athabasca_outline': 'inventory', 'everest': 'scene'}
    """
    row = lookup(SAMPLES, name, kind="sample")
    folder = fetch(name)
    path = folder if row.kind == "scene" else folder / row.files[0].name
    data = OPENERS[row.kind](path, **row.open)
    about = {"title": row.long_name, "license": row.license, "citation": row.citation, "note": row.note}
    data.attrs.update({key: text for key, text in about.items() if text})
    return data


def fetch(name, *, base_url=None, progress=True):
    """Find a sample's files on this computer, or download them.

    Looked at in this order: the folder that the environment variable `GLACIERLAB_DATA` names, the cache
    (`GLACIERLAB_CACHE`, or the system's own place for caches), the upstream repository. A file counts only
    if its sha256 is the table's, and a download takes its final name only then, so any number of processes
    may fetch at once; what an interrupted download completed is kept and used by the next.

    Parameters
    ----------
    name : str
        A key of `SAMPLES`.
    base_url : str, optional
        A mirror that holds `{base_url}/{repo}/{commit}/{path}`; default: the environment variable
        `GLACIERLAB_BASE_URL`, or GitHub.
    progress : bool
        Show a progress bar on stderr.

    Returns
    -------
    pathlib.Path
        The folder with the files; files of other samples may lie beside them.

    Raises
    ------
    UnknownNameError, SampleError
    """
    row = lookup(SAMPLES, name, kind="sample")
    if folder := _local_folder(row):
        return folder
    folder = _folders(row)[-1]
    base_url = base_url or os.environ.get("GLACIERLAB_BASE_URL") or BASE_URL
    missing = [file for file in row.files if not file.is_whole_in(folder)]
    size = sum(file.bytes for file in missing)
    with tqdm(total=size, desc=name, unit="B", unit_scale=True, disable=not progress) as bar:
        for file in missing:
            url = f"{base_url.rstrip('/')}/{file.repo}/{file.commit}/{quote(file.path)}"
            try:
                _download(url, folder, file, bar)
            except (requests.RequestException, ValueError) as error:
                raise SampleError(
                    f"Sample {name!r}: {url} could not be downloaded: {_reason(error)}. Check the connection "
                    f"and try again, or set GLACIERLAB_DATA to a folder that holds {row.folder}/{file.name}."
                ) from error
            except OSError as error:
                raise SampleError(
                    f"Sample {name!r}: {file.name} could not be stored in {folder}: {error}. "
                    "Set GLACIERLAB_CACHE to a folder that can be written and has room."
                ) from error
    return folder


def sample_table():
    """List the samples.

    Returns
    -------
    pandas.DataFrame
        One row a sample: name, kind, long_name, MB (10⁶ bytes), license, cached (on this computer already).
    """
    return pd.DataFrame(
        {
            "name": name,
            "kind": row.kind,
            "long_name": row.long_name,
            "MB": sum(file.bytes for file in row.files) / 1e6,
            "license": row.license,
            "cached": _local_folder(row) is not None,
        }
        for name, row in SAMPLES.items()
    )


def _folders(row):
    """Folders that may hold a sample, in the order to look; downloads go to the last."""
    roots = (
        os.environ.get("GLACIERLAB_DATA"),
        os.environ.get("GLACIERLAB_CACHE") or pooch.os_cache("glacierlab"),
    )
    return [Path(root).expanduser() / row.folder for root in roots if root]


def _local_folder(row):
    """The first folder that holds all of a sample, or None."""
    return next((f for f in _folders(row) if all(file.is_whole_in(f) for file in row.files)), None)


def _download(url, folder, file, bar):
    """Download a file into the folder; pooch gives it its name once the hash is right."""

    def stream(url, target, _):
        with requests.get(url, stream=True, timeout=TIMEOUT_S) as response, open(target, "wb") as output:
            response.raise_for_status()
            for chunk in response.iter_content(chunk_size=2**16):
                bar.update(output.write(chunk))

    pooch.get_logger().setLevel("WARNING")  # the bar says enough
    pooch.retrieve(url, known_hash=f"sha256:{file.sha256}", fname=file.name, path=folder, downloader=stream)


def _reason(error):
    """What went wrong with a download, in a few words."""
    match error:
        case requests.HTTPError():
            return f"the server answered {error.response.status_code} {error.response.reason}"
        case requests.exceptions.ChunkedEncodingError():
            return "the connection was cut before the end"
        case requests.ConnectionError() | requests.Timeout():
            return f"no connection to the server, or it stopped answering ({type(error).__name__})"
        case requests.RequestException():
            return str(error)
        case _:
            return "what arrived is not the expected file (its sha256 differs)"
