"""Which files belong to a picture by their names: RAW, edit, original, video and sidecar.

Programs name these files by rules of their own. Each rule and where it is documented:

- RAW and rendered picture: one stem, as cameras that record both write them
  (https://en.wikipedia.org/wiki/Design_rule_for_Camera_File_system, "DCF object").
- ``IMG_E1234.JPG`` is the iPhone's edit of ``IMG_1234.HEIC``; ``IMG_1234.AAE`` and
  ``IMG_O1234.AAE`` describe edits (https://github.com/RhetTbull/osxphotos/issues/2043 and 1871).
- ``NAME_edited.jpg`` is the edit in an export of osxphotos (the same project, issue 1508).
- ``NAME-edited.jpg`` is the edit in Google Takeout, in the language of the account; the words are
  those of https://github.com/TheLastGimbus/GooglePhotosTakeoutHelper (``extras.dart``).
  ``NAME-edited(1).jpg`` is the edit of ``NAME(1).jpg``.
- ``NAME.jpg.supplemental-metadata.json``, and before 2025 ``NAME.jpg.json``, is Takeout's
  description. Everything before ``(1).json`` or ``.json`` is cut to 46 characters. The number of
  ``NAME(1).jpg`` comes last: ``NAME.jpg(1).json``. An edit has the description of its original.
  (https://github.com/ente/ente/pull/4956)
- ``NAME.jpg_original`` is exiftool's backup (https://exiftool.org/exiftool_pod.html).
- A Live Photo's video has the stem of its still, or the stem and ``_HEVC`` from iCloud
  (https://github.com/icloud-photos-downloader/icloud_photos_downloader, "Live Photos"). Takeout
  puts ``PXL_1.MP`` or ``.MV`` beside a Pixel's ``PXL_1.MP.jpg``
  (https://github.com/TheLastGimbus/GooglePhotosTakeoutHelper/issues/381 and pull request 384).
- ``NAME.xmp`` is Adobe's and Capture One's sidecar, ``NAME.jpg.xmp`` that of darktable and digiKam,
  and ``NAME_01.jpg.xmp`` that of darktable's second version of the picture
  (https://docs.darktable.org/usermanual/stable/en/overview/sidecar-files/sidecar/).
- ``NAME.jpg.pp3`` and ``NAME.jpg.out.pp3`` are RawTherapee's, ``NAME.jpg.arp`` is ART's,
  ``NAME.jpg.dop`` DxO's (https://github.com/darktable-org/darktable/issues/14121),
  ``NAME.jpg.cos`` Capture One's, ``NAME.jpg.nksc`` Nikon's, ``NAME.on1`` ON1's
  (https://github.com/Webreaper/Damselfly, ``SidecarUtils.cs``).
- ``NAME.THM`` is the thumbnail beside an older Canon's RAW (https://exiftool.org/#supported).

Suffixes match in any case; the rest of a name matches exactly.
"""

from __future__ import annotations

import re
import unicodedata
from enum import StrEnum

from snoopsync.core.model import RelPath
from snoopsync.core.selection import SUPPORTED_SUFFIXES, UNSUPPORTED_SUFFIXES


class CompanionRole(StrEnum):
    """What a file is for a picture that it belongs to."""

    #: The RAW file of the same shot.
    RAW = "raw"
    #: The picture that the camera or a person made from this RAW file.
    RENDERED = "rendered"
    #: An edited version.
    EDIT = "edit"
    #: The version before an edit.
    ORIGINAL = "original"
    #: The video that was recorded with the picture.
    VIDEO = "video"
    #: Settings, metadata or a thumbnail.
    SIDECAR = "sidecar"


RAW_SUFFIXES = frozenset(
    b".3fr .ari .arw .bay .cr2 .cr3 .crw .dcr .dcs .dng .erf .fff .gpr .iiq .k25 .kdc .mdc .mef"
    b" .mos .mrw .nef .nrw .orf .ori .pef .ptx .raf .raw .rw2 .rwl .sr2 .srf .srw .x3f".split()
)

_RENDERED_SUFFIXES = frozenset(
    b".jpg .jpeg .jpe .jfif .png .webp .tif .tiff .heic .heif .hif .avif .jxl .psd .psb".split()
)

_PICTURE_SUFFIXES = (
    RAW_SUFFIXES | _RENDERED_SUFFIXES | UNSUPPORTED_SUFFIXES | frozenset(SUPPORTED_SUFFIXES)
)

#: The stills of Live Photos and of motion photos.
_STILL_SUFFIXES = frozenset(b".jpg .jpeg .heic .heif".split())
_VIDEO_SUFFIXES = frozenset(b".mov .mp4 .mp .mv".split())

#: Sidecars that replace the picture's suffix, and sidecars that follow its whole name.
_STEM_SIDECARS = frozenset(b".xmp .on1 .thm".split())
_NAME_SIDECARS = frozenset(b".xmp .pp3 .out.pp3 .arp .dop .cos .nksc .on1".split())
_SIDECAR_SUFFIXES = _STEM_SIDECARS | _NAME_SIDECARS | {b".aae", b".json"}

