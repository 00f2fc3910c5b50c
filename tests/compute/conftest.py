"""Keras as if nothing had been made with it before."""

from __future__ import annotations

import keras
import pytest


@pytest.fixture
def _anew(_backend: str) -> None:
    keras.backend.clear_session()  # Names begin anew.
    keras.utils.set_random_seed(0)
