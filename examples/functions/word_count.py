"""The most frequent words of many files: a graph of futures, of which only the last comes back here."""

import argparse
import re
from collections import Counter
from pathlib import Path

import armonik_sdk as ak

DOCUMENTS = Path(__file__).parents[2] / "docs" / "adr"


def count(file: Path) -> Counter[str]:
    """The words of a file, which the worker has as a file of its own."""
    return Counter(re.findall(r"[a-z]{5,}", file.read_text().lower()))


def merge(counts: list[Counter[str]]) -> Counter[str]:
    """Their sum."""
    return sum(counts, Counter())


def most_frequent(counted: Counter[str], number: int) -> list[tuple[str, int]]:
    """The words that occur most often."""
    return sorted(counted.items(), key=lambda entry: (-entry[1], entry[0]))[:number]


def words(session: ak.Session, files: list[Path], number: int) -> list[tuple[str, int]]:
    """Count each file, and merge eight counts at a time until one is left."""
    counts = [session.submit(count, session.put_file(file)) for file in files]
    while len(counts) > 1:
        counts = [session.submit(merge, counts[at : at + 8]) for at in range(0, len(counts), 8)]
    return session.submit(most_frequent, counts[0], number).result()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=DOCUMENTS)
    parser.add_argument("--number", type=int, default=3)
    asked = parser.parse_args()
    files = sorted(asked.folder.glob("*.md")) + sorted(asked.folder.glob("*.txt"))
    with ak.connect() as client, client.session() as session:
        for word, times in words(session, files, asked.number):
            print(f"{word}: {times}")


if __name__ == "__main__":
    main()
