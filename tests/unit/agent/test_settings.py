"""Settings that an agent cannot work with are refused by name."""

import pytest

from armonik_agent.errors import InvalidSetting
from armonik_agent.settings import Settings

NEEDED = {"POD_UID": "u", "POD_NAMESPACE": "ns", "ARMONIK_PARTITION": "p"}


@pytest.mark.parametrize("text", ["0", "1024", "65536", "1048576"])
def test_how_much_is_kept_of_what_elements_print_is_a_setting(text: str) -> None:
    assert Settings.from_environ(NEEDED | {"ARMONIK_PRINTED_BYTES": text}).printed_bytes == int(text)


@pytest.mark.parametrize("text", ["-1", "1", "1023", "1048577", "lots"])
def test_a_bound_that_leaves_no_room_for_lines_is_refused(text: str) -> None:
    with pytest.raises(InvalidSetting, match="ARMONIK_PRINTED_BYTES"):
        Settings.from_environ(NEEDED | {"ARMONIK_PRINTED_BYTES": text})
