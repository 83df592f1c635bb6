"""What a sampler draws for a trial, whichever process asks and however often it was killed.

The generators of a sampler live in its process. Seeded once there, a process that follows a killed
one would draw the same numbers again, and the budget would go into trials that ran before. So they
are seeded for each trial, by the seed of the study and the place of the trial in it; a trial that
is tried again has the place of its first attempt.
"""

from collections.abc import Sequence

from optuna.samplers import BaseSampler
from optuna.samplers._lazy_random_state import LazyRandomState
from optuna.trial import FrozenTrial, TrialState


def place(told: Sequence[FrozenTrial]) -> int:
    """The place of the trial that is asked for next: how many were begun before, retries aside.

    `told` are all trials, in the order of their numbers.
    """
    of = {trial.number: trial.user_attrs.get("retry_of") for trial in told}
    first = [number for number, earlier in of.items() if earlier is None]
    waiting = (trial.number for trial in told if trial.state == TrialState.WAITING)
    number = next(waiting, None)
    if number is None:
        return len(first)
    while (earlier := of.get(number)) is not None:
        number = earlier
    return sum(each < number for each in first)


def seed(sampler: BaseSampler, *numbers: int) -> None:
    """Seeds the generators of a sampler, and of those it asks itself.

    What else a sampler keeps is left alone: a grid its cells, a sampler of the user's its state.
    """
    for kept in vars(sampler).values():
        if isinstance(kept, LazyRandomState):
            kept.rng.seed(numbers)
        elif isinstance(kept, BaseSampler):
            seed(kept, *numbers)
