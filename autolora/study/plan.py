"""What a study would do and cost, before it starts: counts, memory, and an estimate of time."""

import os
from dataclasses import dataclass

from torch import nn

from autolora.lora.select import outside
from autolora.space.proposal import Proposal
from autolora.space.spec import SpaceSpec
from autolora.spending.opening import Arm, largest_uniform_rank
from autolora.spending.rates import learning_rates
from autolora.study.overview import Overview, overview
from autolora.study.plan_phases import Phase, phases
from autolora.study.race import arms_of, sampler_of
from autolora.study.session import Session
from autolora.study.timing import Timing, threads_of_a_worker, timed

_BYTES = 4  # of a number in float32, as adapters of any base are trained


@dataclass(frozen=True)
class Memory:
    """What one worker holds.

    The adapter is the largest of the opening; AdamW keeps two moments of each trained number,
    beside its gradient. The peak was measured: of the process, or of torch on a GPU.
    """

    model_bytes: int
    adapter_bytes: int
    head_bytes: int
    gradient_bytes: int
    optimizer_bytes: int
    peak_bytes: int


@dataclass(frozen=True)
class Plan:
    """What is known of a study before it starts.

    Attributes:
        budget_parameters: What an adapter may have, if that is limited.
        uniform_parameters: What each uniform rank of the opening costs; rank 0 is the head alone.
        at_once: How many trials run side by side: workers, or fewer where the cores are fewer.
        seconds: The estimate for the whole, `at_once` considered. It is high where trials are
            stopped early or take kept activations.
    """

    study: str
    phases: tuple[Phase, ...]
    space: Overview
    budget_parameters: int | None
    uniform_parameters: dict[int, int]
    memory: Memory
    timing: Timing
    workers: int
    at_once: int
    seconds: float


def plan(session: Session) -> Plan:
    """What a study would do; a few steps are run to know its time.

    Raises:
        UsageError: what starting the study would raise.
    """
    session.check_metric()
    session.space.check_budget(session.budget_parameters)
    sampler_of(session)
    spec, arms = session.spec, arms_of(session)
    proposal = _dearest(session, arms)
    threads = threads_of_a_worker(spec.backend.name, spec.backend.cpus)
    timing = timed(session.task, proposal, spec.training, threads=threads)
    parts, at_once = phases(session, arms, timing), _at_once(session, timing)
    targets = session.space.targets
    return Plan(
        study=spec.name,
        phases=parts,
        space=_overview(session),
        budget_parameters=session.budget_parameters,
        uniform_parameters={a.uniform_rank: a.allocation.parameters(targets) for a in arms},
        memory=_memory(session, proposal, timing),
        timing=timing,
        workers=spec.backend.workers,
        at_once=at_once,
        seconds=sum(part.seconds for part in parts) / at_once,
    )


def _dearest(session: Session, arms: tuple[Arm, ...]) -> Proposal:
    """The arm with the most parameters; without one, the largest uniform rank of the budget."""
    space = session.space
    targets = space.targets
    arm = max(arms, key=lambda arm: arm.allocation.parameters(targets), default=None)
    if arm is not None:
        return space.fixed(arm.allocation or space.uniform(1), arm.learning_rate)
    rank = largest_uniform_rank(space, session.budget_parameters or 0) or 1
    return space.fixed(space.uniform(rank), learning_rates(space, 1)[0])


def _overview(session: Session) -> Overview:
    spec = session.spec.space
    assert isinstance(spec, SpaceSpec), "read_study reads the space in"
    found = outside(session.model, session.task.head)
    return overview(spec, session.space, found, head_parameters=session.head_parameters)


def _memory(session: Session, proposal: Proposal, timing: Timing) -> Memory:
    parameters = proposal.allocation.parameters(session.space.targets)
    trained = _BYTES * (parameters + session.head_parameters)
    return Memory(
        model_bytes=_held(session.model),
        adapter_bytes=_BYTES * parameters,
        head_bytes=_BYTES * session.head_parameters,
        gradient_bytes=trained,
        optimizer_bytes=2 * trained,
        peak_bytes=timing.peak_bytes,
    )


def _held(model: nn.Module) -> int:
    return sum(t.numel() * t.element_size() for t in (*model.parameters(), *model.buffers()))


def _at_once(session: Session, timing: Timing) -> int:
    """Workers that do not wait for each other's cores; a GPU is shared by all of them.

    How large a cluster is nobody knows here: it is taken to hold all workers.
    """
    if session.spec.backend.address is not None or session.spec.backend.gpus:
        return session.spec.backend.workers
    if session.spec.backend.name == "inline" or timing.device != "cpu":
        return 1
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, min(session.spec.backend.workers, (cores or 1) // timing.threads))
