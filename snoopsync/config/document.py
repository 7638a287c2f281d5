"""YAML read into dataclasses, each value with its key and line for when something is wrong.

A dataclass is its own schema: ``key`` in the metadata of a field names the key and the function
that reads it. Such a function takes a ``Value`` and raises ``SettingError`` with the reason when
that won't do; the problems are gathered, so that all are told at once. No message quotes a value:
it may be a secret, or stand next to one.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NoReturn

import yaml

from snoopsync.config.secrets import SecretError
from snoopsync.core.errors import ConfigError, Problem

# What YAML takes a value for, in words for a message.
NOTHING, TEXT, BOOLEAN, WHOLE = "nothing", "text", "true or false", "a whole number"
LIST, MAPPING = "a list", "a mapping"
_SCALARS = {"null": NOTHING, "str": TEXT, "bool": BOOLEAN, "int": WHOLE, "float": "a number",
            "timestamp": "a date"}  # fmt: skip

_TEXT_TAG = "tag:yaml.org,2002:str"

_LOOKS_LIKE_A_KEY = re.compile(r"[A-Za-z_-]{1,32}")


class SettingError(Exception):
    """Why a value can't be used."""


def key(name: str, read: Callable[[Value], Any]) -> Mapping[str, Any]:
    """The metadata of a dataclass's field that is read from the key ``name`` by ``read``."""
    return {"key": name, "read": read}


def read_fields(cls: type, value: Value) -> dict[str, Any]:
    """The fields of a dataclass that a mapping gives, by the field's name, without those that
    were reported. A key may be without a value where the default is to have none.

    Raises ``SettingError`` if this is no mapping.
    """
    schema = {field.metadata["key"]: field for field in fields(cls) if field.metadata}
    given = {}
    for name, member in value.members(list(schema)).items():
        field = schema[name]
        if member.kind == NOTHING and field.default is None:
            continue
        member.document.lines[member.key] = member.line
        with member.blamed():
            given[field.name] = field.metadata["read"](member)
    return given


class Document:
    """One YAML file: ``lines`` of the keys that were read, and what is wrong with it."""

    def __init__(self, path: Path) -> None:
        self.source = str(path)
        self.folder = path.absolute().parent
        self.lines: dict[str, int] = {}
        self._problems: list[Problem] = []

    def root(self, content: bytes) -> Value:
        """The mapping at the top. Raises ``ConfigError`` if there is none."""
        node = self._compose(content)
        if node is None:
            self.fail("is empty; `snoopsync init` writes one to start from")
        value = Value(node, "", self)
        if value.kind != MAPPING:
            self.fail(f"must have keys, such as folders:, and is {value.kind}", value.line)
        return value

    def report(
        self, key: str, message: str, line: int | None = None, *, mend: str | None = None
    ) -> None:
        """Take note of a problem, at the line of the key if no other is given."""
        line = self.lines.get(key) if line is None else line
        self._problems.append(Problem(key, message, line, mend))

    @property
    def problems(self) -> tuple[Problem, ...]:
        """All of them, in the file's order."""
        end = 1 + max((problem.line or 0 for problem in self._problems), default=0)
        return tuple(sorted(self._problems, key=lambda problem: problem.line or end))

    def fail(self, message: str, line: int | None = None) -> NoReturn:
        """Raise ``ConfigError`` for a problem that leaves nothing to go on with."""
        # Not "from" the error under way: YAML's quotes the line, which may have the secret.
        raise ConfigError(self.source, (Problem("file", message, line),)) from None

    def _compose(self, content: bytes) -> yaml.Node | None:
        try:
            text = content.decode()
        except UnicodeDecodeError as error:
            self.fail("is not UTF-8 text", content.count(b"\n", 0, error.start) + 1)
        try:
            return yaml.compose(text, Loader=yaml.SafeLoader)
        except yaml.reader.ReaderError as error:
            self.fail("has a control character", text.count("\n", 0, error.position) + 1)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark
            message = f"is not YAML: {_without_names(error.problem or 'unreadable')}"
            self.fail(message, mark.line + 1 if mark else None)
        except RecursionError:
            self.fail("is nested too deeply")


@dataclass(frozen=True, slots=True)
class Value:
    """One value of a document, under its dotted key."""

    node: yaml.Node
    key: str
    document: Document

    @classmethod
    def of_text(cls, text: str) -> Value:
        """A text that is in no file: of a command's user, for example, to be read as if it were in
        one. A relative path in it starts at the current directory."""
        return cls(yaml.ScalarNode(_TEXT_TAG, text), "", Document(Path("none")))

    @property
    def line(self) -> int:
        """Where it begins, from 1."""
        return self.node.start_mark.line + 1

    @property
    def kind(self) -> str:
        """What YAML takes it for."""
        if isinstance(self.node, yaml.MappingNode):
            return MAPPING
        if isinstance(self.node, yaml.SequenceNode):
            return LIST
        return _SCALARS.get(self.node.tag.rpartition(":")[2], "of a type of its own")

    @property
    def raw(self) -> str:
        """A scalar as it is written, without its quotes; of a list or mapping, nothing."""
        return self.node.value if isinstance(self.node, yaml.ScalarNode) else ""

    @contextmanager
    def blamed(self) -> Iterator[None]:
        """Report what is raised in here as this value's problem, and go on after it."""
        try:
            yield
        except (SettingError, SecretError) as error:
            self.document.report(self.key, str(error), self.line)

    def items(self) -> list[Value]:
        """The values of a list."""
        if not isinstance(self.node, yaml.SequenceNode):
            raise SettingError(f"must be a list, not {self.kind}")
        nodes = enumerate(self.node.value)
        return [Value(node, f"{self.key}[{number}]", self.document) for number, node in nodes]

    def members(self, known: list[str]) -> dict[str, Value]:
        """The values of a mapping; keys that are not known, or given twice, are reported."""
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
        """Report this, a key itself, as not one of those known."""
        if not _LOOKS_LIKE_A_KEY.fullmatch(self.raw):
            message = "a key is one word, with a colon and a space after it"
            self.document.report(self.key or "file", message, self.line)
            return
        close = difflib.get_close_matches(self.raw, known, n=1)
        hint = f'did you mean "{close[0]}"?' if close else f"the keys are {', '.join(known)}"
        name = f"{self.key}.{self.raw}".lstrip(".")
        self.document.report(name, f"unknown key; {hint}", self.line)


def _without_names(problem: str) -> str:
    # PyYAML quotes the names of aliases and tags, and a secret that begins with * or ! is taken
    # for one. What else it quotes is single characters, and signs of its own.
    return problem.partition(" '")[0] if "undefined" in problem else problem
