"""Carries out what a person decided about duplicates, in a service or where none runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from snoopsync.core.model import RelPath
from snoopsync.state.decisions import Dismissal, Member
from snoopsync.state.images import State


def carry_out_decision(state: State, command: Mapping[str, Any], now: float) -> dict[str, Any]:
    """Carry out one of the commands below, which is valid. ``now``: Unix time. Returns the result
    of the command. Raises ``MembersChanged`` if an image is not what the person saw."""
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
        case "approve_moved":
            return {"images": len(approve_moved(state, command))}
        case "withdraw_moved":
            state.deletions.withdraw_moved(_members(command))
            return {}
    raise AssertionError(command)  # ``validate_command`` knows no other


def approve_moved(state: State, command: Mapping[str, Any]) -> list[RelPath]:
    """Approve the deletions of images whose files a person moved to the trash, those with these
    bytes only. Returns their paths."""
    return state.deletions.approve_moved(_members(command))


def _members(command: Mapping[str, Any]) -> list[tuple[str, bytes]]:
    return [(image_id, bytes.fromhex(content)) for image_id, content in command["members"]]
