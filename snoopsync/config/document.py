"""Reads YAML into dataclasses. Each value knows its key and line, for error messages.

A dataclass is its own schema: the metadata of a field (see ``key``) names the key and its reader. A
reader is a function that converts a ``Value``, or raises ``SettingError`` with the reason why the
value can't be used. A ``Document`` collects the problems, so that all are reported at once. No
message quotes a value, because the value may be a secret or be next to one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NoReturn

import yaml

from snoopsync.config.secrets import SecretError
from snoopsync.core.errors import ConfigError, Problem

# The types of YAML values, as messages name them.
NOTHING, TEXT, BOOLEAN, WHOLE = "nothing", "text", "true or false", "a whole number"
LIST, MAPPING = "a list", "a mapping"
_SCALARS = {"null": NOTHING, "str": TEXT, "bool": BOOLEAN, "int": WHOLE, "float": "a number",
            "timestamp": "a date"}  # fmt: skip

_TEXT_TAG = "tag:yaml.org,2002:str"

_LOOKS_LIKE_A_KEY = re.compile(r"[A-Za-z_-]{1,32}")


class SettingError(Exception):
    """The reason why a value can't be used."""


def key(name: str, read: Callable[[Value], Any]) -> Mapping[str, Any]:
    """The metadata of a field that is read from the key ``name`` by the reader ``read``."""
    return {"key": name, "read": read}


def read_fields(cls: type, value: Value) -> dict[str, Any]:
    """Read the fields of a dataclass from a mapping. Returns the values by field name.

    Reports each field that has a problem, and omits it from the result. A key without a value
    counts as absent if the field's default is ``None``. Raises ``SettingError`` if the value is not
    a mapping.
    """
    schema = {field.metadata["key"]: field for field in fields(cls) if field.metadata}
    given = {}
    for name, member in value.members(list(schema)).items():
        field = schema[name]
        if member.kind == NOTHING and field.default is None:
            continue
        member.document.lines[member.key] = member.line
        with member.reporting_errors():
            given[field.name] = field.metadata["read"](member)
    return given


class Document:
    """One YAML file: the lines of the keys that were read, and the problems found."""

    def __init__(self, path: Path) -> None:
        self.source = str(path)
        self.folder = path.absolute().parent
        self.lines: dict[str, int] = {}
        self._problems: list[Problem] = []

    def root(self, content: bytes) -> Value:
        """Parse the file and return its top-level mapping. Raises ``ConfigError``."""
        node = self._compose(content)
        if node is None:
            self.fail("is empty: `snoopsync init` creates a configuration to start from")
        value = Value(node, "", self)
        if value.kind != MAPPING:
            self.fail(f"must be a mapping with keys such as folders:, not {value.kind}", value.line)
        return value

    def report(
        self, key: str, message: str, line: int | None = None, *, fix: str | None = None
    ) -> None:
        """Add a problem. ``line`` defaults to the line of the key."""
        line = self.lines.get(key) if line is None else line
        self._problems.append(Problem(key, message, line, fix))

    @property
    def problems(self) -> tuple[Problem, ...]:
        """All problems, in the file's order."""
        end = 1 + max((problem.line or 0 for problem in self._problems), default=0)
        return tuple(sorted(self._problems, key=lambda problem: problem.line or end))

    def fail(self, message: str, line: int | None = None) -> NoReturn:
        """Raise ``ConfigError`` for a problem that makes the whole file unreadable."""
        # ``from None``: PyYAML's error quotes the line, which may contain the secret.
        raise ConfigError(self.source, (Problem("file", message, line),)) from None

    def _compose(self, content: bytes) -> yaml.Node | None:
        try:
            text = content.decode()
        except UnicodeDecodeError as error:
            self.fail("is not UTF-8 text", content.count(b"\n", 0, error.start) + 1)
        try:
            return yaml.compose(text, Loader=yaml.SafeLoader)
        except yaml.reader.ReaderError as error:
            self.fail("contains a control character", text.count("\n", 0, error.position) + 1)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark
            message = f"is not YAML: {_without_quoted_names(error.problem or 'unreadable')}"
            self.fail(message, mark.line + 1 if mark else None)
        except RecursionError:
            self.fail("is nested too deeply")


@dataclass(frozen=True, slots=True)
class Value:
    """One value of a document, with its dotted key."""

    node: yaml.Node
    key: str
    document: Document

    @classmethod
    def of_text(cls, text: str) -> Value:
        """A value that is not from a file, such as a command-line option. If it is a relative path,
        it is relative to the current directory."""
        return cls(yaml.ScalarNode(_TEXT_TAG, text), "", Document(Path("none")))

    @property
    def line(self) -> int:
        """The line that the value begins on, counted from 1."""
        return self.node.start_mark.line + 1

    @property
    def kind(self) -> str:
        """The value's type, in words."""
        if isinstance(self.node, yaml.MappingNode):
            return MAPPING
        if isinstance(self.node, yaml.SequenceNode):
            return LIST
        return _SCALARS.get(self.node.tag.rpartition(":")[2], "a custom type")

    @property
    def raw(self) -> str:
        """The text of a scalar, without quotes; ``""`` for a list or mapping."""
        return self.node.value if isinstance(self.node, yaml.ScalarNode) else ""

    @contextmanager
    def reporting_errors(self) -> Iterator[None]:
        """Report a ``SettingError`` or ``SecretError`` in the ``with`` block as a problem of this
        value."""
        try:
            yield
        except (SettingError, SecretError) as error:
            self.document.report(self.key, str(error), self.line)

    def items(self) -> list[Value]:
        """The values of a list. Raises ``SettingError`` if this is not a list."""
        if not isinstance(self.node, yaml.SequenceNode):
            raise SettingError(f"must be a list, not {self.kind}")
        nodes = enumerate(self.node.value)
        return [Value(node, f"{self.key}[{number}]", self.document) for number, node in nodes]

    def members(self, known: list[str]) -> dict[str, Value]:
        """The values of a mapping, by key. Reports unknown and repeated keys. Raises
        ``SettingError`` if this is not a mapping."""
        if self.kind == NOTHING:
            return {}
        if not isinstance(self.node, yaml.MappingNode):
            raise SettingError(f"must be a mapping of keys, not {self.kind}")
        members: dict[str, Value] = {}
        for key_node, node in self.node.value:
            member = Value(key_node, self.key, self.document)
            name, path = member.raw, f"{self.key}.{member.raw}".lstrip(".")
            if name not in known:
                member._report_unknown(known)
            elif name in members:
                self.document.report(path, "is given twice", member.line)
            else:
                members[name] = Value(node, path, self.document)
        return members

    def _report_unknown(self, known: list[str]) -> None:
        """Report this value, which is a key, as unknown."""
        if not _LOOKS_LIKE_A_KEY.fullmatch(self.raw):
            message = "a key is one word, followed by a colon and a space"
            self.document.report(self.key or "file", message, self.line)
            return
        from difflib import get_close_matches  # only a wrong configuration needs it

        close = get_close_matches(self.raw, known, n=1)
        hint = f'did you mean "{close[0]}"?' if close else f"the keys are {', '.join(known)}"
        name = f"{self.key}.{self.raw}".lstrip(".")
        self.document.report(name, f"unknown key; {hint}", self.line)


def _without_quoted_names(problem: str) -> str:
    # PyYAML quotes the names of undefined aliases and tags. It would quote a secret that begins
    # with * or !, because it parses it as one. Otherwise it quotes only single characters and YAML
    # tokens.
    return problem.partition(" '")[0] if "undefined" in problem else problem
