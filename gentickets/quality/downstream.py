"""Downstream: what images of a model are worth to a classifier (Kalibhat, 2021; Ravuri and Vinyals, 2019)."""

from __future__ import annotations

import torch
from torch import Tensor

from gentickets.data import Images
from gentickets.errors import Status, TicketError
from gentickets.quality.classifier import accuracy_on, fitted
from gentickets.quality.features import OwnFeatures
from gentickets.tasks.base import Task
from gentickets.untouched import untouched

_BLOCK = 256


def accuracy_on_reconstructions(task: Task, images: Images, classifier: OwnFeatures) -> float:
    """Share of the reconstructions of labelled images in which a classifier of real images finds the true class.

    Reconstructions are without noise and in evaluation mode; the task is left as it was (Kalibhat, 2021).
    """
    labels = _labels(images, "accuracy_on_reconstructions").cpu()
    right, start = 0, 0
    with untouched(task, 0):
        for batch in images.chunks(_BLOCK):
            rebuilt = task.reconstruct(batch.to(task.device)).cpu()
            if not torch.isfinite(rebuilt).all():
                raise TicketError("reconstructions are not finite: the network has diverged", Status.DIVERGED)
            guesses = _logits(classifier, rebuilt, "accuracy_on_reconstructions").argmax(1)
            right += int(guesses.eq(labels[start : start + len(batch)]).sum())
            start += len(batch)
    return right / images.n


def accuracy_on_samples(fakes: Tensor, images: Images, classifier: OwnFeatures) -> float:
    """Accuracy on real labelled images of a new classifier that has been trained on samples (n, c, h, w) alone.

    A classification accuracy score (Ravuri and Vinyals, 2019) for models without labels: each sample gets the class
    that ``classifier`` sees in it. Architecture, seeds and training are the classifier's own, so that with the real
    training images in place of the samples it would be that classifier.
    """
    _labels(images, "accuracy_on_samples")
    logits = _logits(classifier, fakes, "accuracy_on_samples")
    architecture, classes = classifier.facts.architecture, logits.shape[1]
    network = fitted(architecture, lambda chosen: fakes[chosen], logits.argmax(1), images.shape, classes)
    found = accuracy_on(network, images)
    return 0.0 if found is None else found


def _labels(images: Images, figure: str) -> Tensor:
    if images.labels is None:
        raise TicketError(f"{figure} needs labelled images; these have no labels")
    return images.labels


def _logits(classifier: OwnFeatures, images: Tensor, figure: str) -> Tensor:
    logits = classifier.look(images).logits
    if logits is None:
        raise TicketError(f"{figure} needs a classifier; {classifier.name} is a random network")
    return logits
