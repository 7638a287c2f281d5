"""The client of a collection that is a service: one HTTP request per call.

Whether a failed call is worth another try is said by the error (``CollectionError.permanent``);
trying again is ``retrying``'s job.
"""

from __future__ import annotations

import http.client
import os
import time
from collections.abc import Callable, Iterator
from functools import cached_property
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import quote, urlencode, urlsplit

import requests
import urllib3

from snoopsync.client import lists
from snoopsync.client import responses as answers
from snoopsync.client.connections import Adapter, OpenSockets, trouble
from snoopsync.client.paging import PAGE_IMAGES, listed
from snoopsync.client.proxies import proxy_for
from snoopsync.client.responses import Answer
from snoopsync.client.signing import Signer, id_text, quoted_id
from snoopsync.client.sources import Body, SourceFailed, opened
from snoopsync.client.tls import trust
from snoopsync.core.addresses import is_loopback
from snoopsync.core.errors import BadAnswer, NotConnected, NotFound, Refused
from snoopsync.core.protocol import (
    ImageAnswer,
    ImageId,
    ImageSource,
    ListAnswer,
    ListedImage,
    OutdatedAnswer,
    SearchAnswer,
    SearchByIdAnswer,
)
from snoopsync.version import __version__

T = TypeVar("T")

DEFAULT_ENDPOINT = "http://visualsnoop.com/api/v1"

_PIECE_BYTES = 64 * 1024

_SESSION_PATH = "/collection"

#: How the paths of calls begin that are about one image.
_PATHS_OF_IMAGES = ("/image/", "/search/")

#: The path of an endpoint, unless somebody has moved it.
_USUAL_PATH = "/api/v1"


