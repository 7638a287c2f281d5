"""The OpenAPI description matches the service."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from snoopsync.client.signing import Signer
from snoopsync.server.description import openapi
from snoopsync.server.operations import BASE
from tests.support.foreign import environment_with
from tests.support.hosted import Hosted, hosted, hosted_process
from tests.support.pictures import encode, photo
from tests.support.process import Installation

DESCRIPTION = openapi(BASE)

CALLS = [
    (path, method)
    for path, calls in DESCRIPTION["paths"].items()
    for method in calls
    if method != "parameters"
]

IDS = st.sampled_from(["a", "b", ".", "..", "a/b", "%2F", "a b", "ä", "x" * 100]) | st.text(
    max_size=101
).filter(lambda text: text.isprintable())
BODIES = st.sampled_from([encode(photo(1, (64, 48))), b"", b"GIF89a"]) | st.binary(max_size=200)
QUERIES = st.dictionaries(
    st.sampled_from(["start", "count", "session", "since", "owner", "other"]),
    IDS | st.integers().map(str),
    max_size=3,
)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosted]:
    with hosted(tmp_path_factory.mktemp("described")) as service:
        yield service


@pytest.fixture(scope="module")
def keys(service: Hosted) -> tuple[str, str]:
    return service.keys("described")


def ask(port: int, method: str, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, Any]:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20.0)) as connection:
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        assert response.headers["Content-Type"] == "application/json"
        return response.status, json.loads(response.read())


@pytest.mark.parametrize("signed", [True, False])
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(call=st.sampled_from(CALLS), image_id=IDS, query=QUERIES, body=BODIES)
def test_every_answer_matches_the_description(
    service: Hosted,
    keys: tuple[str, str],
    signed: bool,
    call: tuple[str, str],
    image_id: str,
    query: dict[str, str],
    body: bytes,
) -> None:
    template, method = call
    path = BASE + template.replace("{image_id}", quote(image_id, safe=""))
    headers = Signer(*keys).headers(method.upper(), path, time.time()) if signed else {}
    asked = "&".join(f"{quote(key)}={quote(value)}" for key, value in query.items())
    status, answer = ask(service.port, method.upper(), f"{path}?{asked}", body, headers)
    described = DESCRIPTION["paths"][template][method]["responses"]
    assert str(status) in described, answer
    assert (status < 400) <= signed
    schema = described[str(status)]["content"]["application/json"]["schema"]
    assert_like(schema, answer)
    assert answer["status"] == status


KINDS = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "boolean": bool,
    "null": type(None),
}


def assert_like(schema: dict[str, Any], value: Any) -> None:
    """Check the type and the keys against the schema."""
    wanted = schema["type"]
    kinds = tuple(KINDS[kind] for kind in ([wanted] if isinstance(wanted, str) else wanted))
    assert isinstance(value, kinds), (schema, value)
    if isinstance(value, dict):
        assert set(schema.get("required", ())) <= set(value)
        for key, of in schema.get("properties", {}).items():
            if key in value:
                assert_like(of, value[key])
    if isinstance(value, list):
        for each in value:
            assert_like(schema["items"], each)


#: Signs each request with the keys in the environment.
HOOKS = """
import base64, hashlib, hmac, os
from email.utils import formatdate
from urllib.parse import urlsplit

import schemathesis
from requests.auth import AuthBase


class Signed(AuthBase):
    def __call__(self, request):
        date = formatdate(usegmt=True)
        signed = "\\n".join((request.method, urlsplit(request.url).path, date)).encode()
        digest = hmac.new(os.environ["SECRET_KEY"].encode(), signed, hashlib.sha1).digest()
        signature = base64.b64encode(digest).decode()
        request.headers["Date"] = date
        request.headers["Authorization"] = f"VSHMAC {os.environ['PUBLIC_KEY']}:{signature}"
        return request


schemathesis.auth.set_from_requests(Signed())
"""


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("seed", [1, 2])
def test_schemathesis_finds_no_deviation_from_the_description(
    schemathesis: Path, tmp_path: Path, seed: int
) -> None:
    home, data = Installation(tmp_path), tmp_path / "data"
    (key,) = home.json("keys", "add", "described", "--data", data, "--json")
    (tmp_path / "hooks.py").write_text(HOOKS)
    environment = {
        "PUBLIC_KEY": key["public_key"],
        "SECRET_KEY": key["secret_key"],
        "SCHEMATHESIS_HOOKS": "hooks",
        "PYTHONPATH": str(tmp_path),
        "PATH": os.environ["PATH"],
    }
    with hosted_process(home, data) as (service, endpoint):
        # The description can't say which bytes are a picture, so some valid data is refused.
        options = f"--no-color --seed={seed} --mode=all --max-examples=150"
        options += " --exclude-checks=positive_data_acceptance"
        done = subprocess.run(
            [str(schemathesis), "run", f"{endpoint}/openapi.json", *options.split()],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        assert not [line for line in service.lines if "Traceback" in line]
        assert service.end() == 0


@pytest.fixture(scope="module")
def schemathesis(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return environment_with(tmp_path_factory.mktemp("foreign"), "schemathesis>=4") / "schemathesis"


def test_the_description_needs_no_key(service: Hosted) -> None:
    assert ask(service.port, "GET", f"{BASE}/openapi.json", b"", {}) == (200, DESCRIPTION)
