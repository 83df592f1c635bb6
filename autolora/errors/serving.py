"""What servers say: the dashboard, the metrics."""

from autolora.errors.kinds import UsageError


class TokenNeeded(UsageError):
    """A server that others could reach, without a token."""

    def __init__(
        self, host: str, what: str = "a dashboard", variable: str = "AUTOLORA_DASHBOARD_TOKEN"
    ) -> None:
        super().__init__(
            f"{what} on {host} could be read by others and there is no token; "
            f"give one in {variable}, or serve on 127.0.0.1"
        )


class CannotServe(UsageError):
    """An address that a server cannot have."""

    def __init__(self, host: str, port: int, reason: str, what: str = "the dashboard") -> None:
        super().__init__(
            f"{what} cannot have port {port} on {host}: {reason}; "
            "choose another with --port or --host (port 0 takes a free one)"
        )


class TokenFile(UsageError):
    """A file that is to hold the token of a server, and cannot."""

    def __init__(self, path: object, problem: str) -> None:
        super().__init__(
            f"the token file {path} cannot be used: {problem}; it is to hold the token on one "
            "line, and only you may read it: chmod 600 FILE"
        )
