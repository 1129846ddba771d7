"""The files of a folder, a tar or a zip, by name, without unpacking anything."""

import tarfile
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ..errors import SceneError
from .bands import one_line

DAMAGED = (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, OSError)
MAX_MEMBERS = 20_000
MAX_UNPACKED_BYTES = 200 * 2**30
MAX_EXPANSION = 200  # unpacked bytes per packed byte; satellite images reach about 20


@dataclass(frozen=True)
class Listing:
    """Files by path relative to their folder or archive."""

    root: Path
    files: tuple[str, ...]
    prefix: str = ""  # GDAL's virtual file system, such as /vsitar/

    def gdal_path(self, name):
        """What rasterio opens."""
        return f"{self.prefix}{(self.root / name).as_posix()}"

    def read_text(self, name, max_bytes=50 * 2**20):
        """The text of a small metadata file."""
        try:
            if self.prefix == "/vsitar/":
                with tarfile.open(self.root) as archive:
                    data = archive.extractfile(name).read(max_bytes)
            elif self.prefix == "/vsizip/":
                with zipfile.ZipFile(self.root) as archive, archive.open(name) as member:
                    data = member.read(max_bytes)
            else:
                with open(self.root / name, "rb") as file:
                    data = file.read(max_bytes)
        except (*DAMAGED, RuntimeError) as error:  # zipfile's way to say that a password is needed
            raise SceneError(f"{name} in {self.root} cannot be read ({one_line(error)}).") from error
        return data.decode("utf-8", errors="replace")

    def find(self, *endings):
        """The names that end so, case left aside, shortest path first."""
        endings = tuple(ending.lower() for ending in endings)
        found = [name for name in self.files if name.lower().endswith(endings)]
        return sorted(found, key=lambda name: (name.count("/"), name))


def list_files(path):
    """The `Listing` of a folder, tar or zip; SceneError for an archive that cannot be trusted."""
    path = Path(path)
    if path.is_dir():
        names = (p.relative_to(path).as_posix() for p in sorted(path.rglob("*")) if p.is_file())
        return Listing(path, tuple(name for name in names if not is_sidecar(name)))
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                members = ((m.filename, m.file_size) for m in archive.infolist() if not m.is_dir())
                return Listing(path, checked_members(path, members), "/vsizip/")
        with tarfile.open(path) as archive:
            members = ((m.name, m.size) for m in archive if m.isfile())
            return Listing(path, checked_members(path, members), "/vsitar/")
    except DAMAGED as error:
        raise SceneError(
            f"{path} cannot be read as an archive ({one_line(error)}). Download it again."
        ) from error


def is_sidecar(name):
    """Whether macOS left the file beside another (`._B04.TIF`)."""
    return PurePosixPath(name).name.startswith("._")


def checked_members(path, members):
    """Names of archive members; refuses paths that climb out and archives that expand without end."""
    packed, unpacked, names = path.stat().st_size, 0, []
    for name, size in members:
        parts = PurePosixPath(name.replace("\\", "/"))
        if parts.is_absolute() or ".." in parts.parts or ":" in "".join(parts.parts[:1]):
            raise SceneError(
                f"{path} holds {name!r}, a path that leaves the archive. Do not trust this file."
            )
        unpacked += size
        names.append(name)
        too_large = unpacked > MAX_UNPACKED_BYTES or unpacked > max(MAX_EXPANSION * packed, 2**20)
        if too_large or len(names) > MAX_MEMBERS:
            raise SceneError(
                f"{path} is {packed:,} bytes, but unpacks to more than {unpacked:,} bytes in {len(names)} "
                "files: not a satellite scene. Do not trust this file."
            )
    return tuple(name for name in names if not is_sidecar(name))
