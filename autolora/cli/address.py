"""Where the storage address of a command comes from, and that its password stays unseen."""

import os
import re
import sys
from pathlib import Path
from urllib.parse import urlsplit

FILE = "AUTOLORA_STORAGE_FILE"
_EXPOSED = (
    "autolora: the password in --storage is visible in the list of processes; leave it out and "
    "give it as PGPASSWORD, in ~/.pgpass or by PGSERVICE, or the whole address as AUTOLORA_STORAGE "
    f"or in a file of mode 600 that {FILE} names"
)


def given(address: str | None) -> str | None:
    """The address as an option or a variable gives it, else that of the file.

    Raises:
        StorageFile: if the file cannot be read, or others can read it.
    """
    if address is None:
        path = os.environ.get(FILE)
        return _read(path) if path else None
    if holds_password(address) and any(address in word for word in sys.argv):
        print(_EXPOSED, file=sys.stderr)
    return address


def holds_password(address: str) -> bool:
    """Whether an address says its password.

    >>> holds_password("postgresql+psycopg://ada:secret@db/studies")
    True
    >>> holds_password("postgresql+psycopg://ada@db/studies?application_name=x")
    False
    """
    if not address.startswith("postgresql"):  # others are refused, which is enough to say
        return False
    try:
        return urlsplit(address).password is not None or bool(re.search(r"password=", address))
    except ValueError:  # it will be refused as no address
        return False


def _read(path: str) -> str:
    from autolora.study.location import read_private

    return read_private(Path(path))
