"""Options of the commands that train on images: what is read, how long it is trained on."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import tyro

from genfast.commands.checks import check_whole
from genfast.commands.runs import check_training
from genfast.data import Images, read_images

__all__ = ["ImageTraining"]

_COUNTS = ("batch_size", "accumulate", "epochs", "steps", "evaluate_every", "patience")
# What may differ when a run is gone on with: where things lie, and how often they are kept.
_FREE = ("data", "labels", "key", "label_key", "size", "out", "resume", "checkpoint_every")


@dataclass(frozen=True)
class ImageTraining:
    """What every command that trains on images is told; a family adds what its models are made of.

    Attributes:
        COUNTS: Options of the family that are None or at least 1.
        EPOCHS: How long to train where nothing is said.
    """

    COUNTS: ClassVar[tuple[str, ...]] = ()
    EPOCHS: ClassVar[int] = 20

    data: tyro.conf.Positional[Annotated[str, tyro.conf.arg(metavar="DATA")]]
    """"digits" (scikit-learn's), a folder of pictures whose sub-folders are classes, an .npy or
    .npz file, or an IDX file such as train-images-idx3-ubyte.gz."""
    out: Path
    """Folder of the run: the model, its checkpoint, log.csv and curves.png."""
    resume: tyro.conf.FlagCreatePairsOff[bool] = False
    """Go on with the run in --out where it stopped; begin it where there is none."""
    labels: Path | None = None
    """File of the labels of an .npy or IDX file."""
    key: str | None = None
    """Array of an .npz file that holds the images, where several could."""
    label_key: str | None = None
    """Array of an .npz file that holds the labels, where several could."""
    size: tuple[int, int] | None = None
    """Height and width that the pictures of a folder are cut and scaled to."""
    levels: int | None = None
    """Bring the images to so many levels; else as they are, 256 for pictures."""
    conditional: bool = True
    """Learn the images of each class where the data has labels, so that they can be asked for."""
    batch_size: int = 32
    """Images of a step."""
    accumulate: int = 1
    """Parts that a batch is cut into, to save memory; the step is the same."""
    lr: float = 2e-3
    """The highest learning rate; it rises, then falls to zero by a cosine."""
    epochs: int | None = None
    """How long to train; some where neither epochs nor steps nor seconds are given."""
    steps: int | None = None
    """How long to train, in batches."""
    seconds: float | None = None
    """How long to train, in wall time; such a run comes out otherwise each time."""
    held_out: float = 0.1
    """Share of the images, chosen by the seed, that is not trained on but measured."""
    evaluate_every: int | None = None
    """Steps between two measurements on the held-out images; else one after every epoch."""
    patience: int | None = None
    """End after so many measurements without a better one, and keep the best."""
    ema: float | None = None
    """Keep a moving average of the weights with this decay, such as 0.999."""
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Of the arithmetic in training; auto takes less than float32 where it is faster."""
    checkpoint_every: float = 30.0
    """Seconds between two checkpoints."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to train; auto is a GPU where torch sees one."""
    seed: int = 0
    """Of the weights, the split, the order of the images and what training draws."""

    def check(self) -> None:
        """Raises ValueError for a number that is out of range, before anything is read."""
        check_training(self, (*self.COUNTS, *_COUNTS))
        check_whole("train", "levels", self.levels, 2)

    def recorded(self) -> dict[str, Any]:
        """The options that decide how the run ends, beside the images themselves."""
        return {name: value for name, value in asdict(self).items() if name not in _FREE}

    @property
    def longest(self) -> int | None:
        """Epochs to train; None where steps or time alone decide."""
        unlimited = self.epochs is self.steps is self.seconds is None
        return self.EPOCHS if unlimited else self.epochs

    def read(self) -> Images:
        """The images, without labels where these are not to be learnt.

        Raises:
            ValueError: The data is damaged, or an option does not fit it.
            OSError: A file cannot be read.
            ImportError: scikit-learn is needed for the digits and not installed.
        """
        images = read_images(
            self.data,
            labels=self.labels,
            levels=self.levels,
            size=self.size,
            key=self.key,
            label_key=self.label_key,
        )
        return images if self.conditional else images.unlabelled()
