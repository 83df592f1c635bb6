"""What is said to those who watch and steer a running study."""

from autolora.errors.kinds import UsageError


class StudyStopped(UsageError):
    """A study that somebody stopped is to go on."""

    def __init__(self, study: str) -> None:
        super().__init__(
            f'study "{study}" was stopped and no worker begins a trial of it; '
            f"let it go on with: autolora resume {study}"
        )


class OtherMaterial(UsageError):
    """A worker whose data, model or code are not those that the study is searched with."""

    def __init__(self, study: str) -> None:
        super().__init__(
            f'the data or the model of study "{study}" are others here than where it began, and '
            "trials of both cannot be compared; bring the same files here, or start a study of "
            "another name"
        )


class NoSuchTrial(UsageError):
    """A number that no trial of the study has."""

    def __init__(self, study: str, number: int, count: int) -> None:
        there = f"they are 0 to {count - 1}" if count else "it has none yet"
        super().__init__(f'study "{study}" has no trial {number}; {there}')
