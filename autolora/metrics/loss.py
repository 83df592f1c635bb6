"""The mean loss in nats, each example by its weight."""

from autolora.training.answers import loss as metric

__all__ = ["DIRECTION", "metric"]

DIRECTION = "minimize"
