import asyncio
import json
import sys
import zlib
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[3]))

from bench.report import Sample, summarise, table, write
from bench.run import Local, Run
from bench.workloads import (
    FULL,
    SMOKE,
    Batch,
    Collect,
    Latency,
    Rate,
    UnderLoad,
    Work,
    Workload,
    data,
    percentile,
)


class Counting:
    """A system that only counts what it is given, and how much of it at once."""

    name = "counting"
    workers = 2
    slow = False

    def __init__(self) -> None:
        self.done = self.running = self.most = self.filled = 0

    async def start(self) -> None:
        pass

    async def stop(self) -> None:
        pass

    async def one(self, work: Work) -> None:
        self.running += 1
        self.most = max(self.most, self.running)
        await asyncio.sleep(0)
        self.running -= 1
        self.done += 1

    async def urgent(self, work: Work) -> None:
        await self.one(work)

    async def tree(self, levels: int, width: int) -> int:
        return levels * width + 1

    async def many(self, count: int, work: Work) -> None:
        self.done += count

    async def loop(self, count: int, work: Work) -> None:
        self.done += count

    async def graph(self, chains: int, length: int) -> int:
        return chains

    async def fill(self, count: int, work: Work) -> None:
        self.filled = count

    async def collect(self) -> None:
        self.done += self.filled

    async def settle(self) -> None:
        pass


def test_repetitions_become_a_median_with_its_spread() -> None:
    samples = [Sample("w", "s", "ms", value) for value in (3.0, 1.0, 2.0)]
    (result,) = summarise([*samples[:1], *samples[1:]])
    assert (result.median, result.min, result.max, result.repetitions) == (2.0, 1.0, 3.0, 3)


def test_files_and_table_say_the_same(tmp_path: Path) -> None:
    results = summarise([Sample("single", "ours", "ms", 12.5), Sample("many", "ours", "elements/s", 1234.0)])
    write(results, {"cpu": "x"}, tmp_path)
    stored = json.loads((tmp_path / "results.json").read_text())
    assert [set(entry) for entry in stored] == [
        {"workload", "system", "unit", "median", "min", "max", "repetitions"}
    ] * 2
    assert json.loads((tmp_path / "environment.json").read_text()) == {"cpu": "x"}
    text = table(results)
    assert "12.5" in text
    assert "1,234" in text


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=50), st.integers(1, 100))
def test_a_percentile_is_a_value_that_this_share_does_not_exceed(values: list[float], percent: int) -> None:
    found = percentile(values, percent)
    assert found in values
    assert sum(value <= found for value in values) * 100 >= percent * len(values)


async def test_a_rate_keeps_a_fixed_number_in_flight() -> None:
    system = Counting()
    await Rate("rate", 40, in_flight=4).measure(system)
    assert (system.done, system.most) == (40, 4)


async def test_collecting_takes_what_was_made_before_and_may_be_repeated() -> None:
    system = Counting()
    workload = Collect("collect", 10)
    await workload.warm(system)
    assert system.done == 10
    await workload.measure(system)
    assert system.done == 20


@given(st.integers(0, 3 * 2**20))
def test_data_has_the_size_that_was_asked_for(size: int) -> None:
    assert len(data(size)) == size


def test_data_cannot_be_compressed() -> None:
    assert len(zlib.compress(data(10_000))) > 9_900


async def test_busy_elements_have_an_efficiency() -> None:
    found = await Batch("busy", 10, Work(milliseconds=1)).measure(Counting())
    assert set(found) == {"", "efficiency"}


@pytest.mark.parametrize("workloads", [FULL, SMOKE])
async def test_every_workload_gives_every_number_in_every_repetition(
    workloads: tuple[Workload, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.run.IDLE_SECONDS", 0.001)
    workloads = tuple(replace(w, pace=0, lead=0) if isinstance(w, UnderLoad) else w for w in workloads)
    run = Run([Local(Counting())], workloads, 60)
    await run.all(2)
    results = summarise(run.samples)
    least = {w.name: min(2, w.most or 2) for w in workloads}
    for name, repetitions in least.items():
        assert {r.repetitions for r in results if r.workload.startswith(name)} == {repetitions}
    assert len(results) == sum(len(workload.units) for workload in workloads)


async def test_latencies_are_taken_one_after_the_other() -> None:
    system = Counting()
    found = await Latency("latency", 5).measure(system)
    assert (system.done, system.most, set(found)) == (5, 1, {"p50", "p99"})
