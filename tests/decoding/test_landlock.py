"""Landlock denies access to files, TCP and other processes."""

from __future__ import annotations

import pytest

from snoopsync.decoding import landlock


def test_a_kernel_without_landlock_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(landlock, "version", lambda: 0)
    with pytest.raises(OSError, match="no Landlock"):
        landlock.give_up_all()
