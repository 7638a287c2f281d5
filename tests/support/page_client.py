"""A browser without a window: requests to the review page over a real socket."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import requests

from tests.support.reviewing import Reviewed

_SECONDS = 20.0


class PageClient:
    """One browser. It has entered the page unless it is told not to."""

    def __init__(self, page: Reviewed, *, enters: bool = True) -> None:
        self.page = page
        self.session = requests.Session()
        self.session.trust_env = False
        self.csrf_token = ""
        if enters:
            entered = self.send("GET", page.entrance)
            assert entered.status_code == 200, entered.text
            found = re.search(r'name="csrf-token" content="([^"]+)"', entered.text)
            assert found is not None
            self.csrf_token = found[1]

    def send(
        self,
        method: str,
        address: str,
        headers: Mapping[str, str | None] | None = None,
        **options: Any,
    ) -> requests.Response:
        """A request to an address, or to a path of the page, as the page's own scripts send it. A
        header that is ``None`` is left out."""
        url = address if address.startswith("http") else self.page.address + address
        usual: dict[str, str | None] = {}
        if method not in ("GET", "HEAD"):
            usual = {
                "Origin": self.page.address,
                "Sec-Fetch-Site": "same-origin",
                "X-CSRF-Token": self.csrf_token,
            }
        if "Host" in (headers or {}):
            # The session would send its cookie to its own host only.
            pairs = self.session.cookies.get_dict().items()
            usual["Cookie"] = "; ".join(f"{name}={value}" for name, value in pairs)
        merged = {key: value for key, value in (usual | dict(headers or {})).items() if value}
        return self.session.request(method, url, headers=merged, timeout=_SECONDS, **options)

    def get(self, path: str, **parameters: Any) -> Any:
        """The JSON of a GET that succeeds."""
        given = {key: value for key, value in parameters.items() if value is not None}
        answer = self.send("GET", path, params=given)
        assert answer.status_code == 200, (answer.status_code, answer.text)
        return answer.json()

    def post(self, path: str, body: Mapping[str, Any] | None = None, *, status: int = 200) -> Any:
        """The JSON of a POST with this status."""
        answer = self.send("POST", path, json=dict(body or {}))
        assert answer.status_code == status, (answer.status_code, answer.text)
        return answer.json()

    def groups(self, **filters: Any) -> list[dict[str, Any]]:
        """The groups that match, of all pages."""
        found: list[dict[str, Any]] = []
        after = None
        while True:
            page = self.get("/api/groups", after=after, **filters)
            found += page["groups"]
            after = page["next"]
            if after is None:
                return found

    def marked(self) -> list[str]:
        """The paths of the files on the first page of the marked list."""
        return [each["path"] for each in self.get("/api/marked")["files"]]

    def states(self) -> dict[str, str]:
        """The state of each group that is open or set aside, by the name of its first image."""
        return {names(each)[0]: each["state"] for each in self.groups(state="all")}

    def decide(
        self, decision: str, groups: Sequence[Mapping[str, Any]], keep: str | None = None
    ) -> Any:
        """Decide about these groups as they were shown."""
        decided = [
            {"group": each["group"], "version": each["version"], "keep": keep} for each in groups
        ]
        return self.post("/api/decide", {"decision": decision, "groups": decided})


def names(group: Mapping[str, Any]) -> list[str]:
    """The names of the images of a group, as the page shows them."""
    return [image["name"] for image in group["images"]]
