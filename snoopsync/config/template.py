"""A new configuration file to start from."""

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

    It contains the owner, so that a new host name does not change it. Raises ``ConfigError`` for
    folders that can't be mirrored together.
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
# The configuration of snoopsync. Each key has its default value. A key behind a "#" has no default,
# or one that depends on the system: remove the "#" to set it.
# A duration is 500ms, 5s, 15m, 2h, 1d or a number of seconds. A relative path is relative to the
# directory of this file, and ~ is the home directory.

collection:
  # "embedded", or the URL of a service: https://host/api/v1
  endpoint: $endpoint
  # The keys for a service. It is better to keep the secret key in a file that only you can read, in
  # $$SNOOPSYNC_SECRET_KEY, or in the systemd credential "snoopsync-secret-key".
  $public_key
  #secret_key: sUGSL96ZvNxqHixSPUopX5L1MtSPdkjrSPrPOCMX
  $secret_key_file
  # The prefix of all image IDs: 1 to 32 of a-z, 0-9 and -. snoopsync changes no other images.
  owner: $owner
  # How long to wait for a response.
  timeout: 30s
  # The certificates to trust instead of the bundled ones: a PEM file, or "system" for the system's
  # certificate store.
  #ca_file: /etc/ssl/certs/our-authority.pem

folders:
  - path: $path
    # A unique name, which image IDs depend on. By default the last part of the path.
    name: $name
    # The files to mirror, in .gitignore syntax. By default all images in a supported format.
    #include: ["*.jpg", "*.JPG"]
    # The files to leave out of these, in .gitignore syntax.
    exclude: []
    # Also leave out files of other programs: trash, thumbnails, versions, snapshots, temporary
    # files. The documentation has the list. A "!pattern" in exclude includes such files again.
    exclude_defaults: true
    # Of identical files, suggest keeping the one in this folder. snoopsync deletes no file.
    prefer: false
    # How to detect changes: auto, events or poll.
    watch: auto
    # The time between scans when polling.
    poll_interval: 30s
$other_folders
sync:
  # Send a file when it has not changed for this long.
  settle: 500ms
  # Delete an image when its file has been gone for this long.
  delete_after: 5s
  # The time between full scans, which find changes that events missed.
  rescan_interval: 15m
  # The number of simultaneous uploads.
  workers: 4
  # Hold deletions for `snoopsync approve` if there are more than this count, and more than this
  # percentage of the folder, within 10 minutes; or if a folder of 10 or more images would keep
  # none. A larger prune needs --yes. "never" holds no deletions.
  hold_deletes_over: {count: 50, percent: 10}

duplicates:
  # Log an alert for each new duplicate picture.
  alert: true
  # The largest difference: 0 is identical, 31 strict, 60 loose; above 75 unrelated pictures match.
  max_rank: 50
  # A file for the alerts, one line of JSON each.
  #log: ~/.local/state/snoopsync/duplicates.jsonl

# The state file. By default in the user's state directory; for the system's service in
# /var/lib/snoopsync.
#state: ~/.local/state/snoopsync/state.sqlite3

log:
  # debug, info, warning or error.
  level: info
  # auto, text, json or journal.
  format: auto
  # A log file, in addition to standard error.
  #file: ~/.local/state/snoopsync/snoopsync.log

# Send notifications by mail, chat or push. Needs the extra "notify".
#notify:
  # Apprise addresses (appriseit.com/services). They contain keys: make this file readable only by
  # you.
  #urls: ["ntfys://ntfy.sh/topic", "mailtos://user:password@example.org"]
  # Or a file that only you can read, with one address per line.
  #urls_file: ~/.config/snoopsync/notify-urls
  # The events to report, by their names in the log. Recoveries from them are reported too.
  #events: [duplicate, deletions-held, folder-missing, credentials-refused]

# Serve metrics for Prometheus and a health check over HTTP. Needs the extra "metrics".
#metrics:
  # The address to listen on. Whoever can reach it can read the names of the folders.
  #listen: 127.0.0.1:10667
"""
)
