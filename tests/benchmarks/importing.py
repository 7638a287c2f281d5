"""The first import of a folder: pictures a second, beside other programs on the same files."""

from __future__ import annotations

import io
import json
import shutil
import statistics
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import pillow_heif
import psutil
import rawpy
from PIL import ExifTags, Image, ImageOps

from snoopsync.runtime.workers import CORES
from tests.benchmarks.findimagedupes import Fingerprints
from tests.benchmarks.installation import ENVIRONMENT, Installation
from tests.benchmarks.measuring import table
from tests.support.photographs import Photograph, load, of_folder
from tests.support.pictures import encode, photo
from tests.support.raw_pictures import dng

#: The smallest side, in pixels, that a picture is shrunk to while it is decoded.
_SIDE = 256

#: How often the processor time of a command's processes is read, in seconds.
_LOOK_SECONDS = 0.02

_GRAIN = 24


class _Kind(NamedTuple):
    """Files of one kind. ``grain``: with the noise of a camera, which makes a file as large as that
    of a photograph, and with its name."""

    name: str
    format: str
    size: tuple[int, int]
    files: int
    grain: bool = False


_KINDS = (
    _Kind("JPEG 0.15 MP", "JPEG", (450, 340), 800),
    _Kind("JPEG 12 MP, smooth", "JPEG", (4000, 3000), 80),
    _Kind("JPEG 12 MP", "JPEG", (4000, 3000), 32, grain=True),
    _Kind("JPEG 24 MP", "JPEG", (6000, 4000), 16, grain=True),
    _Kind("HEIC 12 MP", "HEIF", (4000, 3000), 8, grain=True),
    _Kind("PNG 12 MP", "PNG", (4000, 3000), 8, grain=True),
    _Kind("RAW 12 MP, its preview", "DNG", (4000, 3000), 16, grain=True),
)


class _Run(NamedTuple):
    """What a command took: seconds, those until all was mirrored (without the start of the
    interpreter), and seconds of all processors."""

    seconds: float
    mirrored_seconds: float
    processor_seconds: float


def measure(root: Path, *, rounds: int, photos: Path | None = None) -> None:
    """Print how many pictures a second are imported by ``snoopsync resync`` into an empty embedded
    collection, and by others; and how busy the processors are. The start of snoopsync, which is
    that of a resync of a single picture, is listed separately. The first round is not counted.

    Without ``photos``, a folder of photographs, the pictures are generated. Those are more like
    each other than photographs are, and their searches take longer.
    """
    pillow_heif.register_heif_opener()
    others: dict[str, Callable[[Path], object]] = {"decode": _decode_all}
    if Fingerprints.installed():
        others["findimagedupes"] = _findimagedupes
    if find_spec("imagehash"):
        others["imagehash"] = _hash_all
    names = ("pictures", "start s", "mirrored", "and searched for", "cores busy %")
    head = ("", *names, "decode", "ratio", *list(others)[1:])
    photographs = of_folder(photos) if photos else None
    for kind in _KINDS:
        folder, single = _files(root / "importing", kind, photographs)
        starts, imports = [], []
        taken: dict[str, list[float]] = {name: [] for name in others}
        for _ in range(rounds + 1):
            starts.append(_resync(root, single))
            imports.append(_resync(root, folder))
            for name, work in others.items():
                begun = time.perf_counter()
                work(folder)
                taken[name].append(time.perf_counter() - begun)
        counted = {name: each[1:] for name, each in taken.items()}
        row = _row(kind.name, len(list(folder.iterdir())), starts[1:], imports[1:], counted)
        table(f"the first import, pictures a second, {CORES} cores", head, [row])


def _row(
    name: str, files: int, starts: list[_Run], imports: list[_Run], taken: dict[str, list[float]]
) -> tuple[str, ...]:
    more = [
        _Run(*(of_all - of_one for of_all, of_one in zip(whole, start, strict=True)))
        for whole, start in zip(imports, starts, strict=True)
    ]
    seconds, mirrored = (statistics.median(each[at] for each in more) for at in (0, 1))
    busy = statistics.median(each.processor_seconds / each.seconds for each in more) / CORES
    ratio = statistics.median(
        each.seconds / decode for each, decode in zip(more, taken["decode"], strict=True)
    )
    decode, *others = (files / statistics.median(each) for each in taken.values())
    return (
        name,
        str(files),
        f"{statistics.median(each.seconds for each in starts):.2f}",
        f"{(files - 1) / mirrored:.0f}",
        f"{(files - 1) / seconds:.0f}",
        f"{100 * busy:.0f}",
        f"{decode:.0f}",
        f"{ratio:.2f}",
        *(f"{each:.1f}" for each in others),
    )


