"""Addresses of databases, as people see them."""

from __future__ import annotations

import pytest

from snoopsync.core.errors import SnoopsyncError
from snoopsync.storage.postgres.url import describe_database, split_password


@pytest.mark.parametrize(
    ("url", "description"),
    [
        ("postgresql://me:secret@db:5433/pictures?sslmode=verify-full", "postgresql://db:5433/pictures"),
        ("postgresql://me@db1,db2/pictures", "postgresql://db1,db2/pictures"),
        ("host=/run/postgresql dbname=pictures password=secret", "postgresql:///run/postgresql/pictures"),
        ("postgresql:///?service=pictures", "postgresql:///?service=pictures"),
        ("postgresql:///", "postgresql:///"),
    ],
)  # fmt: skip
def test_a_description_has_neither_user_nor_password(url: str, description: str) -> None:
    assert describe_database(url) == description


@pytest.mark.parametrize(
    "url", ["postgresql://me:secret@db:port:x/%zz", "secret", "a=b=secret ' x"]
)
def test_the_error_about_a_malformed_address_does_not_contain_it(url: str) -> None:
    with pytest.raises(SnoopsyncError, match="malformed") as caught:
        describe_database(url)
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_the_password_is_separated_from_the_rest() -> None:
    address, password = split_password("postgresql://me:s%40t@db:5433/pictures?sslmode=require")
    assert password == "s@t"
    assert split_password(address) == (address, None)
    assert describe_database(address) == "postgresql://db:5433/pictures"
    assert "sslmode=require" in address and "user=me" in address
