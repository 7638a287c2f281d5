"""Decides whether the directory at a folder's path is the known folder.

What the kernel reports about a directory, and how stable each fact is:

- **The file system's own ID**: ``f_fsid`` of statfs(2), unless it is only the device number; else
  the UUID (``FS_IOC_GETFSUUID``, or XFS's own call on older kernels). The ID survives a restart, a
  remount and a new device number. Together, this ID and the directory's inode number are a proof.
- **Device and inode numbers** alone prove nothing: the kernel reuses a device number for the next
  device, and the root directories of two disks have the same inode number.
- **The birth time** distinguishes a directory that was created again from an earlier directory with
  the same inode number. It counts only if the file system has its own ID: the kernel's exFAT driver
  reports the time of the mount for the root directory.
- **The mount ID** changes with every mount. It is compared only within one process: after a
  restart, and in another mount namespace (such as that of a systemd unit), the number differs.

These values were observed on Linux 6.18, before and after a remount on the same and on another loop
device ("=": unchanged; "dev": only the device number). This module relies on the column "own ID":

========================== ============ =============== ============== ======== =======
file system                f_fsid       UUID by ioctl   root inode     birth    own ID
========================== ============ =============== ============== ======== =======
ext4                       =            =               2              =        yes
btrfs (one per subvolume)  =            none            256            =        yes
xfs                        dev          =               128            =        yes
overlay                    =            =               =              =        yes
tmpfs                      new          new             1              new      yes
bind mount                 the original's, and the original's inode             as that
squashfs                   dev          none            by its content none     no
exFAT, exfat-fuse          0            none            1              none     no
NTFS, ntfs-3g              0            none            5              none     no
bindfs, sshfs              0            none            passed on, 1   none     no
========================== ============ =============== ============== ======== =======

By their source code, vfat, exFAT, NTFS3, ISO 9660, UDF, NFS and virtiofs have no own ID either.

Without an own ID, only the content can decide. A sample of the known files is compared with the
directory, and at least half of the sample must be unchanged. A few files may have been edited or
deleted while the disk was away, but another disk has none of them. An older backup has nearly all
of them, so after a decision by sample a missing file must not count as deleted.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple


class Identity(NamedTuple):
    """One observation of a directory. ``file_system``, ``birth_ns`` (Unix time, nanoseconds) and
    ``mount`` are 0 if the system does not report them."""

    device: int
    inode: int
    file_system: int
    birth_ns: int = 0
    mount: int = 0


@dataclass(frozen=True, slots=True)
class Sample:
    """The result of comparing known files with the directory. ``known``: how many were compared.
    ``found``: how many are unchanged. ``different``: how many are gone or changed. The rest could
    not be read."""

    known: int = 0
    found: int = 0
    different: int = 0

    @property
    def is_decided(self) -> bool:
        """Returns whether the result is certain, whatever the remaining files are."""
        return 2 * self.found >= self.known or 2 * self.different > self.known


class IdentityVerdict(Enum):
    """Whether a directory is the known folder."""

    SAME = "same"
    OTHER = "other"
    CANNOT_TELL = "cannot tell"


def decide(
    known: Identity | None, now: Identity, *, observed_here: bool, sample: Sample | None = None
) -> IdentityVerdict:
    """Decide whether the directory that was observed ``now`` is the ``known`` one.

    ``known`` is ``None`` for a folder that was never present: any directory is accepted.
    ``observed_here``: this process observed ``known``, so mount IDs count. ``sample`` comes from
    the present directory, and counts only if the numbers can't decide. An empty sample means that
    no file of the folder is known: any directory is accepted.
    """
    if known is None or (sample is not None and not sample.known):
        return IdentityVerdict.SAME
    verdict = _by_numbers(known, now, observed_here)
    if verdict is not IdentityVerdict.CANNOT_TELL or sample is None:
        return verdict
    return decide_by_content(sample)


def decide_by_content(sample: Sample) -> IdentityVerdict:
    """Decide by a sample: at least half of its files must be unchanged."""
    if 2 * sample.found >= sample.known:
        return IdentityVerdict.SAME
    if 2 * sample.different > sample.known:
        return IdentityVerdict.OTHER
    return IdentityVerdict.CANNOT_TELL


def _by_numbers(known: Identity, now: Identity, observed_here: bool) -> IdentityVerdict:
    if known.file_system and now.file_system:
        if (known.file_system, known.inode) != (now.file_system, now.inode):
            return IdentityVerdict.OTHER
        was_recreated = known.birth_ns and now.birth_ns and known.birth_ns != now.birth_ns
        return IdentityVerdict.CANNOT_TELL if was_recreated else IdentityVerdict.SAME
    if observed_here and known == now:
        return IdentityVerdict.SAME
    return IdentityVerdict.CANNOT_TELL
