from hypothesis import given
from hypothesis import strategies as st

from armonik_sdk.api.kinds import Application, TaskOptions, merge_options

texts = st.text("ab", min_size=1, max_size=2)
maybe_text = st.none() | texts
applications = st.builds(Application, name=maybe_text, version=maybe_text)
layers = st.builds(
    TaskOptions,
    priority=st.none() | st.integers(1, 99),
    max_retries=st.none() | st.integers(0, 3),
    application=st.none() | applications,
    options=st.none() | st.dictionaries(texts, texts, max_size=3),
)


def test_item_beats_task_beats_session_beats_configuration() -> None:
    merged = merge_options(
        TaskOptions(priority=9),
        TaskOptions(priority=5, max_retries=0),
        TaskOptions(priority=3, max_retries=2, partition="gpu"),
        TaskOptions(priority=1, max_retries=5, partition="default", max_duration_seconds=60),
    )
    assert merged == TaskOptions(priority=9, max_retries=0, partition="gpu", max_duration_seconds=60)


def test_zero_is_a_value_and_unset_is_not() -> None:
    assert merge_options(TaskOptions(max_retries=0), TaskOptions(max_retries=3)).max_retries == 0
    assert merge_options(TaskOptions(), TaskOptions(max_retries=3)).max_retries == 3


def test_maps_and_applications_are_merged_key_by_key() -> None:
    merged = merge_options(
        TaskOptions(options={"a": "1"}, application=Application(version="2")),
        None,
        TaskOptions(options={"a": "0", "b": "0"}, application=Application(name="n", version="1")),
    )
    assert merged.options == {"a": "1", "b": "0"}
    assert merged.application == Application(name="n", version="2")


@given(layers, layers, layers)
def test_merging_is_associative(a: TaskOptions, b: TaskOptions, c: TaskOptions) -> None:
    assert merge_options(merge_options(a, b), c) == merge_options(a, merge_options(b, c))


@given(st.lists(layers, max_size=4))
def test_the_result_has_only_what_a_layer_set(given_layers: list[TaskOptions]) -> None:
    before = [layer.model_dump() for layer in given_layers]
    merged = merge_options(*given_layers)
    assert [layer.model_dump() for layer in given_layers] == before
    for name in type(merged).model_fields:
        values = [getattr(layer, name) for layer in given_layers if getattr(layer, name) is not None]
        assert (getattr(merged, name) is None) == (not values)
        if values and not isinstance(values[0], dict | Application):
            assert getattr(merged, name) == values[0]
    assert set(merged.to_object()) == {
        alias for alias, value in merged.model_dump(by_alias=True).items() if value is not None
    }


@given(layers)
def test_merging_with_nothing_changes_nothing(layer: TaskOptions) -> None:
    merged = merge_options(layer, TaskOptions(), None)
    assert merged.model_dump(exclude_none=True) == layer.model_dump(exclude_none=True)
