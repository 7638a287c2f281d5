"""The signature, against values that were computed with openssl."""

from __future__ import annotations

import pytest

from snoopsync.client.signing import Signer, quoted_id
from snoopsync.core.errors import Refused

PUBLIC_KEY, SECRET_KEY = "24d337fe0ed9427cb512", "sUGSL96ZvNxqHixSPUopX5L1MtSPdkjrSPrPOCMX"


def test_a_request_is_signed_over_method_path_and_date() -> None:
    headers = Signer(PUBLIC_KEY, SECRET_KEY).headers("POST", "/api/v1/image/a%20b", 1422218585.7)
    assert headers == {
        "Date": "Sun, 25 Jan 2015 20:43:05 GMT",
        "Authorization": f"VSHMAC {PUBLIC_KEY}:zP0FjkR41O7dgb+IrHZwPJyhgqc=",
    }


def test_white_space_around_the_secret_is_ignored() -> None:
    headers = Signer(PUBLIC_KEY, SECRET_KEY).headers("GET", "/", 0)
    assert Signer(PUBLIC_KEY, f" {SECRET_KEY}\n").headers("GET", "/", 0) == headers


def test_the_signer_does_not_show_the_secret() -> None:
    signer = Signer(PUBLIC_KEY, SECRET_KEY)
    assert SECRET_KEY not in repr(signer) + repr(vars(signer))


@pytest.mark.parametrize("public_key", ["", "  ", "a\nb", "é"])
def test_a_public_key_that_is_not_a_valid_header_is_an_error(public_key: str) -> None:
    with pytest.raises(ValueError, match="public_key"):
        Signer(public_key, SECRET_KEY)


def test_an_empty_secret_is_an_error() -> None:
    with pytest.raises(ValueError, match="secret_key"):
        Signer(PUBLIC_KEY, " \n")


@pytest.mark.parametrize(
    ("image_id", "quoted"),
    [
        ("a b", "a%20b"),
        ("a/b", "a%2Fb"),
        ("%2F", "%252F"),
        ("?#", "%3F%23"),
        ("é", "%C3%A9"),
        (".", "%2E"),
        ("..", "%2E%2E"),
        ("...", "..."),
        ("a.b-c_d~e", "a.b-c_d~e"),
    ],
)
def test_an_id_is_one_segment_of_the_path(image_id: str, quoted: str) -> None:
    assert quoted_id(image_id) == quoted


@pytest.mark.parametrize("image_id", ["", "x" * 101, "\udcff", 12, None])
def test_an_invalid_id_is_refused_before_a_request(image_id: str) -> None:
    with pytest.raises(Refused, match="an image ID must be"):
        quoted_id(image_id)
