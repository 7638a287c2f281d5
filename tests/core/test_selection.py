"""Which files a folder's include and exclude leave."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from pathlib import Path

import pytest

from snoopsync.core.left_out import LeftOut
from snoopsync.core.selection import DEFAULT_EXCLUDE, SUPPORTED_SUFFIXES, Selection, check_pattern
from tests.support.paths import ROOT

OWN_EXCLUDE = ("private/", "@own/")


@pytest.mark.parametrize("suffix", [suffix.decode() for suffix in SUPPORTED_SUFFIXES])
def test_without_include_every_supported_suffix_is_wanted_in_any_case(suffix: str) -> None:
    selection = Selection(None, ())
    for name in (f"a{suffix}", f"a{suffix.upper()}", f"a.b{suffix.title()}"):
        assert selection.wants(os.fsencode(name))


@pytest.mark.parametrize("name", [b"IMG_0001.HIF", b"DSCF0001.MPO"])
def test_the_suffixes_of_camera_heif_and_of_multi_picture_files_are_supported(name: bytes) -> None:
    assert Selection(None, ()).wants(name)


@pytest.mark.parametrize("name", [b"a.txt", b"jpg", b"a.jpg.part", b"a.jpgx", b"a", b"a."])
def test_without_include_other_files_are_not_wanted(name: bytes) -> None:
    assert not Selection(None, ()).wants(name)


@pytest.mark.parametrize(
    ("include", "path", "wanted"),
    [
        (["*.jpg"], b"a.jpg", True),
        (["*.jpg"], b"deep/down/a.jpg", True),
        (["*.jpg"], b"a.JPG", False),
        (["*.jpg"], b"a.png", False),
        (["*.tar.gz"], b"a.tar.gz", True),
        (["/a.jpg"], b"b/a.jpg", False),
        (["2024/"], b"2024/any", True),
        (["2024/"], b"2024", False),
        (["2024/", "*.gif"], b"b/a.gif", True),
        (["*.jpg"], b"album.jpg/notes.txt", True),
        (["2024/", "!*.gif"], b"2024/a.gif", False),
        (["2024/", "!*.gif"], b"2024/a.png", True),
        (["*", "!draft-*"], b"b/draft-1.jpg", False),
        (["?.jpg"], "é.jpg".encode(), True),
        (["\\#*.jpg"], b"#1.jpg", True),
    ],
)
def test_include_is_gitignore_syntax(include: list[str], path: bytes, wanted: bool) -> None:
    assert Selection(include, ()).wants(path) is wanted


@pytest.mark.parametrize("directory", [b"private", b"a/@own", b"a/@own/b/c"])
def test_an_excluded_directory_and_those_below_are_not_entered(directory: bytes) -> None:
    selection = Selection(None, OWN_EXCLUDE)
    assert not selection.enters(directory)
    assert not selection.wants(directory + b"/a.jpg")


def test_a_file_named_like_an_excluded_directory_is_wanted() -> None:
    assert Selection(["*"], OWN_EXCLUDE).wants(b"a/@own")


def test_the_folder_itself_is_always_entered() -> None:
    assert Selection(None, ["*"]).enters(b"")


def test_nothing_in_an_excluded_directory_can_be_included_again() -> None:
    selection = Selection(None, ["private/", "!*.jpg"])
    assert selection.wants(b"a.jpg")
    assert not selection.wants(b"private/a.jpg")


def test_a_list_can_exclude_all_but_some_files() -> None:
    selection = Selection(None, ["*", "!*/", "!*.jpg"])
    assert selection.enters(b"a/b")
    assert selection.wants(b"a/b/c.jpg")
    assert not selection.wants(b"a/b/c.png")


@pytest.mark.parametrize("exclude", [["*.tmp.jpg"], ["draft-*", "*.tmp.jpg"]])
def test_an_excluded_file_is_not_wanted(exclude: list[str]) -> None:
    selection = Selection(None, exclude)
    assert not selection.wants(b"a/b.tmp.jpg")
    assert selection.wants(b"a/b.jpg")


@pytest.mark.parametrize("include", [None, ["*.jpg"], ["**/*.jpg"], ["[a-z]*.jpg"]])
@pytest.mark.parametrize("directory", [b"", b"caf\xe9", b"new\nline/\n", b"\xff\xfe"])
def test_any_name_can_be_asked_about(include: list[str] | None, directory: bytes) -> None:
    selection = Selection(include, ["*.bad.jpg", "no-*"])
    for name in (b"b.jpg", b"b\n\xe9.jpg"):
        path = os.path.join(directory, name)  # noqa: PTH118 (a path below the folder, in bytes)
        assert selection.enters(directory)
        assert selection.chooser(directory)(name)
        assert selection.wants(path)
        assert not selection.wants(path + b".bad.jpg")
        assert not selection.wants(path + b"\n")


# Files of other programs.

PROGRAM_DIRECTORIES = [
    b"__MACOSX",
    b"lost+found",
    b".Trash-1000",
    b".trash",
    b".Trash",
    b".Trashes",
    b"#recycle",
    b".recycle",
    b"$RECYCLE.BIN",
    b"$Recycle.Bin",
    b"System Volume Information",
    b".thumbnails",
    b"@eaDir",
    b".@__thumb",
    b".dtrash",
    b".picasaoriginals",
    b".stversions",
    b".stfolder",
    b".sync",
    b".snapshots",
    b".zfs",
    b"Catalog Previews.lrdata",
    b".~tmp~",
]
PROGRAM_FILES = [
    b"._a.jpg",
    b".#a.jpg",
    b"~a.jpg",
    b".~a.jpg",
    b".nfs000001.jpg",
    b".a.jpg.tmp",
    b"a.jpg.part",
    b".syncthing.a.jpg",
]


def test_the_default_list_is_the_one_in_the_docs() -> None:
    text = (ROOT / "docs" / "left-out.md").read_text()
    block = text.split("```")[3]
    patterns = [pattern for line in block.splitlines() for pattern in line[:46].split("  ")]
    assert sorted(filter(None, map(str.strip, patterns))) == sorted(DEFAULT_EXCLUDE)


@pytest.mark.parametrize("above", [b"", b"2024/"])
@pytest.mark.parametrize("name", PROGRAM_DIRECTORIES)
def test_directories_of_other_programs_are_not_entered_by_default(
    above: bytes, name: bytes
) -> None:
    selection = Selection(None, ["drafts/"])
    assert selection.why_not_entered(above + name) is LeftOut.OTHER_PROGRAM
    assert not selection.wants(above + name + b"/deep/a.jpg")
    assert not selection.enters(b"drafts")
    assert Selection(None, [], exclude_defaults=False).wants(above + name + b"/deep/a.jpg")


@pytest.mark.parametrize("exclude", [[], ["drafts/"], ["*.bad"], ["b*"], ["!c.jpg"]])
@pytest.mark.parametrize("name", PROGRAM_FILES)
def test_files_of_other_programs_are_not_wanted_by_default(name: bytes, exclude: list[str]) -> None:
    selection = Selection(["*"], exclude)
    assert not selection.wants(name)
    assert not selection.wants(b"a/" + name)
    assert selection.reasoner(b"a")(name) is LeftOut.OTHER_PROGRAM
    assert Selection(["*"], exclude, exclude_defaults=False).wants(b"a/" + name)


@pytest.mark.parametrize(
    "path",
    [b"a.jpg", b"a~.jpg", b"trash/a.jpg", b".Trashy/a.jpg", b"recycle/a.jpg", b"sync/a.jpg",
     b"x.zfs/a.jpg", b"lost+found.jpg", b".hidden.jpg", b"a/.hidden/b.jpg", b"a._b.jpg"],
)  # fmt: skip
def test_names_like_those_of_other_programs_are_wanted(path: bytes) -> None:
    assert Selection(None, []).wants(path)


@pytest.mark.parametrize("pattern", [each for each in DEFAULT_EXCLUDE if each[-1] != "/"])
def test_the_shortcut_of_a_scan_applies_every_pattern(pattern: str) -> None:
    name = os.fsencode(pattern.replace("*", "x"))
    assert not Selection(None, []).wants(name)
    # The short cut asks the patterns only about names that begin so.
    assert name[:1] in (b".", b"~") or not name.endswith(SUPPORTED_SUFFIXES)


def test_a_configured_pattern_overrides_a_default() -> None:
    selection = Selection(None, ["!.thumbnails/", "!._keep.jpg"])
    assert selection.wants(b"a/.thumbnails/b.jpg")
    assert selection.wants(b"._keep.jpg")
    assert not selection.wants(b"a/@eaDir/b.jpg")
    assert not selection.wants(b"a/@eaDir/.thumbnails/b.jpg")
    assert not selection.wants(b"._a.jpg")


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git, to ask it")
@pytest.mark.parametrize("own", [[], ["a*"], ["!.thumbnails/"], ["!*/", "a*"], ["!*.jpg"]])
def test_the_default_list_matches_like_git(tmp_path: Path, own: list[str]) -> None:
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    subprocess.run(["git", "-C", tmp_path, "config", "core.ignorecase", "true"], check=True)
    for directory in (*PROGRAM_DIRECTORIES, b"plain"):
        for name in (*PROGRAM_FILES, b"a.jpg", b"b.jpg"):
            path = tmp_path / os.fsdecode(directory) / os.fsdecode(name)
            path.parent.mkdir(exist_ok=True)
            path.touch()
    everything = _not_ignored_by_git(tmp_path, [])
    selection = Selection(["*"], own)
    wanted = {path for path in everything if selection.wants(path)}
    assert len(everything) > len(wanted) > 0
    assert wanted == _not_ignored_by_git(tmp_path, [*DEFAULT_EXCLUDE, *own])


@pytest.mark.parametrize(
    ("include", "exclude", "name", "reason"),
    [
        (None, [], b"a.jpg", None),
        (None, [], b"a.CR2", None),
        (None, [], b"a.x3f", LeftOut.UNSUPPORTED),
        (None, [], b"a.svg", LeftOut.UNSUPPORTED),
        (None, [], b"a.xmp", LeftOut.OTHER_TYPE),
        (None, [], b"jpg", LeftOut.OTHER_TYPE),
        (None, ["a*"], b"a.jpg", LeftOut.EXCLUDED),
        (None, ["*.CR2"], b"a.CR2", LeftOut.EXCLUDED),
        (None, ["*.xmp"], b"a.xmp", LeftOut.OTHER_TYPE),
        (None, [], b"._a.xmp", LeftOut.OTHER_PROGRAM),
        (["*.png"], [], b"a.jpg", LeftOut.NOT_INCLUDED),
        (["*.png"], ["a*"], b"a.png", LeftOut.EXCLUDED),
        (["*.cr2"], [], b"a.cr2", None),
    ],
)
def test_a_file_that_is_not_wanted_has_a_reason(
    include: list[str] | None, exclude: list[str], name: bytes, reason: LeftOut | None
) -> None:
    selection = Selection(include, exclude)
    assert selection.reasoner(b"2024")(name) is reason
    assert selection.wants(b"2024/" + name) is (reason is None)


@pytest.mark.parametrize(
    ("include", "exclude", "name", "reason"),
    [
        (None, [], b"a.jpg", None),
        (None, [], b"a.CR2", LeftOut.NEEDS_RAW),
        (None, [], b"a.dng", LeftOut.NEEDS_RAW),
        (None, [], b"a.psd", None),
        (None, ["*.CR2"], b"a.CR2", LeftOut.EXCLUDED),
        (None, [], b"._a.cr2", LeftOut.OTHER_PROGRAM),
        (["2024/"], [], b"a.cr2", LeftOut.NEEDS_RAW),
        (["2024/"], [], b"a.jpg", None),
        (["*.cr2"], [], b"a.cr2", LeftOut.NEEDS_RAW),
        (["*.png"], [], b"a.cr2", LeftOut.NOT_INCLUDED),
        (["*"], ["a*"], b"a.cr2", LeftOut.EXCLUDED),
        (None, [], b"a.jxl", None),
    ],
)
def test_pictures_that_need_a_missing_extra_are_left_out_for_that_reason(
    include: list[str] | None, exclude: list[str], name: bytes, reason: LeftOut | None
) -> None:
    selection = Selection(include, exclude, missing_extras=["raw"])
    assert selection.reasoner(b"2024")(name) is reason
    assert selection.wants(b"2024/" + name) is (reason is None)


def test_the_digest_changes_with_every_part_of_the_selection() -> None:
    selections = [
        Selection(None, []),
        Selection(["*.jpg"], []),
        Selection(None, ["a/"]),
        Selection(None, [], exclude_defaults=False),
        Selection(None, [], missing_extras=["raw"]),
        Selection(None, [], missing_extras=["raw", "jxl"]),
        Selection(["*.jpg"], [], missing_extras=["jxl"]),
    ]
    assert len({selection.digest for selection in selections}) == len(selections)
    assert Selection(None, ["a/"]).digest == Selection(None, ["a/"]).digest


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("", "matches nothing"),
        ("  ", "matches nothing"),
        ("/", "matches nothing"),
        ("[", "matches nothing"),
        ("!", "not a valid gitignore pattern"),
        ("a\\", "not a valid gitignore pattern"),
        ("[z-a]", "not a valid gitignore pattern"),
        ("[[:alpha:]]", "not a valid gitignore pattern"),
        ("# comment", "comment"),
        ("a\nb", "more than one line"),
    ],
)
def test_a_pattern_without_a_meaning_is_refused_with_the_reason(pattern: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        check_pattern(pattern)
    with pytest.raises(ValueError, match=reason):
        Selection(None, ["*.png", pattern])


NAMES = ["a", "b", "c.jpg", "d.gif", "é", "x y", "new\nline"]
PATTERNS = [
    "a", "a/", "b/", "*.jpg", "*.gif", "!*.jpg", "!a/", "!a", "/a", "/a/", "a/b", "a/*", "!a/b",
    "!a/b/", "*", "!*/", "**/b", "a/**", "!a/**", "a/**/c.jpg", "b/c.jpg", "!b/", "/*", "!/b",
    "[a-b]", "c.*", "x y", "*e", "new*", "**", "!**/b", "*/", "**/",
]  # fmt: skip


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git, to ask it")
@pytest.mark.parametrize("seed", range(5))
def test_exclude_matches_like_git(tmp_path: Path, seed: int) -> None:
    choose = random.Random(seed)
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    for _ in range(40):
        path = tmp_path.joinpath(*choose.choices(NAMES, k=choose.randint(1, 4)))
        if not any(above.is_file() for above in path.parents) and not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    files = {
        os.fsencode(path.relative_to(tmp_path))
        for path in tmp_path.rglob("*")
        if path.is_file() and ".git" not in path.parts
    }
    for _ in range(20):
        exclude = choose.choices(PATTERNS, k=choose.randint(1, 5))
        selection = Selection(["*"], exclude)
        wanted = {path for path in files if selection.wants(path)}
        assert wanted == _not_ignored_by_git(tmp_path, exclude), exclude


def _not_ignored_by_git(repository: Path, exclude: list[str]) -> set[bytes]:
    rules = repository / ".git/rules"
    rules.write_text("\n".join(exclude))
    command = ["git", "ls-files", "-z", "--others", f"--exclude-from={rules}"]
    output = subprocess.run(command, cwd=repository, check=True, capture_output=True).stdout
    return set(output.split(b"\0")) - {b""}
