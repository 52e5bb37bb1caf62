"""Settings: read from the environment, refused by the variable's name."""

import pytest

from armonik_operator.errors import InvalidSetting
from armonik_operator.settings import Settings, size_of

NEEDED = {
    "ARMONIK_NAMESPACE": "armonik-system",
    "ARMONIK_NATS_URL": "nats://nats:4222",
    "ARMONIK_S3_ENDPOINT": "s3:8333",
    "ARMONIK_AGENT_IMAGE": "agent:1",
}


def test_what_is_unset_has_a_default() -> None:
    settings = Settings.from_environ(NEEDED)
    assert settings.watch_namespaces == ()
    assert settings.s3_bucket == "armonik"
    assert settings.task_defaults.max_retries == 3


def test_an_empty_variable_counts_as_unset() -> None:
    assert Settings.from_environ(NEEDED | {"ARMONIK_DEFAULT_PRIORITY": ""}).default_priority == 1


def test_namespaces_are_a_comma_list() -> None:
    settings = Settings.from_environ(NEEDED | {"ARMONIK_WATCH_NAMESPACES": "a, b,"})
    assert settings.watch_namespaces == ("a", "b")


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("", 0),
        ("7", 7),
        ("3k", 3000),
        ("1600MB", 1600 * 1024**2),
        ("2GiB", 2 * 1024**3),
        ("1T", 10**12),
        ("5ki", None),
        ("much", None),
    ],
)
def test_the_store_has_a_size_in_nats_units(text: str, size: int | None) -> None:
    if size is None:
        with pytest.raises(ValueError, match="write it as 1600MB"):
            size_of(text)
    else:
        assert size_of(text) == size


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ARMONIK_NATS_URL", "http://nats"),
        ("ARMONIK_NATS_OUTSIDE_URL", "nats.example.org:4222"),
        ("ARMONIK_S3_OUTSIDE_ENDPOINT", "https://s3.example.org"),
        ("ARMONIK_S3_ENDPOINT", "http://s3/"),
        ("ARMONIK_HEALTH_PORT", "0"),
        ("ARMONIK_DEFAULT_PRIORITY", "100"),
        ("ARMONIK_S3_SECURE", "perhaps"),
        ("ARMONIK_S3_BUCKET", "a"),
    ],
)
def test_an_unusable_variable_is_named(name: str, value: str) -> None:
    with pytest.raises(InvalidSetting, match=name):
        Settings.from_environ(NEEDED | {name: value})


@pytest.mark.parametrize("missing", sorted(NEEDED))
def test_a_missing_variable_is_named(missing: str) -> None:
    with pytest.raises(InvalidSetting, match=missing):
        Settings.from_environ({name: value for name, value in NEEDED.items() if name != missing})
