"""Decides when images that the collection refused are sent again.

Each image is retried on its own schedule. If the collection refuses a format, its images wait, and
one of them is sent on the same schedule. When that one is accepted, all others follow at once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace

from snoopsync.core.backoff import IMAGE_RETRY_SECONDS
from snoopsync.core.events import Event
from snoopsync.core.model import RelPath, path_keys
from snoopsync.core.text import images
from snoopsync.state.formats import FILES_OF_A_FORMAT, FormatAnswers, format_of
from snoopsync.state.images import State
from snoopsync.state.intents import Outstanding
from snoopsync.state.schedule import Schedule
from snoopsync.sync.transfer import Rejected

#: Every collection accepts these formats. A file of them that is refused is damaged.
_ALWAYS_ACCEPTED = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".png"})


class Refusals:
    """The refusals of images, and of formats. Used by the engine's thread. ``log`` is called like
    ``Sender._log``."""

    def __init__(self, state: State, schedule: Schedule, log: Callable[..., None]) -> None:
        self._intents = state.intents
        self._formats = state.formats
        self._schedule = schedule
        self._log = log
        self._answers = state.formats.answers()
        #: The images that are being sent to try their format again.
        self._trying: dict[str, str] = {}

    def may_send(self, item: Outstanding) -> bool:
        """Whether to send this image now. If its format is refused and must wait, all images of the
        format wait. If it is time to try the format again, this image is the one."""
        suffix = format_of(item.record.rel_path)
        answers = self._answers.get(suffix)
        if answers is None or answers.retry_at is None:
            return True
        now = self._schedule.now()
        # The clock may have been far ahead when this time was stored.
        if now < answers.retry_at <= now + _delay(answers.attempts):
            self._formats.wait(suffix, answers, now)
            return False
        attempts = answers.attempts + 1
        retry_at = now + _delay(attempts)
        self._save(suffix, replace(answers, attempts=attempts, retry_at=retry_at))
        self._trying[item.record.image_id] = suffix
        return True

    def try_now(self) -> None:
        """Try each refused format again at once."""
        for suffix, answers in self._answers.items():
            if answers.retry_at is not None:
                self._try_now(suffix)

    def forget_formats(self) -> None:
        """Forget all answers to formats, because the collection is another one."""
        for suffix, answers in self._answers.items():
            if answers.retry_at is not None:
                self._formats.release(suffix, answers)
        self._answers = {}
        self._trying.clear()
        self._formats.save({})

    def note_accepted(self, image_id: str, rel_path: RelPath) -> None:
        """Note that the collection accepted an image, and so its format."""
        self._trying.pop(image_id, None)
        suffix = format_of(rel_path)
        answers = self._answers.get(suffix, FormatAnswers())
        if not suffix or (answers.accepted and answers.retry_at is None):
            return
        # An image that is trying the format at this moment decides nothing any more.
        self._trying = {image: tried for image, tried in self._trying.items() if tried != suffix}
        self._save(suffix, FormatAnswers(accepted=True))
        if answers.retry_at is not None:
            count = self._formats.release(suffix, answers)
            self._log(
                f"the collection accepts {suffix} files again",
                logging.WARNING,
                Event.FORMAT_ACCEPTED,
                "the collection accepts %s files again: %s can be sent",
                *(suffix, images(count)),
                suffix=suffix,
                count=count,
            )

    def note_refused(self, rejected: Rejected) -> None:
        """Note that an image was refused, or could not be read. It is sent again later."""
        reason, is_new = rejected.reason, True
        answers = self._with_refusal(rejected)
        if answers is not None and answers.retry_at is not None:
            self._wait(rejected, answers)
            return
        if rejected.mark is not None:
            retry_at = self._schedule.now() + _delay(rejected.attempts)
            is_new = self._intents.defer(rejected.image_id, rejected.mark, reason, retry_at)
        if is_new:
            self._log(
                reason,
                logging.WARNING,
                Event.REFUSED,
                "%s: %s",
                *(rejected.rel_path or rejected.image_id, reason),
                **path_keys(rejected.rel_path),
                image_id=rejected.image_id,
                reason=reason,
            )

    def note_ended(self, image_id: str) -> None:
        """Note that the request for an image ended. If it tried a format, but the collection did
        not answer, another image of the format is sent instead."""
        suffix = self._trying.pop(image_id, None)
        if suffix is not None:
            self._try_now(suffix)

    def _wait(self, rejected: Rejected, answers: FormatAnswers) -> None:
        """Let an image of a refused format wait like the others."""
        assert rejected.mark is not None and rejected.rel_path is not None
        self._trying.pop(rejected.image_id, None)
        suffix = format_of(rejected.rel_path)
        self._formats.take_turn(rejected.image_id, rejected.mark, suffix, answers)

    def _with_refusal(self, rejected: Rejected) -> FormatAnswers | None:
        """The answers to files of this format, with this refusal; ``None`` if it says nothing about
        the format."""
        suffix = format_of(rejected.rel_path) if rejected.rel_path is not None else ""
        if not rejected.is_of_format or not suffix or suffix in _ALWAYS_ACCEPTED:
            return None
        answers = self._answers.get(suffix, FormatAnswers())
        if answers.accepted or answers.retry_at is not None:
            return answers
        refused = tuple(dict.fromkeys((*answers.refused, rejected.image_id)))
        answers = replace(answers, refused=refused, reason=rejected.reason)
        if len(refused) >= FILES_OF_A_FORMAT:
            now = self._schedule.now()
            answers = replace(answers, retry_at=now + _delay(0))
            self._formats.wait(suffix, answers, now)
            self._log(
                f"the collection refuses {suffix} files",
                logging.WARNING,
                Event.FORMAT_REFUSED,
                "the collection refuses %s files: %s. They wait, and one of them is tried again"
                " from time to time",
                *(suffix, rejected.reason),
                suffix=suffix,
                reason=rejected.reason,
            )
        self._save(suffix, answers)
        return answers

    def _try_now(self, suffix: str) -> None:
        self._save(suffix, replace(self._answers[suffix], retry_at=0.0))
        self._formats.try_now(suffix, self._answers[suffix])

    def _save(self, suffix: str, answers: FormatAnswers) -> None:
        self._answers[suffix] = answers
        self._formats.save(self._answers)


def _delay(attempts: int) -> float:
    return IMAGE_RETRY_SECONDS[min(attempts, len(IMAGE_RETRY_SECONDS) - 1)]
