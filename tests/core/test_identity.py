"""Which directory is the folder: the table of cases of the function that decides it."""

from __future__ import annotations

import pytest

from snoopsync.core.identity import Identity, IdentityVerdict, Sample, decide, decide_by_content

SAME, OTHER, CANNOT_TELL = IdentityVerdict.SAME, IdentityVerdict.OTHER, IdentityVerdict.CANNOT_TELL

#: A directory on a file system with an ID of its own, and the root of one without.
NUMBERED = Identity(device=1, inode=2, file_system=77, birth_ns=5, mount=10)
PLAIN = Identity(device=1, inode=1, file_system=0, mount=10)


@pytest.mark.parametrize(
    ("known", "now", "observed_here", "verdict"),
    [
        (None, NUMBERED, False, SAME),
        (None, PLAIN, False, SAME),
        # The file system's own ID and the inode are a proof, whatever the device and the mount.
        (NUMBERED, NUMBERED, True, SAME),
        (NUMBERED, NUMBERED, False, SAME),
        (NUMBERED, NUMBERED._replace(device=9, mount=99), True, SAME),
        (NUMBERED, NUMBERED._replace(device=9, mount=99), False, SAME),
        (NUMBERED, NUMBERED._replace(file_system=78), True, OTHER),
        (NUMBERED, NUMBERED._replace(file_system=78), False, OTHER),
        (NUMBERED, NUMBERED._replace(inode=3), True, OTHER),
        (NUMBERED, NUMBERED._replace(inode=3), False, OTHER),
        # A directory that was made again may get the inode number of the one before.
        (NUMBERED, NUMBERED._replace(birth_ns=6), True, CANNOT_TELL),
        (NUMBERED, NUMBERED._replace(birth_ns=0), False, SAME),
        (NUMBERED._replace(birth_ns=0), NUMBERED, False, SAME),
        # Without an ID of its own, only this process can know that nothing was mounted since.
        (PLAIN, PLAIN, True, SAME),
        (PLAIN, PLAIN, False, CANNOT_TELL),
        (PLAIN, PLAIN._replace(mount=11), True, CANNOT_TELL),
        (PLAIN, PLAIN._replace(mount=11), False, CANNOT_TELL),
        (PLAIN, PLAIN._replace(device=9), True, CANNOT_TELL),
        (PLAIN, PLAIN._replace(inode=9), True, CANNOT_TELL),
        (PLAIN, PLAIN._replace(device=9, inode=9), False, CANNOT_TELL),
        # An ID that only one of them has says nothing: an older kernel does not tell it.
        (PLAIN._replace(inode=2), NUMBERED, True, CANNOT_TELL),
        (NUMBERED, NUMBERED._replace(file_system=0), False, CANNOT_TELL),
    ],
)
def test_the_identity_decides(
    known: Identity | None, now: Identity, observed_here: bool, verdict: IdentityVerdict
) -> None:
    assert decide(known, now, observed_here=observed_here) is verdict


@pytest.mark.parametrize(
    ("sample", "verdict"),
    [
        (Sample(known=32, found=32, different=0), SAME),
        (Sample(known=32, found=16, different=16), SAME),
        (Sample(known=32, found=15, different=17), OTHER),
        (Sample(known=32, found=0, different=32), OTHER),
        (Sample(known=32, found=15, different=16), CANNOT_TELL),
        (Sample(known=32, found=0, different=0), CANNOT_TELL),
        (Sample(known=32, found=16, different=0), SAME),
        (Sample(known=1, found=1, different=0), SAME),
        (Sample(known=1, found=0, different=1), OTHER),
        (Sample(known=2, found=1, different=1), SAME),
        (Sample(known=3, found=1, different=2), OTHER),
    ],
)
def test_the_content_decides_where_the_identity_can_not(
    sample: Sample, verdict: IdentityVerdict
) -> None:
    """At least half of the sample has to be as it is known."""
    assert decide_by_content(sample) is verdict
    assert decide(PLAIN, PLAIN, observed_here=False, sample=sample) is verdict
    assert sample.is_decided is (verdict is not CANNOT_TELL)


@pytest.mark.parametrize("sample", [Sample(32, 32, 0), Sample(32, 0, 32)])
def test_the_content_does_not_count_where_the_identity_decides(sample: Sample) -> None:
    other = NUMBERED._replace(file_system=78)
    assert decide(NUMBERED, other, observed_here=False, sample=sample) is OTHER
    assert decide(NUMBERED, NUMBERED, observed_here=False, sample=sample) is SAME


@pytest.mark.parametrize("now", [NUMBERED._replace(file_system=78), PLAIN])
def test_a_folder_without_known_files_accepts_any_directory(now: Identity) -> None:
    assert decide(NUMBERED, now, observed_here=False, sample=Sample()) is SAME
