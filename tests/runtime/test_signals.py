"""The signals of a service, and the thread that they wake."""

from __future__ import annotations

import os
import signal
from contextlib import closing

import pytest

from snoopsync.runtime.signals import Signals, Wakeup, caught, wakeup


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_stop_is_recorded_and_wakes_the_thread(number: signal.Signals) -> None:
    with caught() as signals, wakeup(signals) as wake:
        os.kill(os.getpid(), number)
        wake.wait()
        assert (signals.stop, signals.reload) == (True, False)


def test_a_request_to_reload_is_taken_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("snoopsync.runtime.signals._is_interactive", lambda: False)
    with caught() as signals, wakeup(signals) as wake:
        os.kill(os.getpid(), signal.SIGHUP)
        wake.wait()
        assert not signals.stop
        assert signals.take_reload()
        assert not signals.take_reload()


def test_a_closed_terminal_stops_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("snoopsync.runtime.signals._is_interactive", lambda: True)
    with caught() as signals, wakeup(signals) as wake:
        os.kill(os.getpid(), signal.SIGHUP)
        wake.wait()
        assert (signals.stop, signals.reload) == (True, False)


def test_a_signal_before_the_wakeup_existed_wakes_the_thread() -> None:
    with caught() as signals:
        os.kill(os.getpid(), signal.SIGTERM)
        with wakeup(signals) as wake:
            wake.wait()
        assert signals.stop


def test_the_earlier_handlers_are_back_in_the_end() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)]
    with caught() as signals, wakeup(signals):
        pass
    after = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)]
    assert after == before


def test_one_wait_takes_all_notifications() -> None:
    with closing(Wakeup()) as wake:
        for _ in range(200_000 // os.sysconf("SC_PAGESIZE")):
            wake.notify()
        wake.wait()
        wake.wait(0.0)


def test_a_full_or_closed_pipe_blocks_no_thread() -> None:
    wake = Wakeup()
    with closing(wake):
        for _ in range(70_000):
            wake.notify()
    wake.notify()


def test_no_signal_was_received_at_first() -> None:
    signals = Signals()
    assert not signals.stop
    assert not signals.take_reload()
