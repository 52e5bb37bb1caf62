"""Edges in many images: arrays that workers map into memory without a copy, and may write to."""

import argparse
from collections.abc import Iterator

import numpy as np

import armonik_sdk as ak


def edges(image: np.ndarray) -> np.ndarray:
    """Where the brightness changes, by Sobel's operator."""
    image -= image.mean()  # in place: what a worker changes is its own
    image /= image.std()
    rows = image[:-2] + 2 * image[1:-1] + image[2:]
    columns = image[:, :-2] + 2 * image[:, 1:-1] + image[:, 2:]
    down, across = columns[2:] - columns[:-2], rows[:, 2:] - rows[:, :-2]
    return np.hypot(down, across)


def images(number: int, size: int) -> Iterator[np.ndarray]:
    """Discs of different sizes, with noise."""
    y, x = np.mgrid[:size, :size] - size / 2
    for seed in range(number):
        disc = np.hypot(x, y) < size * (seed + 1) / (2 * number + 2)
        noise = np.random.default_rng(seed).normal(0, 0.05, (size, size))
        yield (disc + noise).astype(np.float32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--number", type=int, default=8)
    parser.add_argument("--size", type=int, default=512)
    asked = parser.parse_args()
    with ak.connect() as client:
        packages = None if client.namespace == "local" else ["numpy"]
        with client.session(packages=packages) as session:
            for number, found in enumerate(session.map(edges, images(asked.number, asked.size))):
                strong = float((found > found.max() / 2).mean())
                print(f"image {number}: {found.shape[0]}x{found.shape[1]}, {strong:.2%} are edges")


if __name__ == "__main__":
    main()