def _files(root: Path, kind: _Kind, photographs: list[Photograph] | None) -> tuple[Path, Path]:
    """The folder with the files of this kind, and one with the first of them."""
    folder, single = root / kind.name, root / f"{kind.name}, one"
    if not single.exists():
        folder.mkdir(parents=True, exist_ok=True)
        numbers = range(min(kind.files, len(photographs)) if photographs else kind.files)
        for number in numbers:
            if photographs:
                picture = ImageOps.fit(load(photographs[number]), kind.size)
            else:
                picture = photo(number, kind.size)
            if kind.grain:
                noise = Image.effect_noise(kind.size, _GRAIN).convert("RGB")
                picture = Image.blend(picture, noise, 0.2)
            (folder / f"{number:04d}.{_suffix(kind)}").write_bytes(_encoded(picture, kind))
        single.mkdir()
        shutil.copy(min(folder.iterdir()), single)
    return folder, single


def _encoded(picture: Image.Image, kind: _Kind) -> bytes:
    if kind.format == "PNG":
        return encode(picture, "PNG")
    if kind.format == "DNG":
        return dng(encode(picture, "JPEG", quality=90), sensor=kind.size)
    exif = Image.Exif()
    if kind.grain:
        exif[ExifTags.Base.Make], exif[ExifTags.Base.Model] = "Camera", "One"
    return encode(picture, kind.format, quality=90, exif=exif)


def _suffix(kind: _Kind) -> str:
    return {"JPEG": "jpg", "HEIF": "heic"}.get(kind.format, kind.format.lower())


def _resync(root: Path, folder: Path) -> _Run:
    installation = Installation(root / "importing installation", folder)
    shutil.rmtree(installation.root, ignore_errors=True)
    installation.write()
    begun = time.perf_counter()
    command = installation.command("-q", "resync", "--json")
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, env=ENVIRONMENT) as process,
        _watched(process.pid) as used,
    ):
        printed, _ = process.communicate()
        assert process.returncode == 0
    mirrored = json.loads(printed.splitlines()[-1])["seconds"]
    return _Run(time.perf_counter() - begun, mirrored, sum(used.values()))


@contextmanager
def _watched(pid: int) -> Iterator[dict[int, float]]:
    """The seconds of a processor of this process and of all that it started, by process ID."""
    used: dict[int, float] = {}
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(_LOOK_SECONDS):
            try:
                process = psutil.Process(pid)
                for each in (process, *process.children(recursive=True)):
                    times = each.cpu_times()
                    used[each.pid] = times.user + times.system
            except psutil.Error:  # one of them has ended meanwhile
                pass

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield used
    finally:
        ended.set()
        watcher.join()


def _decode_all(folder: Path) -> None:
    _by_all_cores(_decode, folder)


def _opened(path: Path) -> Image.Image:
    """The picture in this file; the preview of a RAW file."""
    data = path.read_bytes()
    if path.suffix == ".dng":
        with rawpy.imread(io.BytesIO(data)) as raw:
            data = bytes(raw.extract_thumb().data)
    return Image.open(io.BytesIO(data))


def _decode(path: Path) -> None:
    with _opened(path) as image:
        image.draft(None, (_SIDE, _SIDE))
        image.load()


def _hash_all(folder: Path) -> None:
    import imagehash  # type: ignore[import-not-found, import-untyped, unused-ignore]

    def code(path: Path) -> None:
        with _opened(path) as image:
            imagehash.phash(image)

    _by_all_cores(code, folder)


def _by_all_cores(work: Callable[[Path], None], folder: Path) -> None:
    with ThreadPoolExecutor(CORES) as pool:
        for _ in pool.map(work, sorted(folder.iterdir())):
            pass


def _findimagedupes(folder: Path) -> None:
    subprocess.run(
        [
            "findimagedupes",
            "--no-compare",
            "--fingerprints",
            folder.parent / "fingerprints",
            folder,
        ],
        check=True,
        stderr=subprocess.DEVNULL,
    )
    (folder.parent / "fingerprints").unlink()
