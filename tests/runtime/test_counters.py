"""What is counted is what happened: requests, with what came of them, and bytes."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest

from snoopsync.client.circuit_breaker import RetryPolicy
from snoopsync.client.collection import Collection
from snoopsync.client.retrying import RetryingCollection
from snoopsync.core import errors
from snoopsync.core.errors import CollectionError, NotFound, Refused, SnoopsyncError
from snoopsync.runtime.counters import BOUNDS_SECONDS, Call, Counters, Durations, Outcome
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
    with RetryingCollection(client, policy=policy, counters=counters) as wearer:
        yield wearer


def test_each_attempt_is_counted_by_what_came_of_it(
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
        (Call.ADD, Outcome.UNAVAILABLE): 1,
        (Call.ADD, Outcome.UNREACHABLE): 1,
        (Call.ADD, Outcome.OK): 1,
        (Call.GET, Outcome.NOT_FOUND): 1,
        (Call.SEARCH, Outcome.REFUSED): 1,
        (Call.LIST, Outcome.OK): 1,
        (Call.DELETE, Outcome.OK): 1,
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


def test_what_was_counted_stays_as_it_was(counters: Counters) -> None:
    with counters.request(Call.GET, lambda: 1.0, again=False):
        pass
    before = counters.figures()
    with counters.request(Call.GET, lambda: 1.0, again=True):
        pass
    assert before.requests == {(Call.GET, Outcome.OK): 1}
    assert sum(before.durations[Call.GET].counts) == 1
    assert counters.figures().requests == {(Call.GET, Outcome.OK): 2}


def kinds(of: type[SnoopsyncError]) -> Iterator[type[SnoopsyncError]]:
    for kind in of.__subclasses__():
        yield kind
        yield from kinds(kind)


@pytest.mark.parametrize("kind", list(kinds(CollectionError)))
def test_every_error_of_a_collection_is_an_outcome(kind: type[CollectionError]) -> None:
    assert Outcome.of(kind("why")) is not Outcome.GIVEN_UP


def test_what_is_given_up_on_our_side_is_no_error_of_the_collection() -> None:
    assert Outcome.of(errors.FileChanged("why")) is Outcome.GIVEN_UP


def test_a_duration_counts_up_to_its_bound_and_not_below() -> None:
    durations = Durations()
    for seconds in (0.0, BOUNDS_SECONDS[0], BOUNDS_SECONDS[0] + 1e-9, 1e9):
        durations.add(seconds)
    assert durations.counts[:2] == [2, 1]
    assert durations.counts[-1] == 1
    assert sum(durations.counts) == 4
