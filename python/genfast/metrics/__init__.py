"""How good samples are: measures over features of a classifier, and over the samples themselves::

    samples --.                                      .-- frechet_distance, kernel_distance
               >-- Classifier.features --> (N, F) --<
    real -----'                                      '-- precision_recall

    samples of a class ------ recognised          is each the class that was asked for?
    samples, centres -------- mode_coverage       does a mode of the toy go missing?
    samples, train, held ---- memorisation        are they training examples?

The classifier is a small one, trained in seconds on the same data: nothing is downloaded. All sums
are taken in float64.
"""

from __future__ import annotations

from genfast.metrics.classifier import Classifier, recognised, train_classifier
from genfast.metrics.copies import Memorisation, memorisation
from genfast.metrics.frechet import frechet_distance, frechet_distance_of_gaussians
from genfast.metrics.kernel import KernelDistance, kernel_distance
from genfast.metrics.modes import ModeCoverage, mode_coverage
from genfast.metrics.neighbours import PrecisionRecall, precision_recall

__all__ = [
    "Classifier",
    "KernelDistance",
    "Memorisation",
    "ModeCoverage",
    "PrecisionRecall",
    "frechet_distance",
    "frechet_distance_of_gaussians",
    "kernel_distance",
    "memorisation",
    "mode_coverage",
    "precision_recall",
    "recognised",
    "train_classifier",
]
