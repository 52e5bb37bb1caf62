"""Which objects of a list are meant: what the apiserver can select, and what is left to us."""

from collections.abc import Callable, Sequence

from armonik_sdk.cli.views.reading import Object, failed, is_false, is_true, text

Keep = Callable[[Object], bool]


def fields(phases: Sequence[str] = (), *, session: str = "", partition: str = "") -> str:
    """A field selector; a single phase alone can be selected so, and not one that objects begin without."""
    parts = [("spec.session", session), ("status.partition", partition)]
    if len(phases) == 1 and phases[0] not in ("Pending", "Creating"):
        parts.append(("status.phase", phases[0]))
    return ",".join(f"{path}={value}" for path, value in parts if value)


def in_phases(phases: Sequence[str], unset: str) -> Keep:
    """Those in one of these phases, or all; an object without a phase is in `unset`."""
    wanted = set(phases)
    return lambda obj: not wanted or (text(obj, "status", "phase") or unset) in wanted


def is_waiting(obj: Object) -> bool:
    """Whether something keeps elements of it from being computed."""
    return not is_true(obj, "Finished") and (is_true(obj, "Waiting") or is_false(obj, "Ready"))


def with_failures(obj: Object) -> bool:
    """Whether elements of it ended with an error, or took too long."""
    return failed(obj) > 0


def tasks(phases: Sequence[str], *, waiting: bool, failed: bool) -> Keep:
    """Tasks in one of these phases, with what else is asked for."""
    among = in_phases(phases, unset="Creating")
    return lambda obj: among(obj) and (not waiting or is_waiting(obj)) and (not failed or with_failures(obj))
