"""The secret key is never shown, and is read only from private places."""

from __future__ import annotations

import copy
import json
import os
import pickle
import subprocess
import sys
import traceback
from dataclasses import asdict
from pathlib import Path

import pytest

from snoopsync.config.file import load_config
from snoopsync.config.secrets import (
    Secret,
    SecretError,
    secret_from_credentials,
    secret_from_environment,
    secret_from_file,
    secrets_from_file,
)
from snoopsync.core.errors import ConfigError
from tests.config.helpers import SECRET, private
from tests.support.process import UNPRIVILEGED


def service_config(folder: Path, *lines: str, mode: int = 0o600) -> Path:
    """A configuration for a service, with these lines in its section ``collection``."""
    section = "".join(f"  {line}\n" for line in lines)
    content = (
        "folders: [{path: photos}]\n"
        "collection:\n  endpoint: https://host/api/v1\n  public_key: abc\n"
    )
    return private(folder / "config.yaml", content + section, mode)


def test_two_secrets_are_equal_when_their_texts_are() -> None:
    assert Secret("word") == Secret(" word\n")
    assert hash(Secret("word")) == hash(Secret("word"))
    assert Secret("word") != Secret("other")
    assert Secret("word") != "word"


def test_only_reveal_gives_the_secret() -> None:
    secret = Secret(SECRET)
    shown = [str(secret), repr(secret), f"{secret}", f"{secret:>50}", f"{secret!r}", repr([secret])]
    assert [text for text in shown if SECRET in text] == []
    assert secret.reveal() == SECRET


def test_a_secret_is_not_pickled_copied_or_dumped() -> None:
    secret = Secret(SECRET)
    for spill in (pickle.dumps, copy.copy, copy.deepcopy, json.dumps, vars):
        with pytest.raises(TypeError) as caught:
            spill(secret)
        assert SECRET not in str(caught.value)


def test_white_space_around_a_secret_is_stripped(tmp_path: Path) -> None:
    assert secret_from_file(private(tmp_path / "key", f" {SECRET}\n")).reveal() == SECRET


@pytest.mark.parametrize("text", ["", " \n", "two words", "two\nlines", "\x00"])
def test_a_secret_is_one_word(text: str) -> None:
    with pytest.raises(SecretError):
        Secret(text)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o620, 0o602])
def test_a_file_that_others_can_read_is_refused_with_the_chmod(tmp_path: Path, mode: int) -> None:
    path = private(tmp_path / "the key", SECRET, mode)
    with pytest.raises(SecretError, match=r"chmod 600 '.*/the key'"):
        secret_from_file(path)
    path.chmod(0o600)
    assert secret_from_file(path).reveal() == SECRET


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"a" * 5000, b"two words"])
def test_a_file_without_a_secret_is_refused(tmp_path: Path, content: bytes) -> None:
    path = private(tmp_path / "key", "")
    path.write_bytes(content)
    with pytest.raises(SecretError, match=str(path)):
        secret_from_file(path)


def test_a_list_of_secrets_has_one_per_line(tmp_path: Path) -> None:
    path = private(tmp_path / "urls", f"# first\n\n {SECRET} \n\t#second\nother")
    assert [secret.reveal() for secret in secrets_from_file(path)] == [SECRET, "other"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "contains no address"),
        (b"# nothing\n", "contains no address"),
        (b"good\ntwo words\n", "urls, line 2, must be one word"),
        (b"\xff\n", "urls, line 1, is not UTF-8 text"),
        (b"a\n" * 40_000, "urls is too long"),
    ],
)
def test_an_invalid_list_of_secrets_is_refused_with_the_reason(
    tmp_path: Path, content: bytes, said: str
) -> None:
    path = private(tmp_path / "urls", "")
    path.write_bytes(content)
    with pytest.raises(SecretError, match=said):
        secrets_from_file(path)


def test_a_list_of_secrets_that_others_can_read_is_refused_with_the_chmod(tmp_path: Path) -> None:
    path = private(tmp_path / "urls", SECRET, 0o644)
    with pytest.raises(SecretError, match=f"chmod 600 {path}"):
        secrets_from_file(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SecretError, match=r"nothing.* can't be read: No such file"):
        secret_from_file(tmp_path / "nothing")


def test_the_secret_key_can_be_a_systemd_credential(tmp_path: Path) -> None:
    """The mode is not checked: systemd admits the service with an access control list."""
    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    assert secret_from_credentials(environ) is None
    assert secret_from_credentials({}) is None
    private(tmp_path / "snoopsync-secret-key", SECRET, 0o440)
    found = secret_from_credentials(environ)
    assert found is not None
    assert found.reveal() == SECRET


def test_an_empty_credential_counts_as_none(tmp_path: Path) -> None:
    private(tmp_path / "snoopsync-secret-key", "\n")
    assert secret_from_credentials({"CREDENTIALS_DIRECTORY": str(tmp_path)}) is None


@pytest.mark.parametrize("value", ["", "  "])
def test_an_empty_variable_counts_as_unset(value: str) -> None:
    assert secret_from_environment({"SNOOPSYNC_SECRET_KEY": value}) is None


