"""Where the page gets what it knows: beside a running service, without one, from a remote
collection, and for images of other machines."""

from __future__ import annotations

import signal
import socket

import pytest

from snoopsync.control.channel import socket_path
from snoopsync.state.lock import locked
from tests.support.page_client import PageClient
from tests.support.pictures import encode, photo
from tests.support.process import Installation, bind, until
from tests.support.reviewing import reviewing

SIZE = (640, 480)


@pytest.mark.integration
def test_beside_a_service_the_page_shows_what_the_service_knows(home: Installation) -> None:
    with home.running(), reviewing(home) as page:
        client = PageClient(page)
        [group, other] = client.groups()
        assert client.decide("dismiss", [group])["done"] == 1
        assert [each["group"] for each in client.groups()] == [other["group"]]
        assert len(home.json("duplicates", "--json")) == 1
        client.post("/api/undo")
        assert len(home.json("duplicates", "--json")) == 2
        assert client.get("/api/overview")["service"]["running"] is True
        image = group["images"][0]
        assert client.send("GET", image["picture"]).status_code == 200


@pytest.mark.integration
def test_a_file_that_is_removed_elsewhere_leaves_the_page_while_the_person_looks_at_it(
    home: Installation,
) -> None:
    with home.running(), reviewing(home) as page:
        client = PageClient(page)
        [group, other] = client.groups()
        client.decide("keep", [group], group["keep"])
        version = client.get("/api/changes")["version"]
        (home.pictures / "x2.jpg").unlink()
        (home.pictures / "c.png").unlink()
        until(lambda: len(client.groups()) == 0)
        assert client.get("/api/changes", since=version)["changed"] is True
        assert client.send("GET", f"/api/group/{other['group']}").status_code == 404
        until(lambda: "c.png" not in client.marked())
        assert sorted(client.marked()) == ["a small.jpg", "a.png"]


def test_a_service_that_was_killed_leaves_a_socket_and_the_page_works(home: Installation) -> None:
    with socket.socket(socket.AF_UNIX) as left_behind:
        bind(left_behind, socket_path(home.state))
    with reviewing(home) as page:
        assert len(PageClient(page).groups()) == 2


@pytest.mark.integration
def test_a_service_that_starts_and_ends_meanwhile_changes_nothing_for_the_page(
    home: Installation,
) -> None:
    with reviewing(home) as page:
        client = PageClient(page)
        [group, other] = client.groups()
        with home.running() as service:
            client.decide("dismiss", [group])
            assert len(client.groups()) == 1
            service.end(signal.SIGKILL)
        assert len(client.groups()) == 1
        client.decide("dismiss", [other])
        assert client.groups() == []


def test_what_a_command_holds_is_shown_and_a_decision_says_why_it_has_to_wait(
    home: Installation,
) -> None:
    with reviewing(home) as page:
        client = PageClient(page)
        [group, _] = client.groups()
        with locked(home.state):
            assert len(client.groups()) == 2
            decided = {"group": group["group"], "version": group["version"]}
            answer = client.post(
                "/api/decide", {"decision": "dismiss", "groups": [decided]}, status=503
            )
            assert "in use by another snoopsync" in answer["error"]
        assert client.decide("dismiss", [group])["done"] == 1


@pytest.mark.integration
def test_an_image_of_another_machine_is_shown_without_a_picture_and_is_never_marked(
    machines: tuple[Installation, Installation],
) -> None:
    one, two = machines
    (two.pictures / "small.jpg").write_bytes(encode(photo(1, (320, 240))))
    one.ok("resync")
    two.ok("resync")
    with reviewing(two) as page:
        client = PageClient(page)
        [group] = client.groups()
        [foreign] = [each for each in group["images"] if each["image_id"].startswith("one.")]
        assert (foreign["path"], foreign["picture"], foreign["thumb"]) == (None, None, None)
        assert foreign["has_picture"] is False
        refused = client.decide("keep", [group], foreign["image_id"])["refused"]
        assert "no file on this machine" in refused[0]["reason"]
        [own] = [each for each in group["images"] if each["path"] == "two.jpg"]
        client.decide("keep", [group], own["image_id"])
        assert client.marked() == ["small.jpg"]
        client.post("/api/undo")
        client.decide("dismiss", [group])
        assert client.groups() == []
