"""Full-fidelity trials with any Optuna sampler; the baselines first, and always in the race."""

from autolora.space.space import Space
from autolora.spending.opening import Arm, Baselines, opening

SAMPLES = True


def arms(space: Space, baselines: Baselines, budget_parameters: int | None) -> tuple[Arm, ...]:
    """The head alone and the uniform sweep; the sampler proposes the rest."""
    return opening(space, baselines, budget_parameters)