_IPHONE_STEM = re.compile(rb"IMG_([EO]?)(\d{4,})")

#: The words that Google and osxphotos add to the stem of an edit.
_EDIT_WORDS = tuple(
    unicodedata.normalize(form, word).encode()
    for form in ("NFC", "NFD")
    for word in (
        "-edited",
        "-edytowane",
        "-bearbeitet",
        "-bewerkt",
        "-編集済み",
        "-modificato",
        "-modifié",
        "-ha editado",
        "-editat",
        "_edited",
    )
)

#: What iCloud adds to the name of a video, and darktable to that of a second version.
_COMPANION_END = re.compile(rb"(?<=[^_])(_HEVC|_\d\d)\Z")
_SUFFIXES_WITH_END = frozenset({b".mov", b".xmp"})

_NUMBERED = re.compile(rb"(?s)(.+)(\(\d+\))")
_TAKEOUT_JSON = re.compile(rb"(?si)(.+?)(\(\d+\))?\.json")
_TAKEOUT_ENDING = b".supplemental-metadata"
_TAKEOUT_CHARACTERS = 46

#: What the names of folders that hold one format of a shoot have in addition: ``RAW`` beside
#: ``JPG``, ``2024 raw`` beside ``2024``.
_FORMAT_WORDS = frozenset(
    b"raw raws jpg jpgs jpeg jpegs heic heif tif tiff dng nef nrw cr2 cr3 crw arw raf orf rw2 pef"
    b" srw".split()
)
_WORD = re.compile(rb"[A-Za-z0-9]+|[^A-Za-z0-9 _.-]+")


def companion_role(path: RelPath, other: RelPath) -> CompanionRole | None:
    """What the file at ``other`` is for the picture at ``path``; ``None`` if it does not belong to
    it. A video at ``path`` has sidecars only.

    Both are in one directory, or, for RAW and rendered picture, in sibling directories. Cameras
    count file names from the beginning again, so in sibling directories the name alone proves
    nothing unless ``are_format_folders``: compare the capture times too.
    """
    if path.folder != other.folder or path.path == other.path:
        return None
    if path.directory == other.directory:
        return _role_of_name(path.name, other.name)
    if path.directory and other.directory and _parent(path) == _parent(other):
        return _role_in_shot(path.name, other.name)
    return None


def may_own(name: bytes, sidecar: bytes) -> bool:
    """Whether a file that is no picture may be what a sidecar in its directory belongs to. Programs
    write ``IMG_1.xmp`` and ``IMG_1.THM`` for videos and documents too."""
    (stem, suffix), (sidecar_stem, sidecar_suffix) = split_suffix(name), split_suffix(sidecar)
    if name == sidecar or sidecar_suffix not in _STEM_SIDECARS or stem != sidecar_stem:
        return False
    return suffix not in _SIDECAR_SUFFIXES


def are_companions(path: RelPath, other: RelPath) -> bool:
    """Returns whether the names alone say that one of two pictures belongs to the other."""
    if path.directory != other.directory and not are_format_folders(
        path.directory, other.directory
    ):
        return False
    return bool(companion_role(path, other) or companion_role(other, path))


def are_format_folders(directory: bytes, other: bytes) -> bool:
    """Returns whether two sibling directories have the same name except for words for formats, such
    as ``RAW``, of which at least one has one."""
    one, two = (_WORD.findall(each.rpartition(b"/")[2].lower()) for each in (directory, other))
    rest, other_rest = ([word for word in each if word not in _FORMAT_WORDS] for each in (one, two))
    return rest == other_rest and (one, two) != (rest, other_rest)


def companion_keys(name: bytes) -> tuple[bytes, ...]:
    """The texts under which to look for companions: the names of a picture and of each of its
    companions have one in common. Names of other pictures may have it too."""
    stem = name.split(b".", 1)[0]
    key = _key(stem)
    # Both: ``A_22_01.jpg.xmp`` belongs to ``A_22_01.jpg`` and to ``A_22.jpg``. The name of a
    # picture keeps its end, because many cameras write the time as digits with "_" between them.
    if split_suffix(name)[1] in _SUFFIXES_WITH_END and (end := _COMPANION_END.search(stem)):
        other = _key(stem[: end.start()])
        return (key,) if other == key else (key, other)
    return (key,)


def _key(key: bytes) -> bytes:
    while (shorter := _shortened(key)) != key:
        key = shorter
    return _cut(key)


def _shortened(key: bytes) -> bytes:
    """The key without one of the marks by which names of companions differ."""
    if iphone := _IPHONE_STEM.fullmatch(key):
        return b"IMG_" + iphone[2]
    key, _number = _split_number(key)
    return _without_edit_word(key) or key


def split_suffix(name: bytes) -> tuple[bytes, bytes]:
    """The name without its last suffix, and this suffix in lower case with its dot."""
    at = name.rfind(b".")
    return (name, b"") if at <= 0 else (name[:at], name[at:].lower())


