"""Is the directory at a folder's path the folder that is known? One pure function decides.

What the kernel tells of a directory, and for how long it holds:

- **The file system's own ID**: ``f_fsid`` of statfs(2), unless it is only the device number; else
  the UUID (``FS_IOC_GETFSUUID``, or XFS's own call on older kernels). It survives a restart, a
  remount and another device number. With the inode of the directory it is a proof.
- **Device and inode** prove nothing alone: the kernel gives a device's number to the next device,
  and the root directories of two disks have one inode number.
- **The birth time** tells a directory that was made again from the one that had its inode number
  before. Only with an own ID: in-kernel exFAT gives the root directory the time of the mount.
- **The mount ID** changes with every mount. It is compared within one process only: after a
  restart, and in another mount namespace (systemd gives the unit one), the number is another.

Observed on Linux 6.18, unmounted and mounted again, on the same and on another loop device ("=":
the same as before; "dev": only the device number). "Own ID" is what this module relies on:

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

Where there is no own ID, only the content tells. A sample of the known files is compared with what
is there. At least half of it must be as it is known: a few files may have been edited or deleted
while the disk was away, while another disk has none of them. An older backup has nearly all of
them, so whoever relies on a sample must not conclude from a missing file that it was deleted.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple


class Identity(NamedTuple):
    """One observation of a directory. ``file_system``, ``birth_ns`` (Unix time, nanoseconds) and
    ``mount`` are 0 where the system does not tell them."""

    device: int
    inode: int
    file_system: int
    birth_ns: int = 0
    mount: int = 0


@dataclass(frozen=True, slots=True)
class Sample:
    """Known files, compared with what is at their paths. ``found`` are as they are known,
    ``different`` are gone or changed; the others of ``known`` could not be read."""

    known: int = 0
    found: int = 0
    different: int = 0

    @property
    def is_decided(self) -> bool:
        """Can the files that were not compared yet change nothing any more?"""
        return 2 * self.found >= self.known or 2 * self.different > self.known


class IdentityVerdict(Enum):
    """What is known of a directory in a folder's place."""

    SAME = "same"
    OTHER = "other"
    CANNOT_TELL = "cannot tell"


def decide(
    known: Identity | None, now: Identity, *, observed_here: bool, sample: Sample | None = None
) -> IdentityVerdict:
    """Is the directory that is there ``now`` the ``known`` one?

    ``known`` is ``None`` for a folder that was never there: it has no files yet, and any directory
    is it. ``observed_here``: this process has observed ``known`` itself, so mount IDs count.
    ``sample`` is of ``now``'s directory, and counts only where the numbers can't tell. An empty one
    says that no file of the folder is known: then any directory is it, too.
    """
    if known is None or (sample is not None and not sample.known):
        return IdentityVerdict.SAME
    verdict = _by_numbers(known, now, observed_here)
    if verdict is not IdentityVerdict.CANNOT_TELL or sample is None:
        return verdict
    return decide_by_content(sample)


def decide_by_content(sample: Sample) -> IdentityVerdict:
    """Are these files the known ones? At least half of them have to be as they are known."""
    if 2 * sample.found >= sample.known:
        return IdentityVerdict.SAME
    if 2 * sample.different > sample.known:
        return IdentityVerdict.OTHER
    return IdentityVerdict.CANNOT_TELL


def _by_numbers(known: Identity, now: Identity, observed_here: bool) -> IdentityVerdict:
    if known.file_system and now.file_system:
        if (known.file_system, known.inode) != (now.file_system, now.inode):
            return IdentityVerdict.OTHER
        is_made_again = known.birth_ns and now.birth_ns and known.birth_ns != now.birth_ns
        return IdentityVerdict.CANNOT_TELL if is_made_again else IdentityVerdict.SAME
    if observed_here and known == now:
        return IdentityVerdict.SAME
    return IdentityVerdict.CANNOT_TELL
