"""snoopsync as a service of a real systemd, in a booted container, with the units as shipped."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO, Any

import pytest

from snoopsync.decoding.decoders import Decoders
from tests.support import machine as machines
from tests.support import postgres
from tests.support.collection_server import PUBLIC_KEY, SECRET_KEY
from tests.support.documentation import README, blocks, section
from tests.support.machine import Machine, booted
from tests.support.paths import ROOT
from tests.support.pictures import encode, photo
from tests.support.process import QUICK_SYNC, Done, until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(machines.why_not() is not None, reason=machines.why_not() or ""),
]

#: In the machine, with a space in every path that can have one.
HOME = "/opt/snoop sync"
SNOOPSYNC = f"{HOME}/bin/snoopsync"
PICTURES = "/srv/my pictures"
CONFIG = "/etc/snoopsync/config.yaml"

UNIT = "snoopsync.service"
TIMER = "snoopsync-resync.timer"

#: Longer than the watchdog's timeout and the delay before systemd restarts the service together.
WATCHDOG_SECONDS = 120.0

SUFFIXES = {"HEIF": "heic", "JPEG": "jpg"}

#: The memory and threads that the search of a large embedded collection takes.
SEARCH = """
import numpy
from snoopsync.embedded.index import CodeIndex
codes = numpy.random.default_rng(1).integers(0, 256, (100_000, 32), numpy.uint8)
index = CodeIndex()
index.add(numpy.arange(100_000), codes)
places, queries, distances = index.search(codes[7:27], 31)
product = numpy.ones((500, 500)) @ numpy.ones((500, 500))
print("found", sorted(places.tolist()), distances.sum(), product[0, 0])
"""

#: Says which restrictions are not in force in a decoder, what code in one can do, and whether
#: Landlock keeps a process from opening a file. No file could be opened by a decoder without it.
PROBE = """
from contextlib import closing
from snoopsync.decoding import landlock
from snoopsync.decoding.pool import Pool
from snoopsync.decoding.source import read_picture
with closing(Pool(1, "decoder_work:by_its_content")) as pool, read_picture(b"attacks") as picture:
    print("missing:", pool.warm_up().missing)
    print("could:", pool.decode(picture.file.fileno(), picture.sha256, bytes).decode())
try:
    landlock.give_up_all()
except OSError as error:
    print("Landlock:", error)
else:
    try:
        open("/etc/passwd")
    except PermissionError:
        print("Landlock: in force")
"""

SERVER = """
import sys
from pathlib import Path
from snoopsync.embedded import open_embedded
from tests.support.collection_server import CollectionServer
with CollectionServer(open_embedded(Path(sys.argv[1]) / "collection.sqlite3")) as server:
    print(server.port, flush=True)
    sys.stdin.read()
"""

POSTBOX = """
import sys
from tests.support.postbox import Postbox

class Echo(Postbox):
    def receive(self, letter):
        print(letter["message"], flush=True)
        return 200

with Echo() as postbox:
    print(postbox.url, flush=True)
    sys.stdin.read()
