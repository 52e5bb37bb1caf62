"""Lists as an apiserver sends them: in pages, and without any object."""

from typing import Any

import pytest

from armonik_operator.clients.kube import TASKS, Kube


@pytest.mark.parametrize("empty", [{"items": None}, {"items": []}, {}])
async def test_a_list_of_nothing_has_nothing(empty: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    async def answer(*_: object, **__: object) -> dict[str, Any]:
        return {"metadata": {}} | empty

    kube = object.__new__(Kube)
    monkeypatch.setattr(Kube, "_request", answer)
    assert [meta async for meta in kube.metadata(TASKS, "ns")] == []
    assert [task async for task in kube.each(TASKS, "ns")] == []
