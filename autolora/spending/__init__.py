"""How a budget of compute is spent: the work of a strategy, its account, its ledger."""

from autolora.spending.found import Found
from autolora.spending.journal import Journal, Memory
from autolora.spending.stage import Stage
from autolora.spending.work import Work

__all__ = ["Found", "Journal", "Memory", "Stage", "Work"]
