"""Creates a new configuration file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from string import Template

import yaml

from snoopsync.config.readers import EMBEDDED
from snoopsync.config.settings import default_owner, name_folders


def render_config(
    folders: Sequence[Path],
    endpoint: str = EMBEDDED,
    public_key: str | None = None,
    owner: str | None = None,
    secret_key_file: Path | None = None,
) -> str:
    """A commented configuration for these folders (at least one), with every key at its default.

    It contains the owner, so that a change of the host name does not change the owner. Raises
    ``ConfigError`` for folders that can't be mirrored together.
    """
    first, *others = name_folders(folders)
    more = [f"  - path: {_yaml(str(each.path))}\n    name: {_yaml(each.name)}\n" for each in others]
    key = f"public_key: {_yaml(public_key)}" if public_key else "#public_key: 24d337fe0ed9427cb512"
    secret = "#secret_key_file: ~/.config/snoopsync/secret-key"
    if secret_key_file is not None:
        secret = f"secret_key_file: {_yaml(str(secret_key_file))}"
    return _TEMPLATE.substitute(
        endpoint=_yaml(endpoint),
        public_key=key,
        secret_key_file=secret,
        owner=_yaml(owner or default_owner()),
        path=_yaml(str(first.path)),
        name=_yaml(first.name),
        other_folders="".join(more),
    )


def _yaml(text: str) -> str:
    """The text as a YAML scalar on one line, quoted only where necessary."""
    style = None if text.isprintable() else '"'
    dumped = yaml.safe_dump(text, default_style=style, allow_unicode=True, width=float("inf"))
    return dumped.removesuffix("...\n").removesuffix("\n")


_TEMPLATE = Template(
    """\
# The configuration of snoopsync. Every key has its default value, except those that `snoopsync
# init` filled in. In config.example.yaml, the owner and the folder are examples. If a key begins
# with "#", it has no default, or its default depends on the system. To set such a key, remove the
# "#".
# A duration is 500ms, 5s, 15m, 2h, 1d or a number of seconds. A relative path starts at the
# directory of this file, and ~ is the home directory.

collection:
  # "embedded", or the URL of a service: https://host/api/v1
  endpoint: $endpoint
  # The keys for that service. The best places for the secret key are a file that only you can read,
  # $$SNOOPSYNC_SECRET_KEY, and the systemd credential "snoopsync-secret-key".
  $public_key
  #secret_key: sUGSL96ZvNxqHixSPUopX5L1MtSPdkjrSPrPOCMX
  $secret_key_file
  # The first part of the ID of each image: 1 to 32 of a-z, 0-9 and -. snoopsync never changes
  # images of another owner.
  owner: $owner
  # How long to wait for an answer from the service.
  timeout: 30s
  # Which certificates to trust instead of the bundled ones: a PEM file, or "system" for those that
  # this machine trusts.
  #ca_file: /etc/ssl/certs/our-authority.pem
  # Whether people on other machines of the collection see what each image is called: the name of
  # this machine, the folder and the path. Without it, they see only the ID of an image.
  share_names: false

folders:
  - path: $path
    # The unique name of the folder in listings. The IDs of its images depend on it. The default is
    # the last part of the path.
    name: $name
    # Which files are mirrored, as in a .gitignore. The default is all supported formats. Camera RAW
    # and JPEG XL need an extra if the collection is embedded: docs/formats.md.
    #include: ["*.jpg", "*.JPG"]
    # Patterns of files to leave out, as in a .gitignore, in addition to the default list.
    exclude: []
    # Leave out what other programs keep in folders of pictures: trash, thumbnails, versions,
    # snapshots, temporary files. docs/left-out.md has the list. A "!pattern" in exclude removes an
    # entry from it.
    exclude_defaults: true
    # If identical files are in several folders, recommend keeping the one in this folder. snoopsync
    # never deletes a file.
    prefer: false
    # How to detect changes: auto, events or poll.
    watch: auto
    # How often to scan the folder when polling.
    poll_interval: 30s
$other_folders
sync:
  # A file is sent when it has not changed for this long.
  settle: 500ms
  # An image is deleted when its file has been gone for this long.
  delete_after: 5s
  # How often to scan all folders, to find changes that the events missed.
  rescan_interval: 15m
  # The number of parallel uploads to a service. The embedded collection uses all cores.
  workers: 4
  # Deletions are held for `snoopsync approve` when they exceed both this number and this share of
  # the folder within 10 minutes, or when a folder of 10 or more images would lose all of them.
  # `resync --prune` needs --yes to delete that many. "never" holds no deletion.
  hold_deletes_over: {count: 50, percent: 10}

duplicates:
  # Alert about duplicates.
  alert: true
  # How much a duplicate may differ: 0 means the same picture, 31 is strict, 60 is loose. Above 75,
  # unrelated pictures match.
  max_rank: 50
  # Files of one shot belong together, such as RAW and JPEG. "false" makes them duplicates.
  companions: true
  # Shots that a camera took within seconds are a series: a burst or a bracket. "false" makes those
  # that are alike duplicates.
  series: true
  # snoopsync appends each alert to this file as a line of JSON.
  #log: ~/.local/state/snoopsync/duplicates.jsonl

# The state file. The default is in the state directory of the user, and in /var/lib/snoopsync for
# the system service.
#state: ~/.local/state/snoopsync/state.sqlite3

log:
  # debug, info, warning or error.
  level: info
  # auto, text, json or journal.
  format: auto
  # A file to log to, besides standard error.
  #file: ~/.local/state/snoopsync/snoopsync.log

# Who may send commands to the service, besides its own user.
#control:
  # The members of this group may use `snoopsync review` and other commands while the service runs.
  # The members also need permission to enter the directory of the state file.
  #group: photographers

# Send events by mail, chat or push. This needs the extra "notify".
#notify:
  # URLs of Apprise (appriseit.com/services). They contain passwords: if you list them here, no
  # other user must be able to read this file.
  #urls: ["ntfys://ntfy.sh/topic", "mailtos://user:password@example.org"]
  # Or a file that only you can read, with one URL per line.
  #urls_file: ~/.config/snoopsync/notify-urls
  # Which events to send, by their names in the log. snoopsync also sends an event when a
  # problem ends.
  #events: [duplicate, deletions-held, folder-missing, credentials-refused]

# Serve metrics for Prometheus, and a health check. This needs the extra "metrics".
#metrics:
  # Where to listen. Anyone who can reach this address can read the names of the folders.
  #listen: 127.0.0.1:10667
"""
)
