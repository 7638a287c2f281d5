"""The review page of an installation, in a thread of the test: over real sockets."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from unittest import mock

from snoopsync.config.file import load_config
from snoopsync.core.addresses import Address
from snoopsync.review.server import entrance, open_listener, serving
from tests.support.process import Installation


@dataclass(frozen=True, slots=True)
class Reviewed:
    """A page that runs. ``address`` is its origin, and ``entrance`` has the token."""

    port: int
    entrance: str

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def reviewing(
    installation: Installation, *, trash: bool = False, allow_hosts: Sequence[str] = ()
) -> Iterator[Reviewed]:
    """The page, as long as the ``with`` lasts. The command itself refuses root, as whom the tests
    may run."""
    path = installation.home / "config" / "snoopsync" / "config.yaml"
    with ExitStack() as stack:
        listener = stack.enter_context(open_listener(Address("127.0.0.1", 0)))
        # The state file and the page's own one are in the home directory of whoever runs the page.
        with mock.patch.dict(os.environ, installation.environment, clear=True):
            page = serving(
                load_config(path, installation.environment),
                listener,
                installation.home / "cache" / "thumbnails",
                allowed_hosts=allow_hosts,
                has_trash=trash,
            )
            _, entry = stack.enter_context(page)
        yield Reviewed(listener.getsockname()[1], entrance(listener, entry))
