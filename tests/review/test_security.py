"""What the page refuses. Every request goes over a real socket."""

from __future__ import annotations

import base64
import hashlib
import os
import socket
import subprocess
import sys
from unittest import mock

import pytest
from starlette.routing import Route

from snoopsync.config.file import load_config
from snoopsync.core.addresses import Address
from snoopsync.review.entry import TOKEN_SECONDS
from snoopsync.review.security import Hosts
from snoopsync.review.server import entrance, open_listener, serving
from tests.review.conftest import mirrored, path_of
from tests.support.page_client import PageClient
from tests.support.process import Installation
from tests.support.reviewing import Reviewed, reviewing
from tests.support.users import OTHER, needs_root

#: Values that would lead out of a directory, or mean something to a program.
_TRAVERSALS = (
    *("../../../../etc/passwd", "..%2f..%2f..%2fetc%2fpasswd", "%2e%2e/%2e%2e/etc/passwd"),
    *("/etc/passwd", "%2fetc%2fpasswd", "....//etc/passwd", "..\\..\\etc\\passwd"),
    *("%00", "a%00.css", "%0a", "%ff%fe", "%ed%a0%80", "a" * 5000, "'; DROP TABLE image; --"),
)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """One for all tests: none of them changes anything."""
    return mirrored(tmp_path_factory.mktemp("home"))


def test_every_route_is_refused_without_a_cookie(page: Reviewed, routes: list[Route]) -> None:
    stranger = PageClient(page, enters=False)
    paths = [path_of(route) for route in routes] + ["/nowhere", "/static/nothing.js"]
    assert len(paths) > 20
    for path in paths:
        for method in ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"):
            answer = stranger.send(method, path, allow_redirects=False)
            assert answer.status_code == 401, (method, path)
            assert not answer.cookies


def test_a_page_that_is_refused_says_what_to_do_and_allows_no_style_but_its_own(
    page: Reviewed, client: PageClient
) -> None:
    refused = PageClient(page, enters=False).send("GET", "/", {"Accept": "text/html"})
    assert "Ctrl-C" in refused.text
    style = refused.text.partition("<style>")[2].partition("</style>")[0]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    usual = client.send("GET", "/").headers["Content-Security-Policy"]
    assert refused.headers["Content-Security-Policy"] == usual.replace(
        "style-src 'self'", f"style-src 'sha256-{digest}'"
    )


def test_every_route_that_changes_something_needs_the_csrf_token_and_its_own_origin(
    client: PageClient, routes: list[Route]
) -> None:
    changing = [route for route in routes if "POST" in (route.methods or ())]
    assert len(changing) >= 8
    wrong: list[dict[str, str | None]] = [
        {"X-CSRF-Token": None},
        {"X-CSRF-Token": "guessed"},
        {"X-CSRF-Token": client.csrf_token[:-1]},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": f"http://127.0.0.1:{client.page.port + 1}"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": None, "Sec-Fetch-Site": None},
    ]
    for route in changing:
        for headers in wrong:
            answer = client.send("POST", path_of(route), headers, json={})
            assert answer.status_code == 403, (route.path, headers)
            assert "error" in answer.json()


def test_a_request_with_another_host_is_refused_even_with_the_cookie(client: PageClient) -> None:
    port = client.page.port
    for host in (
        *("evil.example", f"evil.example:{port}", f"127.0.0.1:{port + 1}", "127.0.0.1"),
        *(f"localhost.evil.example:{port}", f"127.0.0.1:{port}.evil.example", f"0.0.0.0:{port}"),
        *(f"localhost:{port}@evil.example", f"[::2]:{port}"),
    ):
        for path in ("/", "/api/groups", "/static/style.css", "/enter?token=x"):
            answer = client.send("GET", path, {"Host": host}, allow_redirects=False)
            assert answer.status_code in (400, 421), (host, path)
    for host in (f"localhost:{port}", f"127.0.0.1:{port}", f"LOCALHOST:{port}"):
        assert client.send("GET", "/api/groups", {"Host": host}).status_code == 200


@pytest.mark.parametrize("hosts", [b"", b"Host: 127.0.0.1:%d\r\nHost: evil.example\r\n"])
def test_a_request_with_no_host_or_two_is_refused(page: Reviewed, hosts: bytes) -> None:
    with socket.create_connection(("127.0.0.1", page.port), 10) as connection:
        lines = hosts % page.port if b"%d" in hosts else hosts
        connection.sendall(b"GET / HTTP/1.1\r\n" + lines + b"Connection: close\r\n\r\n")
        answer = connection.makefile("rb").read()
    assert answer.split()[1] in (b"400", b"421")


def test_an_allowed_name_is_served_with_its_port_or_with_any(home: Installation) -> None:
    hosts = Hosts(8471, ["Nas.example", "other.example:9000", "localhost:1234"])
    for allowed in ("nas.example", "nas.example:80", "NAS.EXAMPLE:8471", "other.example:9000"):
        assert hosts.allow([allowed])
    assert hosts.allow(["localhost:1234"])
    for refused in ("other.example", "other.example:9001", "x.nas.example", "localhost:9000"):
        assert not hosts.allow([refused])
    with reviewing(home, allow_hosts=["nas.example"]) as page:
        client = PageClient(page)
        for host, status in (("nas.example:77", 200), ("evil.example", 421)):
            assert client.send("GET", "/api/groups", {"Host": host}).status_code == status


