"""Quality: how good a task is. Each figure comes with where it came from; `metrics.better` says which way is good."""

from gentickets.quality.collapse import collapsed
from gentickets.quality.downstream import accuracy_on_reconstructions, accuracy_on_samples
from gentickets.quality.evaluate import Evaluation, evaluate
from gentickets.quality.extractor import Extractor, Seen
from gentickets.quality.features import OwnFeatures, extractor
from gentickets.quality.figures import averages
from gentickets.quality.floors import floors
from gentickets.quality.frechet import frechet
from gentickets.quality.inception import InceptionFeatures, inception
from gentickets.quality.kernel import kid
from gentickets.quality.neighbours import neighbours
from gentickets.quality.pictures import grid_png, reconstruction_grid, sample_grid
from gentickets.quality.score import inception_score

__all__ = [
    "Evaluation",
    "Extractor",
    "InceptionFeatures",
    "OwnFeatures",
    "Seen",
    "accuracy_on_reconstructions",
    "accuracy_on_samples",
    "averages",
    "collapsed",
    "evaluate",
    "extractor",
    "floors",
    "frechet",
    "grid_png",
    "inception",
    "inception_score",
    "kid",
    "neighbours",
    "reconstruction_grid",
    "sample_grid",
]
