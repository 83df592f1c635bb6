"""Who may ask a web application for what: a token, reads only, and no other site's pages."""

import hashlib
import hmac
import ipaddress
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

Environment = dict[str, Any]
StartResponse = Callable[..., Any]
Application = Callable[[Environment, StartResponse], Iterable[bytes]]

COOKIE = "autolora_dashboard"
READS = ("GET", "HEAD")


@dataclass(frozen=True)
class Refused:
    """What a request is answered that is not let through."""

    status: str
    text: str
    headers: tuple[tuple[str, str], ...] = ()


def guarded(app: Application, *, token: str | None, writable: bool) -> Application:
    """The application behind its rules.

    With a token every request must carry it: as `Authorization: Bearer …`, or once as `?token=…`,
    which is then kept in a cookie that scripts cannot read. Without one only requests to a
    loopback name are answered, so that no web page can reach in under a name of its own.
    Changes are refused unless `writable`, and always when another site's page sends them.
    """

    def answer(environment: Environment, start: StartResponse) -> Iterable[bytes]:
        refused = _stranger(environment, token) or _change(environment, writable)
        if refused is None:
            return app(environment, start)
        body = f"{refused.text}\n".encode()
        kind = ("Content-Type", "text/plain; charset=utf-8")
        start(refused.status, [kind, ("Content-Length", str(len(body))), *refused.headers])
        return [] if environment["REQUEST_METHOD"] == "HEAD" else [body]

    return answer


def is_loopback(host: str) -> bool:
    """Whether a host name or address means this machine only.

    >>> is_loopback("127.0.0.1"), is_loopback("::1"), is_loopback("0.0.0.0")
    (True, True, False)
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _stranger(environment: Environment, token: str | None) -> Refused | None:
    if token is None:
        name = urlsplit(f"//{environment.get('HTTP_HOST', '')}").hostname or ""
        return None if is_loopback(name) else Refused("403 Forbidden", "only for this machine")
    if _same(_bearer(environment), token) or _same_digest(_cookie(environment), token):
        return None
    query = parse_qsl(environment.get("QUERY_STRING", ""), keep_blank_values=True)
    if environment["REQUEST_METHOD"] in READS and _same(dict(query).get("token", ""), token):
        return _welcome(environment, query, token)
    return Refused(
        "401 Unauthorized",
        "a token is needed: add ?token=… to the address once, or send Authorization: Bearer …",
        (("WWW-Authenticate", "Bearer"),),
    )


def _welcome(environment: Environment, query: list[tuple[str, str]], token: str) -> Refused:
    """Sends the visitor to the same page without the token, which the cookie now holds."""
    rest = urlencode([pair for pair in query if pair[0] != "token"])
    path = "/" + environment.get("PATH_INFO", "/").lstrip("/\\")
    cookie = f"{COOKIE}={_digest(token)}; HttpOnly; SameSite=Lax; Path=/"
    location = path.replace("\r", "").replace("\n", "") + (f"?{rest}" if rest else "")
    headers = (("Location", location), ("Set-Cookie", cookie), ("Referrer-Policy", "no-referrer"))
    return Refused("303 See Other", "welcome", headers)


def _change(environment: Environment, writable: bool) -> Refused | None:
    if environment["REQUEST_METHOD"] in READS:
        return None
    if not writable:
        return Refused("403 Forbidden", "read-only: start the dashboard with --writable to change")
    origin = environment.get("HTTP_ORIGIN")
    if origin is not None and urlsplit(origin).netloc != environment.get("HTTP_HOST"):
        return Refused("403 Forbidden", "changes are taken from the dashboard's own pages only")
    return None


def _bearer(environment: Environment) -> str:
    scheme, _, value = environment.get("HTTP_AUTHORIZATION", "").partition(" ")
    # WSGI hands header bytes over as Latin-1; tokens are UTF-8.
    return value.strip().encode("latin-1").decode(errors="replace") if _is_bearer(scheme) else ""


def _is_bearer(scheme: str) -> bool:
    return scheme.lower() == "bearer"


def _cookie(environment: Environment) -> str:
    try:
        morsel = SimpleCookie(environment.get("HTTP_COOKIE", "")).get(COOKIE)
    except CookieError:
        return ""
    return morsel.value if morsel else ""


def _same(presented: str, token: str) -> bool:
    return _same_digest(_digest(presented), token)


def _same_digest(presented: str, token: str) -> bool:
    """Compares in constant time, whatever the lengths."""
    return hmac.compare_digest(presented.encode(), _digest(token).encode())


def _digest(token: str) -> str:
    return hashlib.sha256(b"autolora dashboard\0" + token.encode()).hexdigest()
