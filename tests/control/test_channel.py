"""The service's socket: only for its owner, and no client blocks the service."""

from __future__ import annotations

import fcntl
import grp
import json
import os
import socket
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from snoopsync.control.channel import ALIVE, ControlServer, Message, ask, socket_path
from snoopsync.core.errors import ServiceUnavailable
from snoopsync.state.lock import holder, lock_path, locked
from tests.support.process import Installation, bind, until
from tests.support.users import OTHER, THIRD, needs_root


def echo(request: Message) -> Iterator[Message]:
    yield {"echo": request}
    yield ALIVE
    yield {"result": "said"}


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state.sqlite3"


def raw(state: Path, data: bytes) -> list[object]:
    """The response to these bytes."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(socket_path(state)))
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        return [json.loads(line) for line in connection.makefile("rb")]


def test_a_response_arrives_message_by_message(state: Path) -> None:
    with ControlServer(state, echo):
        assert list(ask(state, {"a": "\udcff"})) == [
            {"echo": {"a": "\udcff"}},
            {"result": "said"},
        ]
    assert not socket_path(state).exists()


def test_only_the_owner_can_connect(state: Path) -> None:
    with ControlServer(state, echo):
        assert stat.S_IMODE(socket_path(state).stat().st_mode) == 0o600


def test_the_members_of_the_configured_group_can_connect(tmp_path: Path) -> None:
    own = grp.getgrgid(os.getegid()).gr_name
    with TemporaryDirectory(dir="/tmp") as directory:
        Path(directory).chmod(0o750)
        state = Path(directory, "state.sqlite3")
        with ControlServer(state, echo, own) as server:
            status = socket_path(state).stat()
            assert (stat.S_IMODE(status.st_mode), status.st_gid) == (0o660, os.getegid())
            assert server.group_error is None


def test_the_error_names_the_directory_that_keeps_the_group_out_and_the_fix() -> None:
    own = grp.getgrgid(os.getegid()).gr_name
    with (
        TemporaryDirectory(dir="/tmp") as directory,
        ControlServer(Path(directory, "state.sqlite3"), echo, own) as server,
    ):
        fix = f"chmod g+x {directory}"
        assert server.group_error == f"group {own} cannot enter {directory}: {fix}"


def test_a_group_that_does_not_exist_opens_the_socket_to_nobody(state: Path) -> None:
    with ControlServer(state, echo, "no such group") as server:
        assert stat.S_IMODE(socket_path(state).stat().st_mode) == 0o600
        assert server.group_error is not None


def test_a_long_path_can_have_a_socket(tmp_path: Path) -> None:
    state = tmp_path / ("d" * 100) / ("e" * 100) / "state.sqlite3"
    state.parent.mkdir(parents=True)
    with ControlServer(state, echo):
        assert {"result": "said"} in list(ask(state, {}))


@pytest.mark.parametrize(
    "garbage",
    [b"", b"\n", b"nonsense\n", b"[1]\n", b"\xff\xfe\n", b"[" * 100_000, b"x" * (5 << 20)],
)
def test_garbage_is_refused_and_the_next_request_is_served(state: Path, garbage: bytes) -> None:
    with ControlServer(state, echo):
        try:
            assert raw(state, garbage) == [{"error": "the request is not a JSON object"}]
        except OSError:
            assert len(garbage) > 4 << 20  # the server did not read all of it
        assert {"result": "said"} in list(ask(state, {}))


def test_a_disconnect_ends_the_response(state: Path) -> None:
    ended = threading.Event()

    def endless(_request: Message) -> Iterator[Message]:
        try:
            while True:
                yield {"much": "x" * 10_000}
        finally:
            ended.set()

    with ControlServer(state, endless):
        next(ask(state, {}))
        assert ended.wait(5.0)


def test_requests_are_served_concurrently(state: Path) -> None:
    """Each request waits for the other one."""
    both = threading.Barrier(2)

    def together(_request: Message) -> Iterator[Message]:
        yield {"result": both.wait(5.0) >= 0}

    replies: list[Message] = []
    with ControlServer(state, together):
        clients = [
            threading.Thread(target=lambda: replies.extend(ask(state, {}))) for _ in range(2)
        ]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
    assert replies == [{"result": True}] * 2


def test_a_stale_socket_is_replaced(state: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        bind(left, socket_path(state))
    with pytest.raises(ServiceUnavailable):
        list(ask(state, {}))
    with ControlServer(state, echo):
        assert {"result": "said"} in list(ask(state, {}))


def test_closing_leaves_the_socket_of_another_service(state: Path) -> None:
    first = ControlServer(state, echo)
    with ControlServer(state, echo):
        first.close()
        assert {"result": "said"} in list(ask(state, {}))
    assert not socket_path(state).exists()


def test_a_silent_service_times_out(state: Path) -> None:
    with socket.socket(socket.AF_UNIX) as silent:
        bind(silent, socket_path(state))
        silent.listen(1)
        with pytest.raises(ServiceUnavailable):
            list(ask(state, {}, 0.1))


def test_closing_ends_all_threads(state: Path) -> None:
    with ControlServer(state, echo):
        list(ask(state, {}))
    until(lambda: not any(each.name.startswith("control") for each in threading.enumerate()))


# A service that means harm.


@contextmanager
def hostile(state: Path, *pieces: bytes, times: int = 1) -> Iterator[None]:
    """A service that answers whatever it is asked with these bytes, and with the last ones so many
    times."""
    with socket.socket(socket.AF_UNIX) as listener:
        bind(listener, socket_path(state))
        listener.listen(1)

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                try:
                    for piece in (*pieces[:-1], *[pieces[-1]] * times):
                        connection.sendall(piece)
                    connection.shutdown(socket.SHUT_WR)
                    connection.recv(1 << 16)
                except OSError:
                    pass  # the asker has had enough

        thread = threading.Thread(target=answer)
        thread.start()
        try:
            yield
        finally:
            thread.join(10.0)
            assert not thread.is_alive()


@pytest.mark.parametrize(
    "answer", [b"[" * 100_000 + b"\n", b'{"a":' * 100_000 + b"\n", b"nonsense\n", b"[1]\n", b"7\n"]
)
def test_an_invalid_answer_is_an_error_for_people(state: Path, answer: bytes) -> None:
    with hostile(state, answer), pytest.raises(ServiceUnavailable, match=state.name):
        list(ask(state, {}))


@pytest.mark.parametrize("end", [b"", b"\n"], ids=["one line", "many lines"])
def test_an_answer_that_does_not_end_is_not_read_on(state: Path, end: bytes) -> None:
    piece = json.dumps({"result": "x" * 10_000}).encode() + end
    with (
        hostile(state, piece, times=1000),
        pytest.raises(ServiceUnavailable, match="more than 100000 bytes"),
    ):
        list(ask(state, {}, max_bytes=100_000))


def test_a_sign_of_life_counts_as_well(state: Path) -> None:
    piece = json.dumps(ALIVE).encode() + b"\n"
    with hostile(state, piece, times=1000), pytest.raises(ServiceUnavailable, match="more than"):
        list(ask(state, {}, max_bytes=1000))


def test_an_error_cannot_write_to_the_terminal(tmp_path: Path) -> None:
    home = Installation(tmp_path)
    home.configure()
    home.ok("resync")
    error = {"error": "\x1b[2Jall is\nwell", "exit_code": "0"}
    with locked(home.state), hostile(home.state, json.dumps(error).encode() + b"\n"):
        done = home.run("approve")
    assert (done.code, done.err) == (1, "snoopsync: \\x1b[2Jall is\\nwell\n")


# A service of another user.

BOB, ALICE = OTHER, THIRD


@pytest.fixture
def homes() -> Iterator[Path]:
    """A directory with those of two users."""
    with TemporaryDirectory() as directory:
        path = Path(directory)
        path.chmod(0o755)
        for name, user in (("bob", BOB), ("alice", ALICE)):
            (path / name).mkdir(mode=0o700)
            os.chown(path / name, user, user)
        yield path


@contextmanager
def service_of(user: int, directory: Path) -> Iterator[socket.socket]:
    """This user's service: its socket, and its lock."""
    directory.mkdir(exist_ok=True)
    state = directory / "state.sqlite3"
    with (
        socket.socket(socket.AF_UNIX) as listener,
        lock_path(state).open("w") as lock,
    ):
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        fcntl.flock(lock, fcntl.LOCK_EX)
        bind(listener, socket_path(state))
        for path in (directory, socket_path(state), lock_path(state)):
            os.chown(path, user, user)
        # Of the user that listens at this moment, whoever asks is told.
        os.seteuid(user)
        try:
            listener.listen(1)
        finally:
            os.seteuid(0)
        yield listener


