"""The features of an image are extracted with few pictures in memory."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from snoopsync.decoding.features import Features
from snoopsync.decoding.source import PictureFile
from snoopsync.embedded import extraction
from snoopsync.embedded.extraction import MOST_PICTURES, Extraction
from tests.embedded.helpers import PICTURES, features


class Decoder:
    """Decodes nothing until ``count`` pictures are in memory. ``most``: how many there were."""

    def __init__(self, count: int) -> None:
        self.most = self._now = 0
        self._count = count
        self._changed = threading.Condition()

    def __call__(self, picture: PictureFile) -> Features:
        with self._changed:
            self._now += 1
            self.most = max(self.most, self._now)
            self._changed.notify_all()
            self._changed.wait_for(lambda: self.most >= self._count, 20.0)
            self._now -= 1
        return features(1)


def test_many_threads_have_few_pictures_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    decoder = Decoder(MOST_PICTURES)
    monkeypatch.setattr(extraction, "_extract", decoder)
    own = Extraction(None)
    with ThreadPoolExecutor(3 * MOST_PICTURES) as pool:
        done = list(pool.map(own.features_of, [PICTURES[0]] * 6 * MOST_PICTURES))
    assert len(done) == 6 * MOST_PICTURES
    assert decoder.most == MOST_PICTURES


def test_an_extraction_of_others_has_a_limit_of_its_own() -> None:
    decoder = Decoder(2 * MOST_PICTURES)
    with ThreadPoolExecutor(2 * MOST_PICTURES) as pool:
        list(pool.map(Extraction(decoder).features_of, [PICTURES[0]] * 2 * MOST_PICTURES))
    assert decoder.most == 2 * MOST_PICTURES
