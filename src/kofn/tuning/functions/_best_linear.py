"""The best linear decoder that samples can tell: results and outputs as unknowns, with their mean and covariance.

Whatever workers compute, its results and the outputs wanted have a joint covariance over the inputs' distribution.
Estimates with it are the best linear ones, around the mean, and their error bar needs no model of f.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..._base._numbers import Floats
from ...codes._linear import LinearCode
from ...codes._prior import Prior
from ...schemes.functions._model import KnownPrior
from ...schemes.functions._scheme import CallScheme, FunctionScheme, center


@dataclass(frozen=True, eq=False)
class Joint:
    """Results and outputs that are no results, in units of their sizes, as unknowns.

    Parameters
    ----------
    sizes : (unknowns,) array
        √E‖u_j‖²: an evaluation can be many decades smaller than another one.
    mean : (unknowns, …) array
    prior : Prior
        Both of the unknowns divided by their sizes.
    """

    sizes: Floats
    mean: Floats
    prior: Prior

    @classmethod
    def from_samples(cls, code: LinearCode, results: Floats, outputs: Floats) -> Joint:
        """From samples of what workers return and of the outputs wanted.

        Parameters
        ----------
        results : (draws, rows, …) array
        outputs : (draws, targets, …) array
        """
        samples = np.concatenate([results, outputs[:, row_of_output(code) < 0]], axis=1)
        flat = samples.reshape(*samples.shape[:2], -1)
        sizes = np.sqrt(np.mean(np.sum(flat**2, axis=-1), axis=0))
        sizes = np.where(sizes > 0, sizes, 1.0)
        return cls(sizes, *center(samples / sizes.reshape(1, -1, *[1] * (samples.ndim - 2))))

    def __call__(self, scheme: CallScheme) -> FunctionScheme:
        """The same calls, decoded by the best linear estimate around the mean."""
        code, model = joint_code(scheme.code, self.sizes), KnownPrior(self.prior)
        enough, precision = scheme.enough, scheme.estimating().precision
        return FunctionScheme(code, scheme.functions, scheme.arguments, model, self.mean, enough, precision=precision)


def joint_code(code: LinearCode, sizes: Floats) -> LinearCode:
    """The same rows and outputs where each result is an unknown, and each output that is no result another one.

    Parameters
    ----------
    code : LinearCode
    sizes : (unknowns,) array
        Of the new unknowns.

    Examples
    --------
    >>> half = LinearCode("half", [[1.0, 0.0], [0.5, 0.5]], np.eye(2), worker=[0, 1])
    >>> joint = joint_code(half, np.array([1.0, 2.0, 1.0]))
    >>> joint.generator.tolist(), joint.targets.tolist()
    ([[1.0, 0.0, 0.0], [0.0, 2.0, 0.0]], [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    """
    place = row_of_output(code)
    unseen = np.flatnonzero(place < 0)
    place[unseen] = code.rows + np.arange(len(unseen))
    scaled = np.diag(sizes)
    return LinearCode(code.name, scaled[: code.rows], scaled[place], code.worker, code.load)


def row_of_output(code: LinearCode) -> NDArray[np.intp]:
    """The first row that is an output itself, or −1, (targets,)."""
    same = (code.generator[None] == code.targets[:, None]).all(axis=-1)
    return np.where(same.any(axis=1), same.argmax(axis=1), -1)