def is_asked(listener: socket.socket, state: Path) -> bool:
    """Does that service get what is asked of this state file's?"""
    with pytest.raises(ServiceUnavailable):
        list(ask(state, {"command": "approve"}, 0.2))
    listener.setblocking(False)
    try:
        connection, _ = listener.accept()
    except BlockingIOError:
        return False
    with connection:
        return bool(connection.recv(1))


@needs_root
def test_root_asks_the_service_of_another_user(homes: Path) -> None:
    with service_of(BOB, homes / "bob" / "state") as listener:
        state = homes / "bob" / "state" / "state.sqlite3"
        assert is_asked(listener, state)
        assert holder(state) == os.getpid()


@needs_root
@pytest.mark.parametrize("where", ["the directory", "one above"])
def test_a_link_to_the_directory_of_another_user_leads_root_to_no_service(
    homes: Path, where: str
) -> None:
    """Of bob's, to that of alice, where alice's service is."""
    link = homes / "bob" / "link"
    link.symlink_to(homes / "alice" / "state" if where == "the directory" else homes / "alice")
    os.chown(link, BOB, BOB, follow_symlinks=False)
    named = (link if where == "the directory" else link / "state") / "state.sqlite3"
    with service_of(ALICE, homes / "alice" / "state") as listener:
        assert not is_asked(listener, named)
        assert holder(named) is None


