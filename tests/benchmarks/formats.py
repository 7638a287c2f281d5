"""Milliseconds for the features of a picture, by format, in one decoder: its file is in memory.

``python -m tests.benchmarks.formats --megapixels 24 --rounds 7``
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from contextlib import closing

from PIL import Image

from snoopsync.decoding.decoders import Decoders
from snoopsync.decoding.sandbox import DecoderLimits
from snoopsync.decoding.source import read_picture
from tests.support.pictures import encode, photo
from tests.support.psd_pictures import psd
from tests.support.raw_pictures import dng

#: Cameras embed a preview as large as the sensor, or one for their own display.
_DISPLAY = (1620, 1080)


def files(size: tuple[int, int]) -> dict[str, Callable[[], bytes]]:
    """Makes the same picture in each format."""
    picture = photo(1, size)
    small = picture.resize(_DISPLAY, Image.Resampling.BICUBIC)
    jpeg = encode(picture, "JPEG", quality=92)
    return {
        "JPEG": lambda: jpeg,
        "PNG": lambda: encode(picture, "PNG", compress_level=1),
        "HEIC": lambda: encode(picture, "HEIF", quality=80),
        "RAW, preview as large as the sensor": lambda: dng(jpeg, sensor=size),
        "RAW, preview of 1.7 megapixels": lambda: dng(
            encode(small, "JPEG", quality=92), sensor=size
        ),
        "JPEG XL, lossy": lambda: encode(picture, "JXL", quality=90, effort=3),
        "JPEG XL, lossless": lambda: encode(picture, "JXL", lossless=True, effort=2),
        "PSD, packed": lambda: psd(picture, is_packed=True),
        "PSB, 16 bits": lambda: psd(picture, bits=16, is_big=True),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megapixels", type=float, default=24.0)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    height = round((arguments.megapixels * 1e6 / 1.5) ** 0.5) // 2 * 2
    print("| format | MB | ms | of the JPEG's |\n|---|---|---|---|")
    jpeg_ms = None
    with closing(Decoders(1, DecoderLimits(pictures=1000))) as decoders:
        decoders.warm_up()
        for name, make in files((height * 3 // 2, height)).items():
            content = make()
            times = []
            with read_picture(content) as picture:
                for _ in range(arguments.rounds + 1):
                    begun = time.perf_counter()
                    decoders.extract_features(picture)
                    times.append(1000 * (time.perf_counter() - begun))
            median = statistics.median(times[1:])
            jpeg_ms = jpeg_ms or median
            print(f"| {name} | {len(content) / 1e6:.1f} | {median:.0f} | {median / jpeg_ms:.1f} |")


if __name__ == "__main__":
    main()
