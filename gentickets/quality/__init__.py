"""Quality: how good a task is. Figures are lower-is-better, and each comes with where it came from."""

from gentickets.quality.collapse import collapsed, coverage_gap
from gentickets.quality.evaluate import Evaluation, evaluate
from gentickets.quality.features import Extractor, extractor
from gentickets.quality.figures import averages
from gentickets.quality.frechet import frechet
from gentickets.quality.pictures import grid_png, reconstruction_grid, sample_grid

__all__ = [
    "Evaluation",
    "Extractor",
    "averages",
    "collapsed",
    "coverage_gap",
    "evaluate",
    "extractor",
    "frechet",
    "grid_png",
    "reconstruction_grid",
    "sample_grid",
]