"""

HEALTH = """
import urllib.request
print(urllib.request.urlopen("http://127.0.0.1:10667/healthz").read().decode())
"""


class Host:
    """The machine with snoopsync on it. ``pictures`` is the folder that it mirrors, from here."""

    def __init__(self, machine: Machine, pictures: Path) -> None:
        self.machine = machine
        self.pictures = pictures
        self.ok, self.run = machine.ok, machine.run

    def snoopsync(self, *arguments: str) -> Done:
        """A command of root's."""
        return self.run(SNOOPSYNC, *arguments)

    def status(self) -> dict[str, Any]:
        status: dict[str, Any] = json.loads(self.snoopsync("status", "--json").out)
        return status

    def is_in_sync(self) -> bool:
        return self.status()["in_sync"] is True

    def images(self) -> list[str]:
        """The paths of the images that are in the collection."""
        lines = self.snoopsync("list", "--json", "--state", "synced").out.splitlines()
        return sorted(json.loads(line)["path"] for line in lines)

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        """Write a file in the machine."""
        self.ok("mkdir", "-p", str(Path(path).parent))
        self.ok("sh", "-c", 'printf %s "$1" > "$0" && chmod "$2" "$0"', path, text, f"{mode:o}")

    def configure(self, text: str = "", folder: str = PICTURES) -> None:
        folders = f'folders: [{{path: "{PICTURES}"}}'
        if folder != PICTURES:
            folders += f', {{path: "{folder}"}}'
        self.write(CONFIG, f"{QUICK_SYNC}{text}{folders}]\n")

    def install(self, *options: str) -> str:
        """Install the units, start them, and return the output of the installation."""
        said = self.ok(SNOOPSYNC, "service", "install", *options)
        self.ok("systemctl", "daemon-reload")
        self.ok("systemctl", "enable", "--now", UNIT, TIMER)
        return said

    def shown(self, name: str, unit: str = UNIT) -> str:
        """A property of the unit."""
        return self.ok("systemctl", "show", f"--property={name}", "--value", unit).strip()

    @property
    def pid(self) -> int:
        """The service's process, which runs."""
        pid = int(self.shown("MainPID"))
        assert pid > 0
        return pid

    def journal(self, unit: str = UNIT) -> list[dict[str, Any]]:
        """What the journal has of a unit since the test began."""
        entries = self.ok("journalctl", "--output=json", "--since", self._since, f"--unit={unit}")
        return [json.loads(line) for line in entries.splitlines()]

    def messages(self, unit: str = UNIT) -> str:
        return "\n".join(str(entry["MESSAGE"]) for entry in self.journal(unit))

    def messages_of_user(self, unit: str) -> str:
        """What the journal has of a unit of somebody's own systemd since the test began."""
        match = f"_SYSTEMD_USER_UNIT={unit}"
        return self.ok("journalctl", "--output=cat", "--since", self._since, match)

    def begin(self) -> None:
        """Begin a test without pictures, state or units."""
        self._since = time.strftime("%Y-%m-%d %H:%M:%S")
        self.configure()

    def clear(self) -> None:
        """Leave nothing behind."""
        self.run("systemctl", "disable", "--now", UNIT, TIMER)
        self.snoopsync("service", "uninstall")
        self.run("systemctl", "daemon-reload")
        self.run("systemctl", "reset-failed")
        self.ok("sh", "-c", "rm -rf /var/lib/snoopsync /var/lib/private/snoopsync /etc/snoopsync")
        self.ok("sh", "-c", "rm -rf /etc/systemd/*/snoopsync*")
        for path in self.pictures.iterdir():
            path.unlink()

    def add(self, name: str, seed: int, **options: Any) -> None:
        """Drop a picture into the folder."""
        (self.pictures / name).write_bytes(encode(photo(seed), **options))

    def restarts(self) -> int:
        return int(self.shown("NRestarts"))


@pytest.fixture(scope="module")
def computer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """Its snoopsync is the wheel of this checkout, the libraries are the tests'."""
    base = tmp_path_factory.mktemp("machine")
    wheels, pictures = base / "wheels", base / "my pictures"
    pictures.mkdir()
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(wheels)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = wheels.glob("*.whl")
    libraries = Path(sysconfig.get_path("purelib"))
    lent = {wheels: "/opt/wheels", pictures: PICTURES, libraries: "/opt/libraries"}
    with booted(base, lent) as machine:
        # The tests' Python may be in a home that is closed to others.
        interpreter = Path(sys.base_prefix)
        machine.ok("chmod", "a+x", *interpreter.parents)
        machine.ok(interpreter / "bin/python3", "-m", "venv", HOME)
        pip = (f"{HOME}/bin/python", "-m", "pip", "install", "--quiet", "--no-index", "--no-deps")
        machine.ok(*pip, f"/opt/wheels/{wheel.name}")
        host = Host(machine, pictures)
        site = machine.ok(
            f"{HOME}/bin/python", "-c", "import site; print(site.getsitepackages()[0])"
        )
        host.write(f"{site.strip()}/libraries.pth", "/opt/libraries\n")
        yield host


@pytest.fixture
def host(computer: Host) -> Iterator[Host]:
    """It has a configuration, and nothing else of snoopsync's."""
    computer.begin()
    yield computer
    computer.clear()


@pytest.fixture
def running(host: Host) -> Host:
    """The service runs, and mirrors one picture."""
    host.add("first.jpg", 1)
    host.install()
    until(host.is_in_sync)
    return host


