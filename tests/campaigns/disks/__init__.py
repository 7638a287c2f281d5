"""Random histories of removable disks: mounted, unmounted, swapped, cloned, plugged in elsewhere.

    python -m tests.campaigns.disks --seed 7 --sequences 500
    python -m tests.campaigns.disks --seed 7 --only 31 --shrink

A sequence is one disk, one folder on it (or above it) and some steps. The disks are real file
systems; snoopsync is its own engine in this process with a clock that jumps, or, in a share of the
sequences, a real ``snoopsync run``. The collection's own record is the judge (see ``Ledger``):

- no DELETE for a picture, unless a person deleted it from the right disk;
- no picture of another disk is sent, if the whole folder is on the disk;
- with the right disk back, everything is in sync without ``approve``; only deletions by a person
  that snoopsync did not see happen may wait for one.
"""
