import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[3]))

from bench.page import BEGIN, DOCS, END, page
from bench.plot import plot
from bench.ratios import RATIOS, ratios
from bench.report import Result, Sample
from bench.systems.armonik import NAME
from bench.systems.limits import LIMITS
from bench.systems.limits import NAME as BARE
from bench.workloads import FULL

RESULTS = [
    Result("no-op", NAME, "elements/s", 1500, 1400, 1600, 5),
    Result("no-op", "Ray <2>", "elements/s", 1300, 1200, 1350, 5),
    Result("no-op, CPU", f"{NAME}: agent", "CPU-ms/element", 0.4, 0.3, 0.5, 5),
    Result("idle", NAME, "CPU-ms/s", 12, 11, 13, 5),
    Result("busy, efficiency", NAME, "ratio", 0.9, 0.8, 0.95, 5),
    Result("S3 get", BARE, "operations/s", 900, 880, 910, 5),
    Result("no-op / S3 get", NAME, "ratio", 1.6, 1.5, 1.7, 5),
]


def test_results_are_between_the_markers_and_the_rest_stays() -> None:
    text = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    once = page(text, RESULTS, {"cpu": "x", "failed": {"Ray": "no wheel"}})
    assert once.startswith("before\n")
    assert once.endswith("\nafter\n")
    assert "old" not in once
    assert "| no-op (elements/s) | 1,500 (1,400–1,600) | 1,300 (1,200–1,350) |" in once
    assert "| S3 get (operations/s) | 900 (880–910) |" in once
    assert "| no-op / S3 get | 1.6 (1.5–1.7) |" in once
    assert f"| {NAME}: agent | 0.4 (0.3–0.5) |" in once
    assert "Ray could not be measured to the end: no wheel" in once
    assert page(once, RESULTS, {"cpu": "x", "failed": {"Ray": "no wheel"}}) == once


def test_a_document_without_markers_is_refused() -> None:
    with pytest.raises(ValueError, match="lacks"):
        page("nothing", RESULTS, {})


def test_the_document_has_the_markers_and_names_every_workload_and_limit() -> None:
    text = (DOCS / "performance.md").read_text()
    assert page(text, RESULTS, {}) != text
    for workload in (*FULL, *LIMITS):
        assert f"| {workload.name} |" in text


def test_the_plot_is_xml_with_a_bar_for_each_figure() -> None:
    drawn = ET.fromstring(plot(RESULTS))
    bars = [r for r in drawn.iter("{http://www.w3.org/2000/svg}rect") if r.get("x")]
    assert len(bars) == 3
    longest, other = (float(bar.get("width", "0")) for bar in bars[:2])
    assert longest / other == pytest.approx(1500 / 1300, rel=0.01)


def test_ratios_are_taken_within_a_repetition() -> None:
    workload, limit = RATIOS[0]
    samples = [Sample(workload, NAME, "elements/s", v) for v in (10.0, 30.0)]
    samples += [Sample(limit, BARE, "calls/s", v) for v in (100.0, 100.0)]
    assert [s.value for s in ratios(samples)] == [0.1, 0.3]


def test_every_ratio_is_of_things_that_are_measured() -> None:
    assert {ours for ours, _ in RATIOS} <= {w.name for w in FULL}
    assert {limit for _, limit in RATIOS} <= {w.name for w in LIMITS}
