"""The HTTP client of a collection. Each call sends one request.

The error of a failed call shows whether a retry is useful (``CollectionError.permanent``). The
module ``retrying`` retries calls.
"""

from __future__ import annotations

import http.client
import os
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from functools import cached_property
from typing import Any, Self, TypeVar
from urllib.parse import quote, urlencode, urlsplit

import requests
import urllib3

from snoopsync.client import lists, responses
from snoopsync.client.connections import Adapter, OpenSockets, split_endpoint, translate_error
from snoopsync.client.paging import DEFAULT_LIMITS, list_all
from snoopsync.client.proxies import proxy_for
from snoopsync.client.responses import Response, Session
from snoopsync.client.signing import Signer, id_text, quoted_id
from snoopsync.client.sources import RequestBody, SourceError, open_image
from snoopsync.client.tls import choose_trust_store
from snoopsync.core.errors import BadAnswer, NotConnected, NotFound, Refused
from snoopsync.core.labels import LABEL_HEADER, encode_label
from snoopsync.core.protocol import (
    ChangesAnswer,
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

#: The beginnings of the paths of calls about one image.
_IMAGE_PATHS = ("/image/", "/search/")

#: The usual path of an endpoint.
_USUAL_PATH = "/api/v1"


class Collection:
    """A collection at an endpoint, opened with a key pair. Thread-safe.

    ``timeout``: in seconds, for connecting, for each piece of a body that is sent, and for the
    whole response. ``ca_file``: a PEM file with the certificates to trust, or ``system`` for those
    that the system trusts. ``now`` returns Unix seconds. ``on_sent`` is called with the number of
    bytes of each piece of an image that is sent.

    An image is a path (``str`` or ``PathLike``), the picture's ``bytes``, or a binary file. An
    image's ID is a text of 1 to 100 characters, or a number. Raises ``ValueError`` for an invalid
    endpoint or key.
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
        #: How many seconds this machine's clock was ahead of the service's at the last response
        #: (accurate to a second), or ``None`` if that is unknown.
        self.clock_ahead_seconds: float | None = None
        self._origin, self._base_path = split_endpoint(endpoint)
        self._signer = Signer(public_key, secret_key)
        self._timeout = timeout
        self._now = now
        self._on_sent = on_sent
        self._sockets = OpenSockets()
        self._adapter = Adapter(self._sockets)
        # The adapter of requests is used without a Session, which would handle cookies, redirects
        # and .netrc. The last of these would replace the signature.
        self._trust_store = choose_trust_store(
            None if ca_file is None else os.fspath(ca_file), os.environ
        )
        self._proxy = proxy_for(self._origin, os.environ)
        self._send_options: dict[str, Any] = {
            "verify": self._trust_store.path or True,
            "proxies": {} if self._proxy is None else {"all": self._proxy.url},
            "stream": True,
            "timeout": timeout,
        }

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._signer.public_key!r}, endpoint={self.endpoint!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close every connection. Calls in progress in other threads raise ``Unreachable``."""
        self._sockets.shut_all()
        self._adapter.close()

    @cached_property
    def _session(self) -> Session:
        return self._open_session()

    @property
    def id(self) -> str:
        """The collection's ID. The first use of ``id``, ``name`` or ``user`` sends a request."""
        return self._session.collection_id

    @property
    def name(self) -> str:
        """The collection's name."""
        return self._session.collection_name

    @property
    def user(self) -> str:
        """The user that the collection belongs to."""
        return self._session.user

    def add_image(
        self,
        image: ImageSource,
        image_id: ImageId | None = None,
        update_existing: bool = False,
        label: str | None = None,
    ) -> ImageAnswer:
        """Add or update an image: see ``ImageCollection``. Returns the service's answer.

        If the image can't be read, that error is raised unchanged, and nothing was stored.
        """
        image_id = None if image_id is None else id_text(image_id)
        if update_existing and image_id is None:
            raise NotFound("an update needs the image_id of the image")
        method = "PUT" if update_existing else "POST"
        response = self._call(method, _image_path(image_id), image, label)
        return responses.parse_changed_image(response, image_id, self._known_id())

    def set_label(self, image_id: ImageId, label: str | None) -> ImageAnswer:
        """Set the label of an image; ``None`` clears it. Raises ``NotFound`` also if the service
        does not offer labels."""
        image_id = id_text(image_id)
        response = self._call("POST", f"{_image_path(image_id)}/label", label=label)
        return responses.parse_changed_image(response, image_id, self._known_id())

    def outdated(self, owner: str | None = None, after: str | None = None) -> OutdatedAnswer:
        """Return one page of the images that an older version of the service described: see
        ``Renewable``. Raises ``NotFound`` if the service does not offer this."""
        if after is None:
            # The session shows whether the service offers this, and whether any image is outdated.
            session = self._open_session()
            if session.outdated is None:
                raise NotFound("this collection does not list outdated images")
            if not session.outdated:
                return lists.empty_outdated(session)
        return self._call_streaming(
            lambda response: lists.parse_outdated(response, self._known_id()),
            *("GET", "/outdated"),
            owner=owner,
            after=after,
        )

    def renew_image(self, image_id: str, image: ImageSource) -> ImageAnswer:
        """Send an image's bytes so that the service describes them again: see ``Renewable``."""
        response = self._call("PUT", _image_path(image_id), image, only="renew")
        return responses.parse_changed_image(response, image_id, self._known_id())

    def changes(self, since: int | None, owner: str) -> ChangesAnswer:
        """Return one page of what other owners added: see ``ReportsChanges``."""
        return self._call_streaming(
            lambda response: lists.parse_changes(response, self._known_id(), owner),
            *("GET", "/changes"),
            since=None if since is None else str(since),
            owner=owner,
        )

    def get_image(self, image_id: ImageId) -> ImageAnswer:
        """Return the answer about an image. Raises ``NotFound`` if the collection does not have
        it."""
        image_id = id_text(image_id)
        response = self._call("GET", _image_path(image_id))
        return responses.parse_image(response, image_id, self._known_id())

    def delete_image(self, image_id: ImageId) -> ImageAnswer:
        """Remove an image. Raises ``NotFound`` if the collection does not have it."""
        image_id = id_text(image_id)
        response = self._call("DELETE", _image_path(image_id))
        return responses.parse_changed_image(response, image_id, self._known_id())

    def get_images(self, start: ImageId | None = None, count: int | None = None) -> ListAnswer:
        """Return one page of the listing, newest first, beginning with the image ``start``. Raises
        ``ExcessiveAnswer`` for a page of more than ``count`` images."""
        first = None if start is None else id_text(start)
        return self._call_streaming(
            lambda response: lists.parse_listing(response, self._known_id(), count),
            *("GET", "/images"),
            start=first,
            count=None if count is None else str(count),
        )

    def images(self) -> Iterator[ListedImage]:
        """Yield every image of the collection once. Pages are read as needed."""
        return list_all(lambda start: self.get_images(start, DEFAULT_LIMITS.page_images))

    def search_images_by_id(self, image_id: ImageId, limit: int | None = None) -> SearchByIdAnswer:
        """Return the images similar to this image of the collection, which is not among them,
        nearest first: at most ``limit`` (see ``ImageCollection``) or ``MOST_RESULTS``. Raises
        ``NotFound``."""
        known = id_text(image_id)
        return self._call_streaming(
            lambda response: lists.parse_search_by_id(response, known, self._known_id(), limit),
            *("GET", f"/search/{quoted_id(known)}"),
            limit=None if limit is None else str(limit),
        )

    def search_images(self, image: ImageSource, limit: int | None = None) -> SearchAnswer:
        """Return the images similar to this picture, nearest first. ``limit``: as in
        ``search_images_by_id``."""
        return self._call_streaming(
            lambda response: lists.parse_search(response, self._known_id(), limit),
            "POST",
            "/search",
            image,
            limit=None if limit is None else str(limit),
        )

    def _known_id(self) -> str:
        """The collection's ID, or an empty text if no session was opened. This sends no request."""
        known: Session | None = self.__dict__.get("_session")
        return known.collection_id if known else ""

    def _open_session(self) -> Session:
        return responses.parse_session(self._call("GET", _SESSION_PATH, session="init"))

    def _call(
        self,
        method: str,
        path: str,
        image: ImageSource | None = None,
        label: str | None = None,
        **query: str | None,
    ) -> Response:
        """Send one request and return its successful response. Raises ``CollectionError``, and the
        errors of opening and reading the image."""
        return self._call_streaming(responses.complete, method, path, image, label, **query)

    def _call_streaming(
        self,
        read: Callable[[Response], T],
        method: str,
        path: str,
        image: ImageSource | None = None,
        label: str | None = None,
        **query: str | None,
    ) -> T:
        """Send one request, and return what ``read`` returns for a successful response, which
        ``read`` may process while it arrives. Raises the errors of ``_call`` and of ``read``."""
        with nullcontext() if image is None else open_image(image) as file:
            body = None if file is None else RequestBody(file, self._on_sent)
            request = self._request(method, path, query, body)
            if label is not None:
                request.headers[LABEL_HEADER] = encode_label(label)
            response, result = self._exchange(request, read)
        now = self._now()
        self.clock_ahead_seconds = responses.clock_ahead(response, now)
        error = responses.error_of(response, now)
        is_final = isinstance(error, Refused) or responses.confirms_without_body(response)
        # Only an image can be missing. If any other path is not found, there is no collection.
        is_unknown_call = isinstance(error, NotFound) and not path.startswith(_IMAGE_PATHS)
        if is_unknown_call or (is_final and not responses.is_from_collection(response)):
            self._require_collection(response, path)
        if error is not None:
            raise error
        return read(response) if result is None else result

    def _require_collection(self, response: Response, path: str) -> None:
        """Raise ``CollectionError`` unless a collection may have sent this response.

        A proxy may answer every request with 404 while the service behind it starts. This must not
        look like a missing image.
        """
        if path != _SESSION_PATH:
            try:
                self._open_session()
                return
            except (Refused, BadAnswer):
                pass
        raise responses.no_collection_error(response, self._likely_endpoint)

    @property
    def _likely_endpoint(self) -> str | None:
        """The usual endpoint on this host, if it is not the configured one."""
        return None if self._base_path.endswith(_USUAL_PATH) else f"{self._origin}{_USUAL_PATH}"

    def _request(
        self, method: str, path: str, query: dict[str, str | None], body: RequestBody | None
    ) -> requests.PreparedRequest:
        given = {name: value for name, value in query.items() if value is not None}
        suffix = f"?{urlencode(given, quote_via=quote, safe='')}" if given else ""
        path = self._base_path + path
        # prepare() is not used, because it decodes %2E and guesses the body's length.
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
        self, request: requests.PreparedRequest, read: Callable[[Response], T]
    ) -> tuple[Response, T | None]:
        """Send the request. Returns the response, and what ``read`` returns for a success with a
        body. For an error, only the status and the beginning of the body are read.

        Errors of the libraries are translated here, and raised outside of the ``except`` block, so
        that ``__context__`` does not lead to the request and its headers.
        """
        error: Exception
        if self._sockets.is_shut:
            raise NotConnected("this client is closed")
        try:
            with self._adapter.send(request, **self._send_options) as sent:
                response = _read_beginning(sent)
                is_bare = responses.confirms_without_body(response)
                has_result = 200 <= response.status < 300 and not is_bare
                return response, read(response) if has_result else None
        except SourceError as failed:
            error = failed.error
        except (
            requests.RequestException,
            urllib3.exceptions.HTTPError,
            http.client.HTTPException,
            OSError,
        ) as foreign:
            host = urlsplit(self._origin).netloc
            problem = self._trust_store.problem
            error = (
                translate_error(foreign, host, self._timeout, self._proxy)
                if problem is None
                else NotConnected(f"{host}: {problem}")
            )
        raise error


def _read_beginning(sent: requests.Response) -> Response:
    """Return the response with the beginning of its body. For an error, this may be only the part
    that has arrived."""
    status, reason = sent.status_code, sent.reason or ""
    if status < 200:
        # The body is not read, so that the connection is not used again: it may use another
        # protocol now.
        return Response(status, reason, sent.headers, b"")
    body = bytearray()
    pieces = sent.iter_content(_PIECE_BYTES)
    try:
        for piece in pieces:
            body += piece
            if len(body) > responses.LARGEST_PLAIN_BYTES:
                break
    except requests.RequestException:
        if status < 300:
            raise
    return Response(status, reason, sent.headers, bytes(body), pieces)


def _image_path(image_id: str | None) -> str:
    """The path of an image. ``None``: the path for adding an image whose ID the service creates."""
    return "/image" if image_id is None else f"/image/{quoted_id(image_id)}"