def test_the_commands_of_the_readme_make_a_running_service(host: Host) -> None:
    """From nothing; but for the two that install snoopsync, from a package index."""
    [block] = blocks(section(README, "As a service"), "sh")
    _venv, _link, *commands = block.replace("sudo ", "").splitlines()
    host.ok("rm", "-r", "/etc/snoopsync")
    host.ok("mkdir", "/srv/photos")
    host.add("first.jpg", 1)
    host.ok("cp", f"{PICTURES}/first.jpg", "/srv/photos")
    host.ok("ln", "-s", SNOOPSYNC, "/usr/local/bin/snoopsync")
    said = [host.ok(*command.split()) for command in commands]
    assert "to do first" not in "".join(said[2:])
    until(host.is_in_sync)
    assert host.images() == ["first.jpg"]
    host.ok("rm", "-r", "/srv/photos", "/usr/local/bin/snoopsync")


def test_the_service_starts_and_mirrors(running: Host) -> None:
    """Within its sandbox: what is dropped in is noticed by the kernel's events and sent."""
    assert running.shown("ActiveState") == "active"
    until(lambda: running.shown("StatusText") == "watching, everything is sent")
    assert "by events" in running.messages()
    kinds = ("AVIF", "GIF", "HEIF", "JPEG", "PNG", "TIFF", "WEBP")
    for seed, kind in enumerate(kinds, start=2):
        running.add(f"second.{SUFFIXES.get(kind, kind.lower())}", seed, kind=kind)
    until(lambda: len(running.images()) == 1 + len(kinds))
    until(running.is_in_sync)
    status = running.status()
    assert status["service"] == {**status["service"], "running": True, "pid": running.pid}


def test_the_service_cannot_write_elsewhere(running: Host) -> None:
    """It has its own user, and everything except its state is read-only."""
    shown = running.ok("cat", f"/proc/{running.pid}/status")
    assert "\nCapEff:\t0000000000000000\n" in shown
    assert "\nNoNewPrivs:\t1\n" in shown
    uid = int(shown.partition("\nUid:\t")[2].split()[0])
    assert uid >= 61184  # systemd's dynamic users
    inside = ("nsenter", f"--target={running.pid}", "--mount")
    for path in (f"{PICTURES}/x", "/etc/x", "/usr/x", "/home/x", "/root/x", "/opt/x"):
        done = running.run(*inside, "touch", path)
        assert "Read-only file system" in done.err, path
    running.ok(*inside, "touch", "/var/lib/private/snoopsync/x")


def test_pictures_are_decoded_with_every_restriction_in_force(running: Host) -> None:
    """The unit withholds nothing that the decoders' own sandbox needs."""
    running.add("second.jpg", 2)
    until(lambda: len(running.images()) == 2)
    shown = running.ok(
        "sh",
        "-c",
        "for zygote in $(pgrep -f snoopsync.decoding.zygote); do"
        " for decoder in $(pgrep -P $zygote); do"
        " cat /proc/$decoder/status /proc/$decoder/limits /proc/$decoder/oom_score_adj; done; done",
    )
    for line in ("CapEff:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"):
        assert f"\n{line}\n" in shown
    for limit in ("core file size", "file size"):
        assert re.search(rf"\nMax {limit} +0 +0 ", shown)
    assert shown.endswith("\n1000\n")
    assert withheld_from(running) == kernel_lacks()
    assert "but the service's unit forbids it" not in running.snoopsync("check").out


def kernel_lacks() -> list[str]:
    """The restrictions that this kernel does not support, outside of any unit."""
    with closing(Decoders(1)) as decoders:
        return decoders.warm_up().missing


def withheld_from(host: Host) -> list[str]:
    """The restrictions that the service's decoders lack, by its log."""
    said = [each for each in host.journal() if "decoded without" in str(each["MESSAGE"])]
    # The journal has one value as it is, and many as a list.
    values = [each["SNOOPSYNC_MISSING"] for each in said]
    return [name for value in values for name in ([value] if isinstance(value, str) else value)]


def in_unit(text: str, code: str, *arguments: str) -> str:
    """The text of a unit that runs this file of Python code once, and is the same otherwise."""
    program = f'ExecStart="{HOME}/bin/python" {code} {" ".join(arguments)}'.rstrip()
    text = re.sub("^Type=.*", "Type=oneshot", text, flags=re.MULTILINE)
    text = re.sub("^(Restart|WatchdogSec)=.*", "", text, flags=re.MULTILINE)
    return re.sub("^ExecStart=.*", program, text, flags=re.MULTILINE)


