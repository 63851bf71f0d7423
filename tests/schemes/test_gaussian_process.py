"""Fits of Gaussian processes in one run."""

import numpy as np

from kofn.codes import LinearCode
from kofn.schemes.functions._gaussian_process import GaussianProcess


def test_fits_are_there_whatever_another_thread_fits_meanwhile():
    """Between noting a fit and looking it up another thread could drop it: a KeyError."""

    class Dropping(dict):
        def __setitem__(self, key, value):
            """As if another thread cleared it at once."""

    code = LinearCode("three", np.eye(3), np.eye(3), worker=[0, 1, 2])
    learner = GaussianProcess.along(code, np.eye(3), np.array([0.0, 1.0, 2.0])).learner()
    vars(learner)["_newest"] = Dropping()
    found = learner.fit([0, 2], np.array([[5.0], [7.0]])).prior()
    assert np.isclose(found.common[0], 6.0)
