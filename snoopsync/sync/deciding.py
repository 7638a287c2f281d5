"""Carries out what a person decided about duplicates, in a service or where none runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from snoopsync.state.decisions import Dismissal, Member
from snoopsync.state.images import State


def carry_out_decision(state: State, command: Mapping[str, Any], now: float) -> dict[str, Any]:
    """Carry out the command ``dismiss``, ``restore`` or ``restore_all``, which is valid. ``now``:
    Unix time. Returns the result of the command. Raises ``MembersChanged`` if an image is not what
    the person saw."""
    match command["command"]:
        case "dismiss":
            decisions = [Dismissal.from_message(each) for each in command["decisions"]]
            state.decisions.dismiss(decisions, now)
            return {}
        case "restore":
            members = [Member.from_message(each) for each in command["members"]]
            return {"restored": state.decisions.restore(members, command.get("group"))}
        case "restore_all":
            decisions = [Dismissal.from_message(each) for each in command["decisions"]]
            with state.transaction():
                return {
                    "restored": sum(state.decisions.restore(each.members) for each in decisions)
                }
    raise AssertionError(command)  # ``validate_command`` knows no other