@pytest.mark.parametrize(
    "name",
    [
        *("snoopsync.service", "snoopsync-resync.service"),
        *("snoopsync-collection.service", "snoopsync-collection@.service"),
    ],
)
def test_each_unit_allows_every_restriction_that_the_kernel_offers(host: Host, name: str) -> None:
    host.write("/opt/probe/probe.py", PROBE)
    host.write("/opt/probe/decoder_work.py", (ROOT / "tests/support/decoder_work.py").read_text())
    text = in_unit((ROOT / "systemd" / name).read_text(), "/opt/probe/probe.py")
    # The service that is asked is not started here.
    text = re.sub("^(Requisite|BindsTo|Requires|After)=snoopsync.service$", "", text, flags=re.M)
    # Nor are there the files of a node.
    text = re.sub("^(EnvironmentFile|LoadCredential|ExecStartPre)=.*", "", text, flags=re.M)
    text = text.replace("%i", "8470")
    host.write("/etc/systemd/system/snoopsync-probe.service", text)
    host.ok("systemctl", "daemon-reload")
    done = host.run("systemctl", "start", "snoopsync-probe.service")
    said = host.messages("snoopsync-probe.service")
    assert done.code == 0, said
    assert_nothing_is_withheld(said)


def assert_nothing_is_withheld(said: str) -> None:
    """By what the probe printed in a unit."""
    lacking = kernel_lacks()
    assert f"missing: {lacking}" in said
    assert "could: answer" in said
    if "Landlock" not in lacking:
        assert "Landlock: in force" in said


@pytest.mark.parametrize("refused", ["landlock_create_ruleset", "landlock_restrict_self"])
def test_restrictions_that_a_unit_refuses_are_distinguished_from_missing_ones(
    host: Host, refused: str
) -> None:
    """By the log, and by ``check``, which is not in the unit."""
    if kernel_lacks():
        pytest.skip("this kernel lacks a part of the sandbox")
    drop_in = f"/etc/systemd/system/{UNIT}.d/refuse.conf"
    host.write(drop_in, f"[Service]\nSystemCallFilter=~{refused}\n")
    host.add("first.jpg", 1)
    host.install()
    until(host.is_in_sync)
    assert withheld_from(host) == ["Landlock"]
    assert "Landlock (a system call filter of the service or container" in host.messages()
    said = host.snoopsync("check").out
    assert "decoders: pictures are decoded in a sandbox" in said
    assert "the service decodes pictures without Landlock: the kernel supports" in said


def test_a_large_collection_can_be_searched_in_the_sandbox(running: Host) -> None:
    """Nothing that numpy, OpenBLAS and their threads need is forbidden."""
    running.write("/opt/search.py", SEARCH)
    unit = in_unit(running.ok("cat", f"/etc/systemd/system/{UNIT}"), "/opt/search.py")
    running.write("/etc/systemd/system/snoopsync-search.service", unit)
    running.ok("systemctl", "daemon-reload")
    running.ok("systemctl", "start", "snoopsync-search.service")
    assert f"found {list(range(7, 27))} 0 500.0" in running.messages("snoopsync-search.service")


def test_a_duplicate_is_a_warning_in_the_journal(running: Host) -> None:
    running.add("copy.jpg", 1, quality=40)

    def alerts() -> list[dict[str, Any]]:
        return [each for each in running.journal() if "duplicate:" in str(each["MESSAGE"])]

    until(alerts)
    (alert,) = alerts()
    assert alert["PRIORITY"] == "4"
    assert "my pictures/copy.jpg" in alert["MESSAGE"]
    assert "my pictures/first.jpg" in alert["MESSAGE"]


def test_a_reload_takes_the_new_configuration(running: Host) -> None:
    pid = running.pid
    running.ok("mkdir", "/srv/more")
    running.ok("cp", f"{PICTURES}/first.jpg", "/srv/more/more.jpg")
    running.configure(folder="/srv/more")
    running.ok("systemctl", "reload", UNIT)
    until(lambda: running.images() == ["first.jpg", "more.jpg"])
    assert running.shown("ActiveState") == "active"
    assert running.pid == pid


def test_a_reload_refuses_a_wrong_configuration(running: Host) -> None:
    running.write(CONFIG, "folders: []\n")
    running.ok("systemctl", "reload", UNIT)
    until(lambda: "the new configuration is refused" in running.messages())
    assert running.shown("ActiveState") == "active"
    running.configure()
    until(running.is_in_sync)


