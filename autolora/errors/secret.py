"""Passwords of databases, and text without them.

Whatever reads an address tells its password here, so that nothing which is said later repeats it:
messages of errors, lines of logs, what a program prints when it ends by a fault of its own.
"""

import re
from urllib.parse import quote, quote_plus

_SHORTEST = 4  # shorter ones would be found in ordinary words; they are masked in addresses only
_known: set[str] = set()
_ADDRESS = re.compile(r"(\b[a-z][a-z0-9+.]*://[^\s:/@'\"]*:)[^\s'\"]+(?=@)", re.IGNORECASE)
_OPTION = re.compile(r"(\b(?:ssl|pg)?pass(?:word)?\s*=\s*)('[^']*'|[^\s&'\"]+)", re.IGNORECASE)


def remember(password: str) -> None:
    """From now on a password is written as ***, as it is and as an address encodes it."""
    if len(password) >= _SHORTEST:
        _known.update({password, quote(password, safe=""), quote_plus(password)})


def redacted(text: str) -> str:
    """Text without passwords: those that are known, and whatever stands where one would.

    >>> redacted("no connection to postgresql+psycopg://ada:secret@db/studies")
    'no connection to postgresql+psycopg://ada:***@db/studies'
    >>> redacted("an @ that nobody encoded: postgresql://ada:se@cret@db/studies")
    'an @ that nobody encoded: postgresql://ada:***@db/studies'
    >>> redacted("host=db user=ada password=secret")
    'host=db user=ada password=***'
    """
    for password in sorted(_known.copy(), key=len, reverse=True):
        text = text.replace(password, "***")
    text = _ADDRESS.sub(r"\1***", text)
    return _OPTION.sub(r"\1***", text)
