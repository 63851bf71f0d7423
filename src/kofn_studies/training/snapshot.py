"""The matrices of a mini-batch in the middle of a training as a point of a study, for Fig. 5 and Table II."""

from __future__ import annotations

from dataclasses import dataclass

from ..datasets.part import Part
from ..study import Point, Result
from .networks import dense_network
from .sgd import SgdSchedule
from .sparsity import snapshot


@dataclass(frozen=True)
class Snapshot(Point):
    """Gradients, weights and inputs of each layer, by ``kind-layer``, in single precision as they were computed.

    Parameters
    ----------
    images : Part
    course : SgdSchedule
        What comes before.
    seed : int
    device : str
    """

    images: Part
    course: SgdSchedule
    seed: int
    device: str = "cpu"

    def compute(self, data: str | None) -> Result:
        """Train, and look at one more mini-batch."""
        images = self.images.load(data)
        network = dense_network(images.shape, len(images.classes), self.seed).to(self.device)
        seen = snapshot(network, images, self.course, self.seed, self.device)
        return {f"{kind}-{layer}": values.astype("float32") for (kind, layer), values in seen.items()}
