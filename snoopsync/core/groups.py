"""How links connect pictures into groups: pure functions over the numbers of the pictures.

A group is a connected component of links. A new link can only join two groups. A link that ends can
split one, and ``separated`` finds the pieces without a look at all of a large group.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

Neighbours = Callable[[int], Iterable[int]]


@dataclass(slots=True, eq=False)
class _Exploration:
    """What was reached from one or more of the starting points. ``frontier``: reached, and its
    neighbours were not looked at yet."""

    reached: set[int]
    frontier: deque[int] = field(default_factory=deque)

    def absorb(self, other: _Exploration) -> None:
        self.reached |= other.reached
        self.frontier.extend(other.frontier)


def separated(starts: Iterable[int], neighbours: Neighbours) -> list[set[int]]:
    """The pieces into which a group has fallen, except for one of them: the one that the others
    leave. Returns an empty list if the group is still connected.

    ``starts``: the members of the group at the ends of the links that have ended. ``neighbours``:
    the members that a member is linked to now.

    The explorations from all starts take turns, one step each, and join where they meet. The last
    one is not explored to its end, so the work is in proportion to the smaller pieces.
    """
    of_member: dict[int, _Exploration] = {}
    for start in dict.fromkeys(starts):
        of_member[start] = _Exploration({start}, deque([start]))
    active = dict.fromkeys(of_member.values())
    pieces = []
    while len(active) > 1:
        for exploration in list(active):
            if exploration not in active or len(active) == 1:
                continue  # it has joined another one in this round
            if not exploration.frontier:
                pieces.append(exploration.reached)
                del active[exploration]
                continue
            _step(exploration, neighbours, of_member, active)
    return pieces


def _step(
    exploration: _Exploration,
    neighbours: Neighbours,
    of_member: dict[int, _Exploration],
    active: dict[_Exploration, None],
) -> None:
    for neighbour in neighbours(exploration.frontier.popleft()):
        other = of_member.get(neighbour)
        if other is None:
            of_member[neighbour] = exploration
            exploration.reached.add(neighbour)
            exploration.frontier.append(neighbour)
        elif other is not exploration:
            exploration.absorb(other)
            of_member.update(dict.fromkeys(other.reached, exploration))
            del active[other]


def components(links: Iterable[tuple[int, int]]) -> Iterator[set[int]]:
    """The connected components of these links."""
    linked: dict[int, set[int]] = {}
    for one, other in links:
        linked.setdefault(one, set()).add(other)
        linked.setdefault(other, set()).add(one)
    while linked:
        start, frontier = linked.popitem()
        reached = {start}
        while frontier:
            member = frontier.pop()
            reached.add(member)
            frontier |= linked.pop(member, set()) - reached
        yield reached
