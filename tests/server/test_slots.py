"""Slots are shared fairly between keys."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack

from snoopsync.server.slots import FairSlots, Slot


def order_of(slots: FairSlots, asked: list[Slot]) -> list[str]:
    """The keys in the order in which they get their slots, if each gives it back in turn."""
    order, left = [], list(asked)
    while left:
        granted = next(each for each in left if each.granted.done())
        left.remove(granted)
        order.append(granted.key)
        slots.end(granted)
    return order


def test_a_key_with_ten_waiting_requests_gets_one_slot_for_each_that_another_key_gets() -> None:
    async def work() -> None:
        slots = FairSlots(1)
        asked = [slots.ask("many") for _ in range(10)] + [slots.ask("few") for _ in range(3)]
        assert order_of(slots, asked) == ["many"] + ["many", "few"] * 3 + ["many"] * 6

    asyncio.run(work())


def test_a_slot_is_granted_at_once_while_one_is_free() -> None:
    async def work() -> None:
        slots = FairSlots(2)
        with slots.ask("a") as first, slots.ask("b") as second, slots.ask("c") as third:
            assert [each.granted.done() for each in (first, second, third)] == [True, True, False]
        with slots.ask("a") as again:
            assert again.granted.done()

    asyncio.run(work())


def test_one_key_never_has_all_slots_if_there_are_several() -> None:
    async def work() -> None:
        slots = FairSlots(3)
        with ExitStack() as stack:
            greedy = [stack.enter_context(slots.ask("greedy")) for _ in range(5)]
            assert [each.granted.done() for each in greedy] == [True, True, False, False, False]
            assert stack.enter_context(slots.ask("other")).granted.done()

    asyncio.run(work())


def test_a_request_that_is_withdrawn_gets_no_slot_and_blocks_none() -> None:
    async def work() -> None:
        slots = FairSlots(1)
        with slots.ask("a"):
            with slots.ask("b") as withdrawn, slots.ask("c"):
                assert not withdrawn.granted.done()
            with slots.ask("d") as waiting:
                pass
            last = slots.ask("e")
        assert withdrawn.granted.cancelled()
        assert waiting.granted.cancelled()
        assert last.granted.done()
        slots.end(last)
        with slots.ask("a") as again:
            assert again.granted.done()

    asyncio.run(work())


def test_a_task_that_is_cancelled_while_it_waits_takes_no_slot_and_gives_none_back() -> None:
    async def wait(slots: FairSlots, key: str) -> None:
        with slots.ask(key) as slot:
            await slot.granted

    async def work() -> None:
        slots = FairSlots(1)
        first = slots.ask("a")
        tasks = [asyncio.create_task(wait(slots, key)) for key in ("b", "c")]
        await asyncio.sleep(0)
        tasks[0].cancel()
        slots.end(first)  # before the task that was cancelled has left
        await asyncio.wait(tasks)
        assert [task.cancelled() for task in tasks] == [True, False]
        with slots.ask("a") as held, slots.ask("b") as waiting:
            assert (held.granted.done(), waiting.granted.done()) == (True, False)

    asyncio.run(work())


def test_a_key_at_its_limit_is_passed_over_and_has_its_turn_later() -> None:
    async def work() -> None:
        slots = FairSlots(2)
        first, waiting = slots.ask("a"), slots.ask("a")
        with slots.ask("b"):
            assert not waiting.granted.done()
        assert not waiting.granted.done()  # the free slot is for another key
        slots.end(first)
        assert waiting.granted.done()

    asyncio.run(work())
