"""Where the page gets what it knows, and sends what a person decides: a running service, or the
state file where no service runs."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping
from contextlib import closing
from typing import Any

from snoopsync.config.settings import Config
from snoopsync.control.channel import Message, socket_path
from snoopsync.control.client import result_from_service
from snoopsync.control.commands import validate_command
from snoopsync.core.errors import ServiceUnavailable
from snoopsync.core.identity import Identity
from snoopsync.core.model import Fingerprint, RelPath
from snoopsync.review.pictures import KnownPicture
from snoopsync.state.images import State
from snoopsync.state.lock import holder, locked
from snoopsync.status.review_data import ReviewData
from snoopsync.sync.approving import approve_held
from snoopsync.sync.components import open_state
from snoopsync.sync.deciding import carry_out_decision

#: How many images one request names: some 100 bytes each.
IMAGES_PER_REQUEST = 5000


class Source:
    """Answers questions and carries out decisions, each a command of
    ``snoopsync.control.commands``. For any thread."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._data = ReviewData(config)
        self._socket = socket_path(config.state)
        self._writing = threading.Lock()
        self._has_service = False

    @property
    def is_alone(self) -> bool:
        """Is there no service that watches the folders?"""
        return not self._has_service and holder(self._config.state) is None

    def ask(self, command: Message) -> Message:
        """The result of a question or of a decision. Raises ``SnoopsyncError``."""
        validate_command(command)
        if self._has_socket():
            try:
                result = result_from_service(self._config.state, command)
                self._has_service = True
                return result
            except ServiceUnavailable:
                # A service that was killed leaves its socket.
                if holder(self._config.state) is not None:
                    raise
        self._has_service = False
        if self._data.answers(command):
            return self._data.answer(command)
        return self._carry_out(command)

    def pictures(self, image_ids: list[str]) -> dict[str, KnownPicture]:
        """Those of these images that have a file in a configured folder, by ID."""
        found = self.ask({"command": "pictures", "ids": image_ids})["pictures"]
        return {image_id: _known_picture(image_id, each) for image_id, each in found.items()}

    def image_at(self, path: RelPath) -> str | None:
        """The ID of the image at this path; ``None`` if there is none."""
        paths = [[path.folder, path.path.hex()]]
        [image_id] = self.ask({"command": "images_at", "paths": paths})["ids"]
        return None if image_id is None else str(image_id)

    def close(self) -> None:
        """Close the files."""
        self._data.close()

    def _has_socket(self) -> bool:
        try:
            return self._socket.exists()
        except OSError:
            return False  # its directory is closed to this user

    def _carry_out(self, command: Message) -> Message:
        config = self._config
        with (
            self._writing,
            locked(config.state),
            closing(open_state(config.state)) as database,
        ):
            state = State(database)
            if command["command"] == "approve":
                name, discard = command.get("folder"), command.get("discard") is True
                return approve_held(state, config, name, discard)
            return carry_out_decision(state, command, time.time())


def _known_picture(image_id: str, known: Mapping[str, Any]) -> KnownPicture:
    identity, sha256 = known["identity"], known["sha256"]
    return KnownPicture(
        image_id,
        os.fsencode(known["root"]),
        None if identity is None else Identity(*identity),
        os.fsencode(known["path"]),
        Fingerprint(*known["fingerprint"]),
        None if sha256 is None else bytes.fromhex(sha256),
    )