@needs_root
def test_a_directory_of_another_user_below_that_of_a_third_one_leads_root_to_no_service(
    homes: Path,
) -> None:
    """Bob can put it there, and away."""
    with service_of(ALICE, homes / "bob" / "state") as listener:
        state = homes / "bob" / "state" / "state.sqlite3"
        assert not is_asked(listener, state)
        assert holder(state) is None


@needs_root
def test_a_socket_of_a_third_user_is_not_a_service(homes: Path) -> None:
    state = homes / "bob" / "state.sqlite3"
    with service_of(ALICE, homes / "alice" / "state") as listener:
        socket_path(state).symlink_to(socket_path(homes / "alice" / "state" / "state.sqlite3"))
        assert not is_asked(listener, state)


@needs_root
def test_the_link_of_systemd_leads_to_the_service(homes: Path) -> None:
    """Of root's, to the directory of a service of another user, below one of root's."""
    (homes / "private").mkdir(mode=0o700)
    (homes / "snoopsync").symlink_to("private/snoopsync")
    with service_of(BOB, homes / "private" / "snoopsync") as listener:
        state = homes / "snoopsync" / "state.sqlite3"
        assert is_asked(listener, state)
        assert holder(state) == os.getpid()


@needs_root
def test_the_holder_of_the_lock_is_asked_in_the_opened_directory(
    homes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bob puts a link to alice's directory into the place of his own, once root has looked."""
    bobs = homes / "bob" / "state"
    with (
        service_of(BOB, bobs) as his,
        service_of(ALICE, homes / "alice" / "state") as hers,
    ):
        connect = socket.socket.connect

        def swap(connection: socket.socket, address: str) -> None:
            monkeypatch.undo()
            bobs.rename(homes / "bob" / "old")
            bobs.symlink_to(homes / "alice" / "state")
            connect(connection, address)

        monkeypatch.setattr(socket.socket, "connect", swap)
        with pytest.raises(ServiceUnavailable):
            list(ask(bobs / "state.sqlite3", {}, 0.2))
        his.setblocking(False)
        hers.setblocking(False)
        his.accept()[0].close()
        with pytest.raises(BlockingIOError):
            hers.accept()
