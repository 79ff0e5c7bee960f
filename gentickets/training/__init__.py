"""Training: a task with its optimizers and averages, and the loop in which a step is a function of its number."""

from gentickets.training.loop import CHECK_EVERY, Losses, Watcher, grow, train
from gentickets.training.norms import estimate_norms
from gentickets.training.plan import Plan
from gentickets.training.training import Training
from gentickets.training.turn import Turn

__all__ = ["CHECK_EVERY", "Losses", "Plan", "Training", "Turn", "Watcher", "estimate_norms", "grow", "train"]
