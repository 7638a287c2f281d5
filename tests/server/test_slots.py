"""Keys share slots fairly."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack

from snoopsync.server.slots import FairSlots, Slot


def order_of(slots: FairSlots, asked: list[Slot]) -> list[str]:
    """Return the keys in the order in which they get slots, when each slot is released in turn."""
    order, left = [], list(asked)
    while left:
        granted = next(each for each in left if each.granted.done())
        left.remove(granted)
        order.append(granted.key)
        slots.release(granted)
    return order


def test_a_key_with_ten_waiting_requests_gets_one_slot_for_each_that_another_key_gets() -> None:
    async def work() -> None:
        slots = FairSlots(1)
        asked = [slots.request("many") for _ in range(10)] + [
            slots.request("few") for _ in range(3)
        ]
        assert order_of(slots, asked) == ["many"] + ["many", "few"] * 3 + ["many"] * 6

    asyncio.run(work())


def test_a_slot_is_granted_at_once_while_one_is_free() -> None:
    async def work() -> None:
        slots = FairSlots(2)
        with slots.request("a") as first, slots.request("b") as second, slots.request("c") as third:
            assert [each.granted.done() for each in (first, second, third)] == [True, True, False]
        with slots.request("a") as again:
            assert again.granted.done()

    asyncio.run(work())


def test_one_key_never_has_all_slots_if_there_are_several() -> None:
    async def work() -> None:
        slots = FairSlots(3)
        with ExitStack() as stack:
            greedy = [stack.enter_context(slots.request("greedy")) for _ in range(5)]
            assert [each.granted.done() for each in greedy] == [True, True, False, False, False]
            assert stack.enter_context(slots.request("other")).granted.done()

    asyncio.run(work())


def test_a_cancelled_request_gets_no_slot_and_blocks_no_other() -> None:
    async def work() -> None:
        slots = FairSlots(1)
        with slots.request("a"):
            with slots.request("b") as withdrawn, slots.request("c"):
                assert not withdrawn.granted.done()
            with slots.request("d") as waiting:
                pass
            last = slots.request("e")
        assert withdrawn.granted.cancelled()
        assert waiting.granted.cancelled()
        assert last.granted.done()
        slots.release(last)
        with slots.request("a") as again:
            assert again.granted.done()

    asyncio.run(work())


def test_a_task_that_is_cancelled_while_it_waits_takes_and_releases_no_slot() -> None:
    async def wait(slots: FairSlots, key: str) -> None:
        with slots.request(key) as slot:
            await slot.granted

    async def work() -> None:
        slots = FairSlots(1)
        first = slots.request("a")
        tasks = [asyncio.create_task(wait(slots, key)) for key in ("b", "c")]
        await asyncio.sleep(0)
        tasks[0].cancel()
        slots.release(first)  # before the cancelled task has ended
        await asyncio.wait(tasks)
        assert [task.cancelled() for task in tasks] == [True, False]
        with slots.request("a") as held, slots.request("b") as waiting:
            assert (held.granted.done(), waiting.granted.done()) == (True, False)

    asyncio.run(work())


def test_a_key_at_its_limit_is_skipped_and_served_later() -> None:
    async def work() -> None:
        slots = FairSlots(2)
        first, waiting = slots.request("a"), slots.request("a")
        with slots.request("b"):
            assert not waiting.granted.done()
        assert not waiting.granted.done()  # the free slot is for another key
        slots.release(first)
        assert waiting.granted.done()

    asyncio.run(work())


def test_the_requests_without_a_slot_are_counted() -> None:
    async def work() -> None:
        slots = FairSlots(1)
        first, second, third = (slots.request(key) for key in ("a", "a", "b"))
        assert slots.waiting == 2
        slots.release(third)
        assert slots.waiting == 1
        slots.release(first)
        assert second.granted.done()
        assert slots.waiting == 0

    asyncio.run(work())