def _role_of_name(name: bytes, other: bytes) -> CompanionRole | None:
    """The role of a file in the picture's own directory."""
    suffix = split_suffix(name)[1]
    if suffix in _VIDEO_SUFFIXES:
        return CompanionRole.SIDECAR if _is_sidecar_of(other, name) else None
    if suffix not in _PICTURE_SUFFIXES:
        return None
    if other == name + b"_original":
        return CompanionRole.ORIGINAL
    if _is_edit_of(other, name):
        return CompanionRole.EDIT
    if _is_edit_of(name, other):
        return CompanionRole.ORIGINAL
    if _is_video_of(other, name):
        return CompanionRole.VIDEO
    if _is_sidecar_of(other, name) or _is_takeout_description_of(other, name):
        return CompanionRole.SIDECAR
    return _role_in_shot(name, other)


def _role_in_shot(name: bytes, other: bytes) -> CompanionRole | None:
    (stem, suffix), (other_stem, other_suffix) = split_suffix(name), split_suffix(other)
    if stem != other_stem:
        return None
    if suffix in _RENDERED_SUFFIXES and other_suffix in RAW_SUFFIXES:
        return CompanionRole.RAW
    if suffix in RAW_SUFFIXES and other_suffix in _RENDERED_SUFFIXES:
        return CompanionRole.RENDERED
    return None


def _is_edit_of(edit: bytes, name: bytes) -> bool:
    (stem, suffix), (edit_stem, edit_suffix) = split_suffix(name), split_suffix(edit)
    if suffix not in _PICTURE_SUFFIXES or edit_suffix not in _PICTURE_SUFFIXES:
        return False
    iphone, iphone_edit = _IPHONE_STEM.fullmatch(stem), _IPHONE_STEM.fullmatch(edit_stem)
    if iphone and iphone_edit and iphone[2] == iphone_edit[2]:
        return (iphone[1], iphone_edit[1]) == (b"", b"E")
    edit_stem, number = _split_number(edit_stem)
    original = _without_edit_word(edit_stem)
    return original is not None and stem == original + number


def _is_video_of(video: bytes, name: bytes) -> bool:
    (stem, suffix), (video_stem, video_suffix) = split_suffix(name), split_suffix(video)
    if suffix not in _STILL_SUFFIXES or video_suffix not in _VIDEO_SUFFIXES:
        return False
    if video == stem or video_stem == stem:
        return True
    return video_suffix == b".mov" and video_stem == stem + b"_HEVC"


def _is_sidecar_of(sidecar: bytes, name: bytes) -> bool:
    stem, _suffix = split_suffix(name)
    sidecar_stem, sidecar_suffix = split_suffix(sidecar)
    if sidecar_suffix == b".aae":
        iphone, edits = _IPHONE_STEM.fullmatch(stem), _IPHONE_STEM.fullmatch(sidecar_stem)
        return sidecar_stem == stem or bool(iphone and edits and iphone[2] == edits[2])
    if sidecar_suffix in _STEM_SIDECARS and sidecar_stem == stem:
        return True
    if sidecar.startswith(name) and sidecar[len(name) :].lower() in _NAME_SIDECARS:
        return True
    # The second and further versions of a picture in darktable.
    version = re.escape(stem) + rb"_\d\d" + re.escape(name[len(stem) :])
    return sidecar_suffix == b".xmp" and re.fullmatch(version, sidecar_stem) is not None


def _is_takeout_description_of(json: bytes, name: bytes) -> bool:
    parts = _TAKEOUT_JSON.fullmatch(json)
    if parts is None:
        return False
    stem, _suffix = split_suffix(name)
    suffix = name[len(stem) :]
    described, number = parts[1], parts[2] or b""
    if not number and _is_cut_description(described, name):
        return True
    stem, own_number = _split_number(stem)
    stems = (stem, _without_edit_word(stem) or stem)
    return number == own_number and any(
        _is_cut_description(described, each + suffix) for each in stems
    )


def _is_cut_description(described: bytes, name: bytes) -> bool:
    """Returns whether Takeout cuts the name, or the name and the ending, to this text."""
    if described.startswith(name):
        return _TAKEOUT_ENDING.startswith(described[len(name) :])
    return described == _cut(name)


def _cut(name: bytes) -> bytes:
    """The characters of a name that Takeout keeps in the name of its description."""
    text = name.decode(errors="surrogateescape")
    return text[:_TAKEOUT_CHARACTERS].encode(errors="surrogateescape")


def _split_number(stem: bytes) -> tuple[bytes, bytes]:
    """The stem without its number in parentheses, and this number with them."""
    numbered = _NUMBERED.fullmatch(stem)
    return (stem, b"") if numbered is None else (numbered[1], numbered[2])


def _without_edit_word(stem: bytes) -> bytes | None:
    """The stem of the original if the stem is that of an edit."""
    word = next((each for each in _EDIT_WORDS if stem.endswith(each)), None)
    return None if word is None or stem == word else stem[: -len(word)]


def _parent(path: RelPath) -> bytes:
    return path.directory.rpartition(b"/")[0]