def test_a_token_is_exchanged_once(page: Reviewed) -> None:
    PageClient(page)
    for _ in range(2):
        answer = PageClient(page, enters=False).send("GET", page.entrance)
        assert answer.status_code == 401
        assert not answer.cookies


def test_the_page_for_a_used_token_says_what_to_do(page: Reviewed) -> None:
    PageClient(page)
    answer = PageClient(page, enters=False).send("GET", page.entrance, {"Accept": "text/html"})
    assert "snoopsync review" in answer.text
    assert answer.headers["Content-Type"].startswith("text/html")


def test_a_wrong_token_is_refused_and_does_not_use_up_the_right_one(page: Reviewed) -> None:
    stranger = PageClient(page, enters=False)
    for token in ("", "x", page.entrance.rpartition("=")[2][:-1], "%00", "%ff", "ü"):
        assert stranger.send("GET", f"/enter?token={token}").status_code == 401
    assert stranger.send("GET", "/enter").status_code == 401
    assert stranger.send("HEAD", page.entrance).status_code == 401
    PageClient(page)


def test_a_late_token_is_refused(home: Installation) -> None:
    seconds = [0.0]
    path = home.home / "config" / "snoopsync" / "config.yaml"
    with (
        open_listener(Address("127.0.0.1", 0)) as listener,
        mock.patch.dict(os.environ, home.environment, clear=True),
    ):
        config = load_config(path, home.environment)
        page = serving(config, listener, home.home / "t", monotonic=lambda: seconds[0])
        with page as (_, entry):
            seconds[0] = TOKEN_SECONDS
            reviewed = Reviewed(listener.getsockname()[1], entrance(listener, entry))
            stranger = PageClient(reviewed, enters=False)
            assert stranger.send("GET", reviewed.entrance).status_code == 401


def test_an_entrance_from_another_site_is_followed_by_a_page_that_carries_the_cookie_on(
    page: Reviewed,
) -> None:
    browser = PageClient(page, enters=False)
    headers = {"Sec-Fetch-Site": "cross-site"}
    answer = browser.send("GET", page.entrance, headers, allow_redirects=False)
    assert answer.status_code == 200
    assert 'http-equiv="refresh"' in answer.text
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert browser.send("GET", "/").status_code == 200


def test_the_cookie_of_another_page_is_refused(home: Installation, page: Reviewed) -> None:
    with reviewing(home) as other:
        name = f"snoopsync-review-{page.port}"
        stolen = PageClient(other).session.cookies.get_dict()
        stranger = PageClient(page, enters=False)
        for value in (*stolen.values(), "", "x", "ü"):
            headers = {"Cookie": f"{name}={value}".encode().decode("latin-1")}
            assert stranger.send("GET", "/api/groups", headers).status_code == 401


@needs_root
def test_a_cookie_that_another_user_learned_is_refused(client: PageClient) -> None:
    program = (
        "import encodings.idna, http.client, os, sys\n"
        "os.setuid(int(sys.argv[3]))\n"
        "connection = http.client.HTTPConnection('127.0.0.1', int(sys.argv[1]))\n"
        "connection.request('GET', '/', headers={'Cookie': sys.argv[2]})\n"
        "print(connection.getresponse().status)"
    )
    [(name, value)] = client.session.cookies.get_dict().items()
    arguments = [sys.executable, "-c", program, str(client.page.port)]
    arguments.append(f"{name}={value}")
    for user, status in ((os.geteuid(), "200"), (OTHER, "401")):
        command = [*arguments, str(user)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert done.stdout.strip() == status


def test_every_answer_has_the_headers_that_protect_it(client: PageClient) -> None:
    stranger = PageClient(client.page, enters=False)
    answers = [
        client.send("GET", "/"),
        client.send("GET", "/api/groups"),
        client.send("GET", "/static/style.css"),
        client.send("GET", "/nowhere"),
        client.send("POST", "/api/decide", json={}),
        stranger.send("GET", "/"),
        stranger.send("GET", "/", {"Host": "evil.example"}),
    ]
    for answer in answers:
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["X-Frame-Options"] == "DENY"
        assert answer.headers["Referrer-Policy"] == "same-origin"
        assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert answer.headers["Cache-Control"] in ("no-store", "no-cache")
        assert "server" not in {name.lower() for name in answer.headers}


def test_no_path_in_an_address_leads_to_a_file(client: PageClient, routes: list[Route]) -> None:
    with_parameters = [route for route in routes if "{" in route.path]
    assert len(with_parameters) >= 5
    for route in with_parameters:
        for value in _TRAVERSALS:
            path = route.path.partition("{")[0] + value
            answer = client.send("GET", path)
            assert 400 <= answer.status_code < 500, path
            assert b"root:" not in answer.content