class Collection:
    """A collection behind an endpoint, opened with a pair of keys.

    ``timeout`` is in seconds: for the connection, for every piece of a body to be taken, and for
    the whole answer. ``ca_file`` is a PEM file with the certificates to trust, or ``system`` for
    those that the system trusts. ``now`` gives the time in Unix seconds. ``on_sent`` is told how
    many bytes of an image are sent, as they are. May be used by several threads.

    An image is a path (``str`` or ``PathLike``), the picture itself (``bytes``), or a binary file.
    An image's ID is a text of 1 to 100 characters, or a number.
    Raises ``ValueError`` for an endpoint or a key that can't be one.
    """

    def __init__(
        self,
        public_key: str,
        secret_key: str,
        endpoint: str = DEFAULT_ENDPOINT,
        timeout: float = 30.0,
        *,
        ca_file: str | os.PathLike[str] | None = None,
        now: Callable[[], float] = time.time,
        on_sent: Callable[[int], None] = lambda _bytes: None,
    ) -> None:
        self.endpoint = endpoint
        #: By how many seconds our clock was ahead of the service's at its last answer, to the
        #: second; ``None`` as long as that is not known.
        self.clock_ahead_seconds: float | None = None
        self._origin, self._base_path = _split_endpoint(endpoint)
        self._signer = Signer(public_key, secret_key)
        self._timeout = timeout
        self._now = now
        self._on_sent = on_sent
        self._sockets = OpenSockets()
        self._adapter = Adapter(self._sockets)
        # requests' adapter is used without its Session, whose cookies, redirects and .netrc are not
        # wanted (a .netrc would replace the signature).
        self._trust = trust(None if ca_file is None else os.fspath(ca_file), os.environ)
        self._proxy = proxy_for(self._origin, os.environ)
        self._way: dict[str, Any] = {
            "verify": self._trust.path or True,
            "proxies": {} if self._proxy is None else {"all": self._proxy.url},
            "stream": True,
        }

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._signer.public_key!r}, endpoint={self.endpoint!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Cut every connection: calls under way in other threads fail with ``Unreachable``."""
        self._sockets.cut()
        self._adapter.close()

    @cached_property
    def _session(self) -> answers.Session:
        return self._ask_who()

    @property
    def id(self) -> str:
        """The collection's ID. Like ``name`` and ``user`` it is asked for once, when needed."""
        return self._session.collection_id

    @property
    def name(self) -> str:
        """The collection's name."""
        return self._session.collection_name

    @property
    def user(self) -> str:
        """Whose it is."""
        return self._session.user

    def add_image(
        self, image: ImageSource, image_id: ImageId | None = None, update_existing: bool = False
    ) -> ImageAnswer:
        """Send an image, as ``ImageCollection`` says.

        What reading the image raises is raised as it is, and then nothing was stored.
        """
        image_id = None if image_id is None else id_text(image_id)
        if update_existing and image_id is None:
            raise NotFound("to update an image, say which: image_id")
        method = "PUT" if update_existing else "POST"
        answer = self._ask(method, _image_path(image_id), image)
        return answers.changed_image(answer, image_id, self._known_id())

    def outdated(self, owner: str | None = None, after: str | None = None) -> OutdatedAnswer:
        """One page of the images that an older version of the service has described, as
        ``Renewable`` says. Raises ``NotFound`` if the service does not offer that."""
        if after is None:
            # The session tells whether this is offered, and whether there are any.
            session = self._ask_who()
            if session.outdated is None:
                raise NotFound("this collection does not tell what is outdated")
            if not session.outdated:
                return lists.nothing_outdated(session)
        return self._ask_long(
            lambda answer: lists.outdated(answer, self._known_id()),
            *("GET", "/outdated"),
            owner=owner,
            after=after,
        )

    def renew_image(self, image_id: str, image: ImageSource) -> ImageAnswer:
        """Send an image's own bytes once more, to be described again, as ``Renewable`` says."""
        answer = self._ask("PUT", _image_path(image_id), image, only="renew")
        return answers.changed_image(answer, image_id, self._known_id())

    def get_image(self, image_id: ImageId) -> ImageAnswer:
        """Is it there? Raises ``NotFound`` if not."""
        image_id = id_text(image_id)
        answer = self._ask("GET", _image_path(image_id))
        return answers.image(answer, image_id, self._known_id())

    def delete_image(self, image_id: ImageId) -> ImageAnswer:
        """Remove it. Raises ``NotFound`` if it is not there."""
        image_id = id_text(image_id)
        answer = self._ask("DELETE", _image_path(image_id))
        return answers.changed_image(answer, image_id, self._known_id())

    def get_images(self, start: ImageId | None = None, count: int | None = None) -> ListAnswer:
        """One page of the listing, from the image ``start`` on, newest first. Raises
        ``ExcessiveAnswer`` for a page of more than ``count`` images."""
        first = None if start is None else id_text(start)
        return self._ask_long(
            lambda answer: lists.listing(answer, self._known_id(), count),
            *("GET", "/images"),
            start=first,
            count=None if count is None else str(count),
        )

    def images(self) -> Iterator[ListedImage]:
        """Every image of the collection, each once, while pages are read as needed."""
        return listed(lambda start: self.get_images(start, PAGE_IMAGES))

    def search_images_by_id(self, image_id: ImageId) -> SearchByIdAnswer:
        """Images like one of the collection, itself left out: the nearest ``MOST_RESULTS``. Raises
        ``NotFound``."""
        known = id_text(image_id)
        return self._ask_long(
            lambda answer: lists.search_by_id(answer, known, self._known_id()),
            *("GET", f"/search/{quoted_id(known)}"),
        )

    def search_images(self, image: ImageSource) -> SearchAnswer:
        """Images like this one: the nearest ``MOST_RESULTS``."""
        return self._ask_long(
            lambda answer: lists.search(answer, self._known_id()), "POST", "/search", image
        )

    def _known_id(self) -> str:
        """The collection's ID if it was asked for already: it is not worth a request."""
        known: answers.Session | None = self.__dict__.get("_session")
        return known.collection_id if known else ""

    def _ask_who(self) -> answers.Session:
        return answers.session(self._ask("GET", _SESSION_PATH, session="init"))

    def _ask(
        self, method: str, path: str, image: ImageSource | None = None, **query: str | None
    ) -> Answer:
        """The successful answer to one request. Raises ``CollectionError``, and whatever opening
        and reading the image raises."""
        return self._ask_long(answers.whole, method, path, image, **query)

    def _ask_long(
        self,
        read: Callable[[Answer], T],
        method: str,
        path: str,
        image: ImageSource | None = None,
        **query: str | None,
    ) -> T:
        """What ``read`` makes of the successful answer to one request, while it arrives. Raises as
        ``_ask``, and what ``read`` raises."""
        if image is None:
            answer, result = self._exchange(self._request(method, path, query, None), read)
        else:
            with opened(image) as file:
                body = Body(file, self._on_sent)
                answer, result = self._exchange(self._request(method, path, query, body), read)
        now = self._now()
        self.clock_ahead_seconds = answers.clock_ahead(answer, now)
        error = answers.refusal(answer, now)
        is_final = isinstance(error, Refused) or answers.is_bare(answer)
        # Only an image can be missing: a call that is not found is one of no collection.
        is_no_call = isinstance(error, NotFound) and not path.startswith(_PATHS_OF_IMAGES)
        if is_no_call or (is_final and not answers.is_the_collections(answer)):
            self._require_collection(answer, path)
        if error is not None:
            raise error
        return read(answer) if result is None else result

    def _require_collection(self, answer: Answer, path: str) -> None:
        """Raises ``CollectionError`` unless there is a collection from which this answer can be.

        What a proxy says of everything while the service behind it starts (that an image is not
        there, say) must not be taken for the collection's word.
        """
        if path != _SESSION_PATH:
            try:
                self._ask_who()
                return
            except (Refused, BadAnswer):
                pass
        raise answers.of_no_collection(answer, self._likely_endpoint)

    @property
    def _likely_endpoint(self) -> str | None:
        """Where a collection usually is on this host, if that is not the endpoint."""
        return None if self._base_path.endswith(_USUAL_PATH) else f"{self._origin}{_USUAL_PATH}"

    def _request(
        self, method: str, path: str, query: dict[str, str | None], body: Body | None
    ) -> requests.PreparedRequest:
        given = {name: value for name, value in query.items() if value is not None}
        suffix = f"?{urlencode(given, quote_via=quote, safe='')}" if given else ""
        path = self._base_path + path
        # Filled in by hand: prepare() would decode %2E, and guess at the body's length.
        request = requests.PreparedRequest()
        request.method = method
        request.url = self._origin + path + suffix
        request.headers = requests.structures.CaseInsensitiveDict(
            {
                "Accept": "application/json",
                "Accept-Encoding": "gzip, deflate",
                "User-Agent": f"snoopsync/{__version__}",
                "X-Visualsnoop-Client-Version": f"snoopsync/{__version__}",
                **self._signer.headers(method, path, self._now()),
            }
        )
        if body is not None:
            request.headers["Content-Type"] = "application/octet-stream"
            request.headers["Content-Length"] = str(body.length)
            request.body = body if body.length else b""  # type: ignore[assignment]  # bytes or str, say the stubs
        return request

    def _exchange(
        self, request: requests.PreparedRequest, read: Callable[[Answer], T]
    ) -> tuple[Answer, T | None]:
        """Send the request and read the answer; ``read`` it while it arrives, if it is a success
        and has a body. Of a refusal, the status and the beginning are enough.

        Every foreign error is translated here, and raised when it is no longer being handled: so
        its ``__context__`` does not lead to the request and its headers.
        """
        error: Exception
        if self._sockets.cut_off:
            raise NotConnected("this collection's client is closed")
        try:
            with self._adapter.send(request, timeout=self._timeout, **self._way) as response:
                answer = _begun(response)
                has_body = 200 <= answer.status < 300 and not answers.is_bare(answer)
                return answer, read(answer) if has_body else None
        except SourceFailed as failed:
            error = failed.error
        except (
            requests.RequestException,
            urllib3.exceptions.HTTPError,
            http.client.HTTPException,
            OSError,
        ) as foreign:
            host = urlsplit(self._origin).netloc
            untrusted = self._trust.problem
            error = (
                trouble(foreign, host, self._timeout, self._proxy)
                if untrusted is None
                else NotConnected(f"{host}: {untrusted}")
            )
        raise error


def _begun(response: requests.Response) -> Answer:
    """The answer, with the beginning of its body. Of a refusal, what could be had of it."""
    status, reason = response.status_code, response.reason or ""
    if status < 200:
        # Unread, the connection is not used again: who knows what is spoken there now.
        return Answer(status, reason, response.headers, b"")
    body = bytearray()
    pieces = response.iter_content(_PIECE_BYTES)
    try:
        for piece in pieces:
            body += piece
            if len(body) > answers.LARGEST_PLAIN_BYTES:
                break
    except requests.RequestException:
        if status < 300:
            raise
    return Answer(status, reason, response.headers, bytes(body), pieces)


def _image_path(image_id: str | None) -> str:
    """Where an image is; ``None`` is where one is added under an ID of the service's making."""
    return "/image" if image_id is None else f"/image/{quoted_id(image_id)}"


def _split_endpoint(endpoint: str) -> tuple[str, str]:
    """Scheme and host as they are connected to, and the path as it is sent, without ``/`` at its
    end."""
    parts = urlsplit(endpoint)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"an endpoint is like https://host/api/v1, not {endpoint!r}")
    if parts.username is not None or parts.query or parts.fragment:
        raise ValueError("an endpoint has no user, no query and no fragment in it")
    # requests knows how a host in another script is written.
    url = requests.Request("GET", f"{parts.scheme}://{parts.netloc}/").prepare().url
    path = quote(parts.path.strip("/"), safe="/%:@!$&'()*+,;=")
    return str(url).rstrip("/"), f"/{path}" if path else ""


def insecure(endpoint: str) -> bool:
    """Would requests to it go over a network for all to read, and to change? The signature covers
    neither query nor body."""
    parts = urlsplit(endpoint)
    return parts.scheme == "http" and not is_loopback(parts.hostname or "")
