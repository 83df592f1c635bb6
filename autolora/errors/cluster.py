"""What running on a cluster says."""

from collections.abc import Collection

from autolora.errors.kinds import AutoloraError, StorageUnavailable, UsageError, listed


class RayExposed(UsageError):
    """A Ray that others could reach, without a token: whoever reaches it can run code there."""

    def __init__(self, where: str) -> None:
        super().__init__(
            f"Ray at {where} asks nobody for a token, and whoever reaches it can run code there; "
            "start it and everything that talks to it with RAY_AUTH_MODE=token "
            "(a token is made by: ray get-auth-token --generate), or keep it on 127.0.0.1"
        )


class RayUnreachable(AutoloraError):
    """A cluster that cannot be joined."""

    def __init__(self, address: str, reason: str) -> None:
        super().__init__(
            f"there is no Ray cluster at {address}: {reason}; start one with: ray start --head, "
            "or leave out backend.address for one on this machine"
        )


class RayClient(UsageError):
    """An address of Ray Client, through which a search cannot be steered."""

    def __init__(self, address: str) -> None:
        super().__init__(
            f"{address} is an address of Ray Client, which loses a search when its connection ends;"
            " run the search on the cluster: ray job submit -- autolora search STUDY.yaml"
        )


class OneMachineOnly(UsageError):
    """A SQLite file and a cluster of several machines."""

    def __init__(self, hosts: Collection[str]) -> None:
        super().__init__(
            f"a SQLite file serves one machine and this cluster has {len(hosts)} "
            f"({listed(sorted(hosts))}); name a PostgreSQL database with --storage"
        )


class AddressNotHere(StorageUnavailable):
    """A worker that was told of a database whose password it does not know."""

    def __init__(self, host: str, where: str, here: str | None) -> None:
        has = f"AUTOLORA_STORAGE there is {here}" if here else "AUTOLORA_STORAGE is not set there"
        super().__init__(
            f"the worker on {host} does not know the password of {where}, and passwords travel in "
            f"no job: {has}; set it to the same address in the environment of Ray's nodes, or leave"
            " the password out of it and give nodes PGPASSFILE or PGPASSWORD"
        )


class WorkersLost(AutoloraError):
    """Workers that ended one after the other without a result."""

    def __init__(self, count: int, last_words: str) -> None:
        super().__init__(
            f"{count} workers in a row ended without a result; the same command goes on where it "
            f"stopped. The last one said:\n{last_words.strip() or 'nothing'}"
        )


class JobFailed(AutoloraError):
    """A fault of the program in a worker."""

    def __init__(self, words: str) -> None:
        super().__init__(
            "a worker failed; the same command goes on where it stopped. "
            f"Its last words:\n{words.strip()}"
        )
