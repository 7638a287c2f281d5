"""Parts that make no progress, and the progress of sending."""

from __future__ import annotations

from snoopsync.runtime.liveness import Liveness, SendProgress, SendProgressTracker


def test_a_part_stalls_if_it_has_something_to_do_and_makes_no_progress() -> None:
    liveness = Liveness()
    for now in range(0, 200, 20):
        liveness.look("busy", now, now)
        liveness.look("resting", 0, now, at_rest=True)
        liveness.look("hung", 0, now)
        liveness.look("patient", 0, now, patience_seconds=500.0)
    assert liveness.stalled(200.0) == ["hung"]
    liveness.look("hung", 1, 200.0)
    assert liveness.stalled(200.0) == []


def test_progress_counts_from_the_start_of_sending() -> None:
    tracker = SendProgressTracker()
    assert tracker.look(done=7, left=0, now=1.0) is None
    assert tracker.look(done=7, left=10, now=2.0) == SendProgress(0, 10, 0.0)
    assert tracker.look(done=9, left=8, now=4.0) == SendProgress(2, 8, 2.0)
    assert tracker.look(done=17, left=0, now=5.0) is None
    assert tracker.look(done=17, left=1, now=9.0) == SendProgress(0, 1, 0.0)