@pytest.mark.parametrize("given", ["secret_key: inline", "secret_key_file: key"])
def test_the_environment_comes_before_the_file_and_that_before_systemd(
    tmp_path: Path, given: str
) -> None:
    private(tmp_path / "key", "inline")
    private(tmp_path / "snoopsync-secret-key", "from-systemd")
    credentials = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    variable = {"SNOOPSYNC_SECRET_KEY": "from-environment"}

    def revealed(path: Path, environ: dict[str, str]) -> str:
        secret = load_config(path, environ).collection.secret_key
        assert secret is not None
        return secret.reveal()

    path = service_config(tmp_path, given)
    assert revealed(path, variable | credentials) == "from-environment"
    assert revealed(path, credentials) == "inline"
    assert revealed(service_config(tmp_path), credentials) == "from-systemd"


REVEAL = """
import os, sys
from pathlib import Path
from snoopsync.config.file import load_config
from snoopsync.core.errors import ConfigError
try:
    print(load_config(Path(sys.argv[1]), os.environ).collection.secret_key.reveal())
except ConfigError as error:
    print(error)
"""


def test_a_secret_in_an_unreadable_file_comes_from_systemd(tmp_path: Path) -> None:
    """Commands of root read the file; the service gets its content from systemd."""
    private(tmp_path / "key", "closed", 0o000)
    config = service_config(tmp_path, "secret_key_file: key")

    def revealed(**environ: str) -> str:
        return subprocess.run(
            [*UNPRIVILEGED, sys.executable, "-c", REVEAL, config],
            env={**os.environ, **environ},
            capture_output=True,
            check=True,
            text=True,
        ).stdout.strip()

    assert f"collection.secret_key_file: {tmp_path}/key can't be read: Permission" in revealed()
    private(tmp_path / "snoopsync-secret-key", "from-systemd")
    assert revealed(CREDENTIALS_DIRECTORY=str(tmp_path)) == "from-systemd"


def test_a_missing_secret_names_the_places_for_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(service_config(tmp_path), {})
    assert [problem.key for problem in caught.value.problems] == ["collection.secret_key"]
    for rel_path in ("secret_key_file", "$SNOOPSYNC_SECRET_KEY", "snoopsync-secret-key"):
        assert rel_path in str(caught.value)


def test_a_configuration_with_the_secret_must_be_private(tmp_path: Path) -> None:
    path = service_config(tmp_path, f"secret_key: {SECRET}", mode=0o640)
    with pytest.raises(ConfigError, match=f"line 5: collection.secret_key: .*chmod 600 {path}"):
        load_config(path, {"SNOOPSYNC_SECRET_KEY": "another"})
    path.chmod(0o600)
    assert load_config(path, {}).collection.secret_key is not None


def test_a_configuration_without_the_secret_can_be_public(tmp_path: Path) -> None:
    private(tmp_path / "key", SECRET)
    path = service_config(tmp_path, "secret_key_file: key", mode=0o644)
    assert load_config(path, {}).collection.secret_key is not None


def test_an_exposed_secret_file_is_a_problem_of_its_key(tmp_path: Path) -> None:
    private(tmp_path / "key", SECRET, 0o644)
    path = service_config(tmp_path, "secret_key_file: key")
    with pytest.raises(ConfigError, match=r"line 5: .*\.secret_key_file: .*chmod 600"):
        load_config(path, {})


def test_a_secret_of_digits_needs_quotes(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(service_config(tmp_path, "secret_key: 1234567890"), {})
    (problem,) = caught.value.problems
    assert (problem.key, problem.line) == ("collection.secret_key", 5)
    assert "put it in quotes" in problem.message
    assert "12345" not in problem.message
    path = service_config(tmp_path, 'secret_key: "1234567890"')
    assert load_config(path, {}).collection.secret_key is not None


def test_two_secret_keys_are_an_error(tmp_path: Path) -> None:
    private(tmp_path / "key", SECRET)
    path = service_config(tmp_path, f"secret_key: {SECRET}", "secret_key_file: key")
    with pytest.raises(ConfigError, match=r"line 6: .*\.secret_key_file: .*conflicts"):
        load_config(path, {})


@pytest.mark.parametrize(
    "line",
    [
        f"secret_key: *{SECRET}",
        f"secret_key: !{SECRET}!x y",
        f"secret_key: !{SECRET} x",
        f"secret_key: %{SECRET}",
        f"secret_key: @{SECRET}",
        f'secret_key: "{SECRET}',
        f"secret_key: {SECRET}: {SECRET}",
        f"secret_key: [{SECRET}]",
        f"secret_key: {{{SECRET}: 1}}",
        f"secret_key: a {SECRET}",
        f"secret_key {SECRET}",
        f"secret_key={SECRET}:",
        f"? secret_key={SECRET}",
        f"secretkey: {SECRET}",
        f"secret_key: &{SECRET} a\n  owner: &{SECRET} B",
        f"{SECRET}: secret_key",
        f"endpoint: https://me:{SECRET}@host",
        f"owner: {SECRET}",
        f"timeout: {SECRET}",
    ],
)
def test_no_message_or_traceback_has_the_secret(tmp_path: Path, line: str) -> None:
    path = service_config(tmp_path, line)
    with pytest.raises(ConfigError) as caught:
        load_config(path, {"SNOOPSYNC_SECRET_KEY": f"{SECRET} {SECRET}"})
    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_a_loaded_configuration_does_not_show_the_secret(tmp_path: Path) -> None:
    path = service_config(tmp_path, f"secret_key: {SECRET}")
    path.write_text(f"notify: {{urls: ['json://{SECRET}']}}\n{path.read_text()}")
    config = load_config(path, {})
    assert config.notify is not None
    assert SECRET not in f"{config} {config!r}"
    with pytest.raises(TypeError, match="secret"):
        asdict(config)
