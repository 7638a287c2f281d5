"""Saves pictures in Adobe RGB, with the profile of its colours."""

from __future__ import annotations

import io
import struct
from functools import lru_cache

from PIL import Image, ImageCms

from tests.support.pictures import encode

#: The colours of Adobe RGB (1998) as XYZ for the white D50, the white, and the gamma.
_COLOURS = {
    b"rXYZ": (0.60974, 0.31111, 0.01947),
    b"gXYZ": (0.20528, 0.62567, 0.06087),
    b"bXYZ": (0.14919, 0.06322, 0.74457),
    b"wtpt": (0.9642, 1.0, 0.8249),
}
_GAMMA = 563 / 256


def as_wide_gamut(picture: Image.Image) -> bytes:
    """A JPEG in Adobe RGB that looks like this picture, which is sRGB."""
    profile = adobe_rgb()
    converted = ImageCms.profileToProfile(
        picture,
        ImageCms.createProfile("sRGB"),
        ImageCms.ImageCmsProfile(io.BytesIO(profile)),
        outputMode="RGB",
    )
    assert converted is not None
    return encode(converted, quality=92, icc_profile=profile)


@lru_cache(maxsize=1)
def adobe_rgb() -> bytes:
    """A profile of the colours of Adobe RGB (1998), in the format ICC 2."""
    curve = b"curv\0\0\0\0" + struct.pack(">IH2x", 1, round(_GAMMA * 256))
    text = b"Adobe RGB (1998), compatible\0"
    tags = {
        b"desc": b"desc\0\0\0\0" + struct.pack(">I", len(text)) + text + bytes(78),
        b"cprt": b"text\0\0\0\0public domain\0",
        **{name: b"XYZ \0\0\0\0" + _fixed(*values) for name, values in _COLOURS.items()},
        **dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve),
    }
    table, data = struct.pack(">I", len(tags)), b""
    start = 128 + 4 + 12 * len(tags)
    for name, value in tags.items():
        table += struct.pack(">4sII", name, start + len(data), len(value))
        data += value + bytes(-len(value) % 4)
    header = struct.pack(
        ">I4sI4s4s4s12s4s28x12s",
        *(start + len(data), b"none", 0x02100000, b"mntr", b"RGB ", b"XYZ "),
        *(struct.pack(">6H", 2000, 1, 1, 0, 0, 0), b"acsp", _fixed(*_COLOURS[b"wtpt"])),
    )
    return header.ljust(128, b"\0") + table + data


def _fixed(*values: float) -> bytes:
    return struct.pack(f">{len(values)}i", *(round(value * 65536) for value in values))
