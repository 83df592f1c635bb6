"""What the dashboard says."""

from autolora.errors.kinds import UsageError


class TokenNeeded(UsageError):
    """A dashboard that others could reach, without a token."""

    def __init__(self, host: str) -> None:
        super().__init__(
            f"a dashboard on {host} could be read by others and there is no token; "
            "give one in AUTOLORA_DASHBOARD_TOKEN, or serve on 127.0.0.1"
        )


class CannotServe(UsageError):
    """An address that a server cannot have."""

    def __init__(self, host: str, port: int, reason: str) -> None:
        super().__init__(
            f"the dashboard cannot have port {port} on {host}: {reason}; "
            "choose another with --port or --host (port 0 takes a free one)"
        )