def test_a_service_that_hangs_is_restarted_by_the_watchdog(running: Host) -> None:
    pid = running.pid
    running.ok("kill", "-STOP", str(pid))
    running.add("second.jpg", 2)
    until(lambda: running.restarts() == 1, WATCHDOG_SECONDS)
    assert "Watchdog timeout" in running.messages()
    until(lambda: running.shown("MainPID") not in ("0", str(pid)))
    until(lambda: running.images() == ["first.jpg", "second.jpg"])
    until(running.is_in_sync)


def test_a_service_that_is_killed_continues_where_it_stopped(running: Host) -> None:
    running.ok("kill", "-KILL", str(running.pid))
    running.add("second.jpg", 2)
    until(lambda: running.restarts() == 1, 40)
    until(lambda: running.images() == ["first.jpg", "second.jpg"])
    until(running.is_in_sync)


def test_the_service_stops_in_time(running: Host) -> None:
    """While it has something to do."""
    for seed in range(2, 60):
        running.add(f"{seed}.jpg", seed)
    begun = time.monotonic()
    running.ok("systemctl", "stop", UNIT)
    assert time.monotonic() - begun < 20
    assert running.shown("Result") == "success"
    assert running.shown("ExecMainStatus") == "0"
    running.ok("systemctl", "start", UNIT)
    until(lambda: len(running.images()) == 59)


def test_the_timer_starts_a_resync_of_the_running_service(running: Host) -> None:
    assert running.shown("ActiveState", TIMER) == "active"
    assert running.shown("NextElapseUSecRealtime", TIMER)
    pid = running.pid
    running.write(
        f"/etc/systemd/system/{TIMER}.d/soon.conf",
        "[Timer]\nOnActiveSec=1s\nRandomizedDelaySec=0\nAccuracySec=1us\n",
    )
    running.ok("systemctl", "daemon-reload")
    running.ok("systemctl", "restart", TIMER)
    resync = "snoopsync-resync.service"
    until(lambda: "1 image scanned" in running.messages(resync))
    until(lambda: running.shown("ActiveState", resync) == "inactive")
    assert running.shown("Result", resync) == "success"
    assert running.pid == pid  # which held the state file all the time


def test_the_timer_stops_with_the_service(running: Host) -> None:
    running.ok("systemctl", "stop", UNIT)
    assert running.shown("ActiveState", TIMER) == "inactive"
    assert running.run("systemctl", "start", "snoopsync-resync.service").code != 0
    running.ok("systemctl", "start", UNIT)
    assert running.shown("ActiveState", TIMER) == "active"


def test_a_wrong_configuration_is_not_tried_again(host: Host) -> None:
    host.write(CONFIG, "folders: []\n")
    host.ok(SNOOPSYNC, "service", "install")
    host.ok("systemctl", "daemon-reload")
    assert host.run("systemctl", "start", UNIT).code != 0
    assert host.shown("ActiveState") == "failed"
    assert host.shown("ExecMainStatus") == "78"
    assert "folders: is empty" in host.messages()


