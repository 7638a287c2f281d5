"""Decides whether the directory at a folder's path is the known folder.

What the kernel tells about a directory, and for how long it stays the same:

- **The file system's own ID**: ``f_fsid`` of statfs(2), unless it is only the device number; else
  the UUID (``FS_IOC_GETFSUUID``, or XFS's own call on older kernels). It survives a restart, a
  remount and a new device number. Together with the directory's inode number it is a proof.
- **Device and inode numbers** alone prove nothing: the kernel reuses a device number for the next
  device, and the root directories of two disks have the same inode number.
- **The birth time** distinguishes a directory that was created again from the one that had its
  inode number before. It counts only with an own ID: the kernel's exFAT driver gives the root
  directory the time of the mount.
- **The mount ID** changes with every mount. It is compared only within one process: after a
  restart, and in another mount namespace (such as that of a systemd unit), the number differs.

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

Without an own ID, only the content tells. A sample of the known files is compared with the
directory. At least half of them must be unchanged: a few files may have been edited or deleted
while the disk was away, while another disk has none of them. An older backup has nearly all of
them, so after a decision by sample a missing file must not count as deleted.
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
    """Numbers of known files that were compared with the files at their paths. ``found`` are
    unchanged, ``different`` are gone or changed; the others of ``known`` could not be read."""

    known: int = 0
    found: int = 0
    different: int = 0

    @property
    def is_decided(self) -> bool:
        """Returns whether the files that were not compared can't change the result."""
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
    ``observed_here``: this process has observed ``known`` itself, so mount IDs count. ``sample`` is
    from the present directory, and counts only where the numbers can't tell. An empty sample means
    that no file of the folder is known: any directory is accepted.
    """
    if known is None or (sample is not None and not sample.known):
        return IdentityVerdict.SAME
    verdict = _by_numbers(known, now, observed_here)
    if verdict is not IdentityVerdict.CANNOT_TELL or sample is None:
        return verdict
    return decide_by_content(sample)


def decide_by_content(sample: Sample) -> IdentityVerdict:
    """Decide by the files: at least half of them must be unchanged."""
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
