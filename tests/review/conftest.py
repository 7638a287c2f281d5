"""A folder with two groups of duplicates, and the page for it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest
from starlette.routing import Route

from snoopsync.config.file import load_config
from snoopsync.review.entry import Entry
from snoopsync.review.parts import opened_parts
from snoopsync.review.routes import all_routes
from tests.support.hosted import hosted
from tests.support.page_client import PageClient
from tests.support.pictures import encode, photo
from tests.support.process import Installation
from tests.support.reviewing import Reviewed, reviewing
from tests.support.two_groups import SIZE, two_groups


def mirrored(path: Path) -> Installation:
    """Two groups that are mirrored. No service runs."""
    home = two_groups(path)
    home.ok("resync")
    return home


@pytest.fixture
def home(tmp_path: Path) -> Installation:
    return mirrored(tmp_path)


@pytest.fixture
def page(home: Installation) -> Iterator[Reviewed]:
    """The page for this folder, which nobody has entered."""
    with reviewing(home) as page:
        yield page


@pytest.fixture
def client(page: Reviewed) -> PageClient:
    """A browser that has entered."""
    return PageClient(page)


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[tuple[Installation, Installation]]:
    """Two machines on one remote collection, with one picture in common."""
    with hosted(tmp_path / "data") as service:
        homes = []
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
            home = Installation(tmp_path / name)
            public_key, secret_key = service.keys("family")
            (home.home / "secret").write_text(secret_key)
            (home.home / "secret").chmod(0o600)
            (home.pictures / f"{name}.jpg").write_bytes(encode(photo(1, SIZE)))
            home.configure(
                f"collection: {{endpoint: '{service.endpoint}', public_key: {public_key},"
                f" secret_key_file: '{home.home / 'secret'}', owner: {name}}}\n"
                "sync: {settle: 50ms, delete_after: 0s}\n"
            )
            homes.append(home)
        yield homes[0], homes[1]


#: For each parameter of a path, a value of the right form.
_PARAMETERS = {"group": "1", "image_id": "tests.a", "name": "style.css"}


@pytest.fixture
def routes(home: Installation) -> Iterator[list[Route]]:
    """All routes of the page."""
    path = home.home / "config" / "snoopsync" / "config.yaml"
    with mock.patch.dict(os.environ, home.environment, clear=True):
        config = load_config(path, home.environment)
        entry = Entry(0, lambda: 0.0)
        with opened_parts(config, entry, home.home / "thumbnails", has_trash=True) as parts:
            yield all_routes(parts)


def path_of(route: Route) -> str:
    return route.path.format(**_PARAMETERS)