@contextmanager
def in_its_network(host: Host, code: str, *arguments: str) -> Iterator[IO[str]]:
    """Run a program in the machine's network during the ``with``. Yields its output."""
    network = ["nsenter", f"--target={host.machine.pid}", "--net"]
    with subprocess.Popen(
        [*network, sys.executable, "-c", code, *arguments],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as program:
        assert program.stdout is not None
        yield program.stdout


@contextmanager
def served(host: Host, folder: Path) -> Iterator[str]:
    """A collection in the machine's network. Yields its endpoint, with a name to be resolved."""
    with in_its_network(host, SERVER, str(folder)) as said:
        yield f"http://localhost:{said.readline().strip()}/api/v1"


def test_the_secret_of_a_service_can_come_from_systemd(host: Host, tmp_path: Path) -> None:
    """Only root can read the file with the secret; everybody can read the configuration."""
    secret = "/etc/snoopsync/the secret of 100%"
    host.write(secret, SECRET_KEY, 0o600)
    with served(host, tmp_path) as endpoint:
        host.configure(
            f"collection: {{endpoint: '{endpoint}', public_key: {PUBLIC_KEY},"
            f" secret_key_file: '{secret}'}}\n"
        )
        host.add("first.jpg", 1)
        said = host.install()
        assert "to do first" not in said
        until(host.is_in_sync)
        assert host.images() == ["first.jpg"]
        shown = host.ok("systemctl", "show", UNIT) + host.ok("cat", f"/proc/{host.pid}/environ")
        assert SECRET_KEY not in shown + host.messages()
        host.ok("systemctl", "start", "snoopsync-resync.service")
        assert "1 image scanned" in host.messages("snoopsync-resync.service")
        host.ok("systemctl", "stop", UNIT)


def test_a_service_notifies_people_and_serves_metrics(host: Host) -> None:
    """The addresses are in a file that only root can read."""
    with in_its_network(host, POSTBOX) as letters:
        urls = "/etc/snoopsync/notify urls"
        url = letters.readline()
        host.write(urls, url, 0o600)
        host.configure(f"notify: {{urls_file: '{urls}'}}\nmetrics: {{}}\n")
        for name in ("first.jpg", "second.jpg"):
            host.add(name, 1)
        assert "to do first" not in host.install()
        until(host.is_in_sync)
        assert "is the same picture as" in letters.readline()
        said = host.ok(f"{HOME}/bin/python", "-c", HEALTH)
        assert said.strip() == "watching, everything is sent"
        assert host.snoopsync("notify", "test").out == f"address 1 of {urls} (JSON): taken\n"
        shown = host.ok("systemctl", "show", UNIT) + host.messages()
        assert url.partition("@")[2].strip() not in shown
        host.ok("systemctl", "stop", UNIT)


def test_the_folders_of_a_group_are_read(host: Host) -> None:
    host.ok("groupadd", "--force", "photos")
    host.ok("install", "--directory", "--group=photos", "--mode=2750", "/srv/group")
    host.ok("install", "--directory", "--mode=0750", "/srv/rooted")
    host.add("first.jpg", 1)
    for folder in ("group", "rooted"):
        host.ok("install", "--mode=0640", f"{PICTURES}/first.jpg", f"/srv/{folder}/{folder}.jpg")
    host.ok("chgrp", "photos", "/srv/group/group.jpg")
    host.write(
        CONFIG,
        QUICK_SYNC
        + f"folders: [{{path: '{PICTURES}'}}, {{path: /srv/group}}, {{path: /srv/rooted}}]",
    )
    said = host.install()
    assert "in the group photos, to read /srv/group" in said
    until(host.is_in_sync)
    assert host.images() == ["first.jpg", "group.jpg", "rooted.jpg"]
    host.ok("rm", "-r", "/srv/group", "/srv/rooted")


def test_the_pictures_of_a_person_are_read_as_that_person(host: Host) -> None:
    host.ok("useradd", "--create-home", "ada")
    host.ok("install", "--directory", "--owner=ada", "--mode=0700", "/home/ada/Pictures")
    host.add("first.jpg", 1)
    host.ok("install", "--owner=ada", "--mode=0600", f"{PICTURES}/first.jpg", "/home/ada/Pictures")
    host.ok("chmod", "0700", "/home/ada")
    host.write(CONFIG, QUICK_SYNC + "folders: [{path: /home/ada/Pictures}]\n")
    assert "run the service as its owner" in host.install()
    until(lambda: "Permission denied" in host.messages())
    host.install("--as", "ada")
    host.ok("systemctl", "restart", UNIT)
    until(lambda: host.images() == ["first.jpg"])
    until(host.is_in_sync)
    host.ok("systemctl", "stop", UNIT)
    host.ok("userdel", "--remove", "ada")


def test_the_service_notices_a_disk_that_is_unplugged_and_plugged_in(host: Host) -> None:
    """The service has its own mount namespace, and still sees mounts that come and go."""
    host.ok("mkdir", "/srv/disk")
    host.add("first.jpg", 1)
    host.configure(folder="/srv/disk")
    host.install()
    until(host.is_in_sync)
    host.ok("mount", "-t", "tmpfs", "disk", "/srv/disk")
    host.ok("cp", f"{PICTURES}/first.jpg", "/srv/disk/second.jpg")
    until(lambda: host.images() == ["first.jpg", "second.jpg"])
    host.ok("umount", "/srv/disk")
    until(lambda: "folder disk is missing, so none of its images are deleted" in host.messages())
    assert host.images() == ["first.jpg", "second.jpg"]
    host.ok("rmdir", "/srv/disk")


def test_without_a_service_root_gets_the_command_that_runs_as_its_user(running: Host) -> None:
    """The files that the printed command creates belong to the service's user."""
    running.ok("systemctl", "stop", UNIT)
    running.ok("sh", "-c", "rm /var/lib/snoopsync/state.sqlite3*")
    refused = running.run(SNOOPSYNC, "resync")
    assert refused.code == 1, refused
    assert "1 adopted" in running.ok(*_as_service(refused.err))
    running.ok("systemctl", "start", UNIT)
    until(running.is_in_sync)
    assert running.shown("ActiveState") == "active"


@contextmanager
def person(host: Host, name: str) -> Iterator[Callable[..., str]]:
    """A person with a systemd user instance. Yields a function that runs commands as them."""
    host.ok("useradd", "--create-home", name)
    uid = host.ok("id", "--user", name).strip()
    host.ok("systemctl", "start", f"user@{uid}.service")
    ids = (f"--reuid={name}", f"--regid={name}", "--init-groups")
    runtime = f"XDG_RUNTIME_DIR=/run/user/{uid}"

    def run(*command: str) -> str:
        return host.ok("setpriv", *ids, "env", f"HOME=/home/{name}", runtime, *command)

    yield run
    host.ok("systemctl", "stop", f"user@{uid}.service")
    host.ok("userdel", "--remove", name)


def test_a_person_has_a_service_of_their_own(host: Host) -> None:
    with person(host, "ben") as ben:
        ben("mkdir", "/home/ben/Pictures")
        ben("chmod", "0700", "/home/ben")
        host.add("first.jpg", 1)
        ben("cp", f"{PICTURES}/first.jpg", "/home/ben/Pictures")
        ben(SNOOPSYNC, "init")
        ben(SNOOPSYNC, "service", "install", "--user")
        ben("systemctl", "--user", "daemon-reload")
        ben("systemctl", "--user", "enable", "--now", UNIT)
        status = ("sh", "-c", f"'{SNOOPSYNC}' status || true")
        until(lambda: "in sync" in (ben(*status).splitlines() or [""])[0][:7])
        ben("systemctl", "--user", "reload", UNIT)
        ben("systemctl", "--user", "stop", UNIT)
        result = ben("systemctl", "--user", "show", "--property=Result", "--value", UNIT)
        assert result == "success\n"
        assert ben("ls", "/home/ben/.local/state/snoopsync")


def test_the_unit_of_a_person_allows_every_restriction_that_the_kernel_offers(host: Host) -> None:
    host.write("/opt/probe/probe.py", PROBE)
    host.write("/opt/probe/decoder_work.py", (ROOT / "tests/support/decoder_work.py").read_text())
    text = in_unit((ROOT / "systemd/user/snoopsync.service").read_text(), "/opt/probe/probe.py")
    with person(host, "cleo") as cleo:
        host.write("/etc/systemd/user/snoopsync-probe.service", text)
        cleo("mkdir", "-p", "/home/cleo/.local/state", "/home/cleo/.config")
        cleo("systemctl", "--user", "daemon-reload")
        cleo("systemctl", "--user", "start", "snoopsync-probe.service")
        assert_nothing_is_withheld(host.messages_of_user("snoopsync-probe.service"))


def test_the_service_is_installed_and_removed_without_a_trace(running: Host) -> None:
    running.ok("systemctl", "is-enabled", UNIT, TIMER)
    said = running.ok(SNOOPSYNC, "service", "uninstall")
    for line in said.partition("then:\n")[2].splitlines():
        running.ok(*line.split())
    assert running.run("systemctl", "status", UNIT).code == 4  # no such unit
    assert running.run("sh", "-c", "find /etc/systemd -name '*snoopsync*'").out == ""
    running.ok("test", "-e", "/var/lib/snoopsync/state.sqlite3")


def _as_service(refusal: str) -> list[str]:
    """The command that a refusal names."""
    command = refusal[refusal.index("systemd-run ") :].partition(" Or start ")[0]
    return shlex.split(command)


#: What a client of a hosted collection does: adds the picture that is named, and searches for it.
CLIENT = """
import sys
from snoopsync import Collection
*keys, picture = sys.argv[1:]
with Collection(*keys, "http://127.0.0.1:8470/api/v1") as collection:
    if not list(collection.images()):
        collection.add_image(picture, "first")
    print(collection.search_images(picture)["results"][0]["id"])
"""


def test_a_hosted_collection_works_in_its_sandbox(host: Host) -> None:
    """Its decoders, their limits, and keys that its user makes while it runs."""
    unit, data = "snoopsync-collection.service", "/var/lib/snoopsync-collection"
    host.add("first.jpg", 1)
    host.ok("ln", "-s", SNOOPSYNC, "/usr/local/bin/snoopsync")
    host.write(f"/etc/systemd/system/{unit}", (ROOT / "systemd" / unit).read_text())
    host.ok("systemctl", "daemon-reload")
    assert host.run("systemctl", "start", unit).code == 0, host.messages(unit)
    refused = host.run(SNOOPSYNC, "keys", "add", "family", "--data", data)
    assert refused.code == 1, refused
    key = json.loads(host.ok(*_as_service(refused.err), "--json"))
    keys = (key["public_key"], key["secret_key"])
    for _ in range(2):
        said = host.run(f"{HOME}/bin/python", "-c", CLIENT, *keys, f"{PICTURES}/first.jpg")
        assert (said.out, said.code) == ("first\n", 0), (said, host.messages(unit))
        host.ok("systemctl", "restart", unit)
    refused = host.run(SNOOPSYNC, "serve", "backup", f"{data}/backup", "--data", data)
    host.ok(*_as_service(refused.err))
    host.ok("test", "-s", f"{data}/backup/keys.sqlite3")
    host.ok("systemctl", "stop", unit)
    assert host.shown("Result", unit) == "success"
    assert host.messages(unit).count("stopped") >= 3
    assert keys[1] not in host.messages(unit)
    host.ok("sh", "-c", "rm -rf /var/lib/*/snoopsync-collection /var/lib/snoopsync-collection")
    host.ok("rm", "-r", "/usr/local/bin/snoopsync")


def test_nodes_share_a_database_in_their_sandboxes(host: Host) -> None:
    if (reason := postgres.why_not()) is not None:
        pytest.skip(reason)
    unit, nodes = "snoopsync-collection@.service", ("8470", "8471")
    names = [unit.replace("@", f"@{port}") for port in nodes]
    host.add("first.jpg", 1)
    host.ok("ln", "-s", SNOOPSYNC, "/usr/local/bin/snoopsync")
    host.write(f"/etc/systemd/system/{unit}", (ROOT / "systemd" / unit).read_text())
    host.write("/etc/snoopsync/master-key", "ab" * 32)
    host.write("/etc/snoopsync/node.env", "NODE_ADDRESS=127.0.0.1\n")
    host.ok("systemctl", "daemon-reload")
    assert host.run("systemctl", "start", names[0]).code != 0
    assert "SNOOPSYNC_DATABASE: is not in /etc/snoopsync/node.env" in host.messages(names[0])
    host.ok("systemctl", "stop", names[0])
    url = _database(host)
    host.write("/etc/snoopsync/node.env", f"SNOOPSYNC_DATABASE={url}\n")
    host.ok("chmod", "-R", "go=", "/etc/snoopsync")
    given = ("--database", url, "--master-key", "/etc/snoopsync/master-key", "--json")
    key = json.loads(host.ok(SNOOPSYNC, "keys", "add", "family", *given))
    keys = (key["public_key"], key["secret_key"])
    for port, name in zip(nodes, names, strict=True):
        assert host.run("systemctl", "start", name).code == 0, host.messages(name)
        client = CLIENT.replace("8470", port)
        said = host.run(f"{HOME}/bin/python", "-c", client, *keys, f"{PICTURES}/first.jpg")
        assert (said.out, said.code) == ("first\n", 0), (said, host.messages(name))
    for name in names:
        host.ok("systemctl", "stop", name)
        assert host.shown("Result", name) == "success"
        assert keys[1] not in host.messages(name)
    host.ok("systemctl", "stop", "database.service")
    host.ok("sh", "-c", "rm -rf /opt/pg /var/lib/*/snoopsync-node-* /var/lib/snoopsync-node-*")
    host.ok("rm", "-r", "/usr/local/bin/snoopsync", "/etc/snoopsync/node.env")


def _database(host: Host) -> str:
    """The address of an empty database in the container."""
    programs = postgres.programs()
    host.ok("install", "-d", "-o", "postgres", "-m", "700", "/opt/pg")
    own = ("setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups")
    create = ("initdb", "-D", "/opt/pg/data", "-U", "owner", "-A", "trust", "--no-sync")
    host.ok(*own, f"{programs}/{create[0]}", *create[1:])
    run = ("systemd-run", "--unit=database", "--property=User=postgres", "--property=Type=notify")
    settings = ("-c", "port=5499", "-c", "unix_socket_directories=", "-c", "fsync=off")
    host.ok(*run, f"{programs}/postgres", "-D", "/opt/pg/data", *settings)
    return "postgresql://owner@127.0.0.1:5499/postgres"
