"""Threads that run jobs, and never keep the process from ending."""

from __future__ import annotations

import threading
from concurrent.futures import CancelledError

import pytest

from snoopsync.runtime.workers import Workers


def test_results_come_in_the_order_of_the_items() -> None:
    workers = Workers(3, "test")
    assert workers.map(lambda number: number * number, range(20)) == [n * n for n in range(20)]
    assert workers.close(5.0)


def test_jobs_run_side_by_side() -> None:
    workers, meeting = Workers(2, "test"), threading.Barrier(2)
    assert sorted(workers.map(lambda _: meeting.wait(20.0), range(2))) == [0, 1]
    assert workers.close(5.0)


def test_the_caller_gets_the_error_of_a_job_and_the_thread_goes_on() -> None:
    workers = Workers(1, "test")

    def fail() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        workers.submit(fail).result(20.0)
    assert workers.submit(lambda: "next").result(20.0) == "next"
    assert workers.close(5.0)


def test_closing_cancels_waiting_jobs_and_reports_one_that_hangs() -> None:
    workers, begun, end = Workers(1, "test"), threading.Event(), threading.Event()

    def hang() -> str:
        begun.set()
        end.wait(20.0)
        return "done"

    running, waiting = workers.submit(hang), workers.submit(lambda: "never")
    begun.wait(20.0)
    assert not workers.close(0.01)
    with pytest.raises(CancelledError):
        waiting.result(20.0)
    end.set()
    assert running.result(20.0) == "done"


def test_the_threads_do_not_keep_the_process_from_ending() -> None:
    workers = Workers(1, "test of workers")
    threads = [each for each in threading.enumerate() if each.name.startswith("test of workers")]
    assert [each.daemon for each in threads] == [True]
    assert workers.close(5.0)
