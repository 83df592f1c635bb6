"""Where a study is stored: the address as the user wrote it, and whether its place can serve."""

import os
import re
import stat
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from autolora.errors import (
    AutoloraError,
    NetworkFolder,
    NotADatabase,
    StorageFile,
    StorageUrl,
    UnusablePlace,
)
from autolora.errors.secret import remember

POSTGRESQL = "postgresql+psycopg"
SQLITE_HEADER = b"SQLite format 3\0"
# Kinds in /proc/mounts whose locks SQLite cannot rely on: https://www.sqlite.org/faq.html#q5
_NETWORK = re.compile(
    r"nfs\d?|cifs|smb\d?|smbfs|afs|ceph|lustre|gpfs|beegfs|glusterfs|9p|orangefs|pvfs2|panfs|ncpfs"
    r"|fuse\.(sshfs|glusterfs|ceph.*|s3fs|gcsfuse|rclone|juicefs|davfs2?|mount-s3|blobfuse2?)"
)
_SECRET = re.compile(r"pass|secret|token|key", re.IGNORECASE)


def default_url(folder: Path) -> str:
    """The address of the database that a folder of runs keeps.

    >>> default_url(Path("/runs/digits"))
    'sqlite:////runs/digits/study.db'
    """
    path = folder.absolute() / "study.db"
    return URL.create("sqlite", database=str(path)).render_as_string(hide_password=False)


def read_url(address: str) -> URL:
    """The address as SQLAlchemy's URL, with an absolute path and an explicit driver.

    Raises:
        StorageUrl: if it is no address of a SQLite file or a PostgreSQL server.
    """
    try:
        url = make_url(address)
    except (ArgumentError, ValueError):
        # The cause would repeat an address that may hold a password.
        raise StorageUrl("it is no database URL") from None
    kind = url.get_backend_name()
    if kind in ("postgresql", "postgres") and url.drivername != POSTGRESQL:
        # What a bare name means depends on the version of SQLAlchemy.
        raise StorageUrl(f"PostgreSQL is used through psycopg only, not as {url.drivername}")
    if kind == "postgresql":
        _remember(url)
        return url
    if kind != "sqlite":
        raise StorageUrl(f"databases of kind {kind} are not supported")
    if url.database in (None, "", ":memory:"):
        raise StorageUrl("a database in memory ends with its process")
    return url.set(drivername="sqlite", database=str(Path(str(url.database)).absolute()))


def _remember(url: URL) -> None:
    """What nothing is to say from now on; what the address says elsewhere too is no secret."""
    secrets = [value for key, value in url.query.items() if _SECRET.search(key)]
    said = f"{url.set(password=None, query={})} autolora"
    for each in (*secrets, url.password, os.environ.get("PGPASSWORD")):
        if isinstance(each, str) and each not in said:
            remember(each)


def shown(url: URL) -> str:
    """The address without passwords, as messages and logs may show it.

    >>> shown(make_url("postgresql+psycopg://ada:secret@db/studies?sslpassword=x"))
    'postgresql+psycopg://ada:***@db/studies?sslpassword=***'
    """
    if url.get_backend_name() == "sqlite":
        return f"sqlite:///{url.database}"
    query = {key: "***" if _SECRET.search(key) else value for key, value in url.query.items()}
    return url.set(query=query).render_as_string(hide_password=True).replace("%2A%2A%2A", "***")


def read_private(path: Path, refusal: Callable[[object, str], AutoloraError] = StorageFile) -> str:
    """The first line of a file that nobody else may read, such as an address.

    Raises:
        StorageFile, or as `refusal` says it: if it cannot be read, or others can read it.
    """
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & 0o077:
            raise refusal(path, f"others may read it (mode {mode:04o})")
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise refusal(path, getattr(error, "strerror", None) or "it is no text") from error
    if not text:
        raise refusal(path, "it is empty")
    return text.splitlines()[0].strip()


def sqlite_path(url: URL) -> Path:
    """The file of a SQLite address."""
    return Path(str(url.database))


def read_only(url: URL) -> URL:
    """The address that opens a SQLite file without the right to write.

    A file that nobody has open may lack the shared-memory file that readers need, and a read-only
    folder cannot take one; nobody can write there either, so it is then opened as unchanging.
    """
    path = sqlite_path(url)
    sidecar = Path(f"{path}-wal")
    query = {"mode": "ro", "uri": "true"}
    if not sidecar.exists() and not os.access(path.parent, os.W_OK):
        query |= {"immutable": "1"}
    return URL.create("sqlite", database=f"file:{quote(str(path))}", query=query)


def check_file(path: Path) -> None:
    """Checks, without opening it as a database, that a path can be a local SQLite file.

    Raises:
        NetworkFolder: if it lies on a network file system.
        NotADatabase: if the file exists and is something else.
        UnusablePlace: if the file cannot be read.
    """
    mounts = Path("/proc/mounts")
    kind = network_file_system(path, mounts.read_text() if mounts.exists() else "")
    if kind:
        raise NetworkFolder(path, kind)
    if path.is_dir():
        raise NotADatabase(path)
    if _is_open(path):
        return
    try:
        with path.open("rb") as file:
            start = file.read(len(SQLITE_HEADER))
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise UnusablePlace(path, error.strerror or str(error)) from error
    if start and start != SQLITE_HEADER:
        raise NotADatabase(path)


def _is_open(path: Path) -> bool:
    """Whether this process has the file open already, as a database.

    To read and close such a file would drop the locks that SQLite holds on it in this process, and
    the next process that closes the database would take its log away from under this one.

    Source: https://www.sqlite.org/howtocorrupt.html, section 2.2.
    """
    descriptors = Path("/dev/fd")
    if not path.exists() or not descriptors.exists():
        return False
    return any(_is(int(each.name), path) for each in descriptors.iterdir())


def _is(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except OSError:  # that by which the descriptors were listed
        return False


def check_writable(path: Path) -> None:
    """Makes the folder of a SQLite file and checks that both can be written.

    Raises:
        UnusablePlace: if one cannot.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UnusablePlace(path.parent, error.strerror or str(error)) from error
    for place in (path.parent, path):
        if place.exists() and not os.access(place, os.W_OK):
            raise UnusablePlace(place, "the folder or the file system is read-only")


def network_file_system(path: Path, mounts: str) -> str | None:
    """The kind of the network file system that holds a path; None on a local one.

    `mounts` is the text of /proc/mounts.

    >>> network_file_system(Path("/data/runs"), "srv:/x /data nfs4 rw 0 0")
    'nfs4'
    """
    place, kind = Path("/"), ""
    for line in mounts.splitlines():
        _, point, candidate, *_ = line.split(" ")
        folder = Path(re.sub(r"\\(\d{3})", lambda octal: chr(int(octal[1], 8)), point))
        if path.resolve().is_relative_to(folder) and len(folder.parts) >= len(place.parts):
            place, kind = folder, candidate
    return kind if _NETWORK.fullmatch(kind) else None
