"""What the joblib backend sends of a function of scikit-learn."""

from types import SimpleNamespace

from urllib3.exceptions import SecurityWarning

from armonik_sdk.joblib import _keep_own_filters


def test_filters_of_warnings_that_only_this_program_knows_are_not_sent() -> None:
    own: list[tuple[object, ...]] = [("default", None, category, None, 0) for category in (UserWarning,)]
    call = SimpleNamespace(warning_filters=[*own, ("always", None, SecurityWarning, None, 0)])
    _keep_own_filters(call)
    assert call.warning_filters == own
    _keep_own_filters(len)  # has none
