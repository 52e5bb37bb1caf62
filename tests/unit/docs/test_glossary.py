"""The glossary has each word of the field once, among them those that STYLE.md names."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
ROWS = [line for line in (ROOT / "docs" / "glossary.md").read_text().splitlines() if line.startswith("| **")]
WORDS = [word.lower() for row in ROWS for word in re.findall(r"\*\*(.+?)\*\*", row.split("|")[1])]


def test_each_word_is_explained_once() -> None:
    assert len(WORDS) == len(set(WORDS))
    assert all(row.split("|")[2].strip() for row in ROWS)


def test_the_words_of_the_style_guide_are_explained() -> None:
    style = (ROOT / "STYLE.md").read_text().split("**Words of the field.** ")[1].split(". ")[0]
    named = [re.sub(r"\s+", " ", word).strip().lower() for word in style.split(",")]
    assert len(named) > 10
    assert set(named) <= set(WORDS), set(named) - set(WORDS)
