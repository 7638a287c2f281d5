"""Converts the colours of a picture to sRGB, by the colour profile in its file."""

from __future__ import annotations

import io

from PIL import Image, ImageCms

#: The kinds of pixels that a colour profile is applied to. (A PNG is read without its metadata.)
_MODES = frozenset({"RGB", "RGBA", "CMYK"})

_SRGB = ImageCms.createProfile("sRGB")

#: How profiles of sRGB name themselves, in the two encodings of ICC profiles.
_SRGB_NAMES = (b"sRGB", "sRGB".encode("utf-16-be"))


def profile_of(image: Image.Image) -> bytes | None:
    """The colour profile of an opened picture; ``None`` if it has none that can be applied."""
    profile: bytes | None = image.info.get("icc_profile")
    return profile if profile and image.mode in _MODES else None


def is_srgb(profile: bytes) -> bool:
    """Whether the profile says that it is that of sRGB."""
    return any(name in profile for name in _SRGB_NAMES)


def in_srgb(image: Image.Image, profile: bytes) -> Image.Image | None:
    """The picture with this profile, in RGB or RGBA; ``None`` if the profile cannot be applied."""
    opacity = image.getchannel("A") if image.mode == "RGBA" else None
    try:
        converted = ImageCms.profileToProfile(
            image.convert("RGB") if opacity else image,
            ImageCms.ImageCmsProfile(io.BytesIO(profile)),
            _SRGB,
            outputMode="RGB",
        )
    except (ImageCms.PyCMSError, OSError, ValueError):
        return None
    if converted is not None and opacity:
        converted.putalpha(opacity)
    return converted
