"""The exit code of each error."""

from __future__ import annotations

import pytest

from snoopsync.core import errors
from snoopsync.core.errors import SnoopsyncError
from snoopsync.core.exits import Exit, exit_code, exit_code_of_kind


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (errors.ConfigError, Exit.CONFIG),
        (errors.StateTooNew, Exit.CONFIG),
        (errors.StateLocked, Exit.LOCKED),
        (errors.ServiceUnavailable, Exit.LOCKED),
        (errors.Unauthorized, Exit.UNAUTHORIZED),
        (errors.Unreachable, Exit.UNREACHABLE),
        (errors.NotConnected, Exit.UNREACHABLE),
        (errors.BadAnswer, Exit.UNREACHABLE),
        (errors.FolderMissing, Exit.HELD_OR_MISSING),
        (errors.StateDamaged, Exit.BUG),
        (errors.StateFull, Exit.BUG),
        (errors.UnsafeDirectory, Exit.BUG),
    ],
)
def test_the_kind_of_an_error_decides(kind: type[SnoopsyncError], code: Exit) -> None:
    assert exit_code_of_kind(kind) is code


def test_an_error_of_the_service_keeps_its_code() -> None:
    assert exit_code(errors.ServiceFailed("missing", Exit.HELD_OR_MISSING)) is Exit.HELD_OR_MISSING
    assert exit_code(errors.StateLocked("held")) is Exit.LOCKED
