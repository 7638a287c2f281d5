"""What is counted is what happened: requests, with what came of them, and bytes."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest

from snoopsync.client.circuit_breaker import CircuitBreaker, RetryPolicy
from snoopsync.client.collection import Collection
from snoopsync.client.retrying import RetryingCollection
from snoopsync.core import errors
from snoopsync.core.errors import CollectionError, NotFound, Refused, SnoopsyncError
from snoopsync.runtime.counters import (
    BOUNDS_SECONDS,
    Call,
    Counters,
    Durations,
    RequestOutcome,
)
from tests.support.collection_server import PUBLIC_KEY, SECRET_KEY, CollectionServer
from tests.support.faults import answers, reset_after
from tests.support.pictures import encode, photo

PICTURE = encode(photo(1))


@pytest.fixture
def counters() -> Counters:
    return Counters()


@pytest.fixture
def collection(server: CollectionServer, counters: Counters) -> Iterator[RetryingCollection]:
    client = Collection(PUBLIC_KEY, SECRET_KEY, server.endpoint, on_sent=counters.sent)
    policy = RetryPolicy(base_seconds=0.001, cap_seconds=0.01)
    with RetryingCollection(client, CircuitBreaker(policy), counters=counters) as retrying:
        yield retrying


def test_each_attempt_is_counted_by_its_outcome(
    server: CollectionServer, collection: RetryingCollection, counters: Counters
) -> None:
    server.faults += [answers(500), reset_after()]
    collection.add_image(io.BytesIO(PICTURE), "a")
    with pytest.raises(NotFound):
        collection.get_image("b")
    server.faults.append(answers(422))
    with pytest.raises(Refused):
        collection.search_images(io.BytesIO(PICTURE))
    list(collection.images())
    collection.delete_image("a")
    figures = counters.figures()
    assert figures.requests == {
        (Call.ADD, RequestOutcome.UNAVAILABLE): 1,
        (Call.ADD, RequestOutcome.UNREACHABLE): 1,
        (Call.ADD, RequestOutcome.OK): 1,
        (Call.GET, RequestOutcome.NOT_FOUND): 1,
        (Call.SEARCH, RequestOutcome.REFUSED): 1,
        (Call.LIST, RequestOutcome.OK): 1,
        (Call.DELETE, RequestOutcome.OK): 1,
    }
    assert {call: count for call, count in figures.retries.items() if count} == {Call.ADD: 2}
    assert sum(figures.durations[Call.ADD].counts) == 3
    assert figures.durations[Call.ADD].total_seconds > 0


def test_the_bytes_of_every_attempt_are_counted(
    server: CollectionServer, collection: RetryingCollection, counters: Counters
) -> None:
    server.faults += [answers(500), answers(503)]
    collection.add_image(io.BytesIO(PICTURE), "a")
    assert counters.figures().sent_bytes == 3 * len(PICTURE)


def test_figures_do_not_change_later(counters: Counters) -> None:
    with counters.request(Call.GET, lambda: 1.0, again=False):
        pass
    before = counters.figures()
    with counters.request(Call.GET, lambda: 1.0, again=True):
        pass
    assert before.requests == {(Call.GET, RequestOutcome.OK): 1}
    assert sum(before.durations[Call.GET].counts) == 1
    assert counters.figures().requests == {(Call.GET, RequestOutcome.OK): 2}


def kinds(of: type[SnoopsyncError]) -> Iterator[type[SnoopsyncError]]:
    for kind in of.__subclasses__():
        yield kind
        yield from kinds(kind)


@pytest.mark.parametrize("kind", list(kinds(CollectionError)))
def test_every_collection_error_has_an_outcome(kind: type[CollectionError]) -> None:
    assert RequestOutcome.of(kind("why")) is not RequestOutcome.GIVEN_UP


def test_a_request_that_snoopsync_gives_up_is_not_an_error_of_the_collection() -> None:
    assert RequestOutcome.of(errors.FileChanged("why")) is RequestOutcome.GIVEN_UP


def test_a_duration_counts_in_the_bucket_of_its_bound() -> None:
    durations = Durations()
    for seconds in (0.0, BOUNDS_SECONDS[0], BOUNDS_SECONDS[0] + 1e-9, 1e9):
        durations.add(seconds)
    assert durations.counts[:2] == [2, 1]
    assert durations.counts[-1] == 1
    assert sum(durations.counts) == 4
