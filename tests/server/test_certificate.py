"""The dates of the service's own certificate."""

from __future__ import annotations

import time

import pytest

from snoopsync.server.certificate import certificate_warning
from tests.support.authority import Authority

pytestmark = pytest.mark.integration


def test_a_certificate_that_expires_soon_is_reported(authority: Authority) -> None:
    now = time.time()
    for days, said in [(-1, "has expired"), (10, "expires on"), (30, None)]:
        made = authority.signed(f"days{days}", days=days)
        warning = certificate_warning(made.server_context(), made.path, now)
        assert (warning is None) if said is None else (said in str(warning)), (days, warning)
    own = authority.self_signed("own")
    assert "expires on" in str(certificate_warning(own.server_context(), own.path, now))
