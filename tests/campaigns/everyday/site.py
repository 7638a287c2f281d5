"""The collection, and its faults."""

from __future__ import annotations

import hashlib
import io
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from urllib.parse import unquote

from tests.campaigns.everyday.conditions import FOREIGN, OWNER, Conditions, Story
from tests.campaigns.everyday.ledger import Ledger
from tests.support.collection_server import CollectionServer, Seen
from tests.support.faults import (
    Fault,
    Lost,
    Reply,
    answers,
    dripping,
    reset_after,
    reset_before,
    rewritten,
)
from tests.support.process import until
from tests.support.world import Shelf


def late(seconds: float) -> Fault:
    """The request is carried out after a while."""

    def fault(do: Callable[[], Reply]) -> Reply:
        time.sleep(seconds)
        return do()

    return fault


def unheard(released: threading.Event, seconds: float) -> Fault:
    """The request is carried out, and the answer never comes: the client gives up waiting."""

    def fault(do: Callable[[], Reply]) -> Reply:
        do()
        released.wait(seconds)
        raise Lost

    return fault


_HTML = b"<html><title>It works!</title></html>"
_FAULTS: dict[str, Callable[[], Fault]] = {
    "500": lambda: answers(500),
    "502": lambda: answers(502, _HTML),
    "503": lambda: answers(503, b"", Retry_After="1"),
    "429": lambda: answers(429, b"{}", Retry_After="1"),
    "reset before": reset_before,
    "reset after": reset_after,
    "late": lambda: late(0.3),
    "dripping": lambda: dripping(0.003),
    "HTML": lambda: answers(200, _HTML),
    "no JSON": lambda: rewritten(lambda body: _HTML),
    "cut JSON": lambda: rewritten(lambda body: body[: len(body) // 2]),
}


class Site:
    """The collection on one port, through all the times that its server is down. ``fault_rate`` is
    the share of requests that go wrong; ``refuses_keys`` is a status for all of them."""

    def __init__(self, ledger: Ledger, story: Story, conditions: Conditions) -> None:
        self.contents: dict[str, str] = {}
        self.requests: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self.fault_rate = 0.0
        self.refuses_keys: int | None = None
        self.refused_some = False
        self.port = 0
        self._shelf = Shelf()
        self._ledger = ledger
        self._story = story
        self._dice = random.Random(f"faults {conditions.seed}")
        self._with_bad_files = conditions.with_bad_files
        self._lock = threading.Lock()
        self._released = threading.Event()
        self._up = ExitStack()
        self.is_up = False
        self.rise()
        for image_id, data in FOREIGN.items():
            self._shelf.add_image(io.BytesIO(data), image_id)
            self.contents[image_id] = hashlib.sha256(data).hexdigest()

    def rise(self) -> None:
        """Start the server, if it is down."""
        if self.is_up:
            return
        self._released.clear()
        self.server = CollectionServer(self._shelf, port=self.port)
        self.server.contents = self.contents
        self.server.fault_for = self._meet
        self._up.enter_context(self.server)
        self.port = self.server.port
        self.is_up = True

    def fall(self) -> None:
        """Stop the server, and close its port."""
        self._released.set()
        self._up.close()
        self.is_up = False

    def calm(self) -> None:
        """From now on everything is answered."""
        self.fault_rate = 0.0
        self.refuses_keys = None
        self.rise()
        self._released.set()

    def agitate(self, fault_rate: float) -> None:
        """From now on this share of the requests fails."""
        self._released.clear()
        self.fault_rate = fault_rate

    def wait_for_clients_to_leave(self) -> None:
        """What a killed process has sent and was not read is carried out, as on any network."""
        self._released.set()
        until(lambda: not self.server.is_busy)
        self._released.clear()

    def digests(self) -> dict[str, str]:
        """The SHA-256 of each image of this owner."""
        ours = f"{OWNER}."
        return {key: sha for key, sha in dict(self.contents).items() if key.startswith(ours)}

    def _meet(self, seen: Seen) -> Fault | None:
        """On the server's threads."""
        with self._lock:
            self.requests[seen.method] += 1
            name, fault = self._choose(seen)
            if fault is not None:
                self.faults[name] += 1
            changes = seen.method in ("DELETE", "PUT") or "/image" in seen.path
            if changes and seen.method != "GET":
                self._story.tell(
                    f"    {seen.method} {seen.image_id} {seen.sha256[:8] if seen.length else ''}"
                    f" {name}{'' if seen.whole else ' (not whole)'}"
                )
                self._judge(seen)
            elif fault is not None:
                self._story.tell(f"    {seen.method} {seen.path} {name}")
            if len(self.server.requests) > 1000:
                self.server.requests.clear()
            return fault

    def _judge(self, seen: Seen) -> None:
        is_label = seen.path.endswith("/label")
        image_id = unquote(seen.path.split("/")[-2]) if is_label else seen.image_id or ""
        if not image_id.startswith(f"{OWNER}."):
            self._story.violate(f"{seen.method} {seen.path}: not an image of ours")
        if is_label:
            return  # it changes no picture
        if seen.whole and (wrong := self._ledger.judge(seen)):
            self._story.violate(wrong)

    def _choose(self, seen: Seen) -> tuple[str, Fault | None]:
        if self.refuses_keys is not None:
            return f"{self.refuses_keys}", answers(self.refuses_keys, b"{}")
        if self._dice.random() >= self.fault_rate:
            return "", None
        chance = self._dice.random()
        if chance < 0.04:
            return "unheard", unheard(self._released, 3.0)
        if chance < 0.07 and self._with_bad_files and "/image/" in seen.path:
            self.refused_some = True
            status = self._dice.choice((400, 415))
            return f"refused {status}", answers(status, b'{"message": "not today"}')
        name = self._dice.choice(list(_FAULTS))
        return name, _FAULTS[name]()
