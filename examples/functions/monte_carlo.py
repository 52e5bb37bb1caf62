"""The price of an Asian option by simulation: many blocks of paths at once, and a plot of how it settles."""

import argparse
from pathlib import Path

import numpy as np

import armonik_sdk as ak

MARKET = {"spot": 100.0, "strike": 105.0, "rate": 0.03, "volatility": 0.25, "days": 252}


def block(seed: int, paths: int, market: dict[str, float]) -> tuple[float, float]:
    """Sum and sum of squares of what the option pays, discounted, over some paths."""
    days, step = int(market["days"]), 1 / 252
    draws = np.random.default_rng(seed).standard_normal((paths, days))
    drift = (market["rate"] - market["volatility"] ** 2 / 2) * step
    logs = np.cumsum(drift + market["volatility"] * np.sqrt(step) * draws, axis=1)
    mean = market["spot"] * np.exp(logs).mean(axis=1)
    paid = np.maximum(mean - market["strike"], 0) * np.exp(-market["rate"] * days * step)
    return float(paid.sum()), float((paid**2).sum())


def price(session: ak.Session, blocks: int, paths: int) -> list[tuple[int, float, float]]:
    """Paths, price and standard error after each block."""
    found, total, squares = [], 0.0, 0.0
    mapped = session.map(block, range(blocks), shared={"paths": paths, "market": MARKET})
    for number, (paid, squared) in enumerate(ak.progress(mapped), start=1):
        total, squares, count = total + paid, squares + squared, number * paths
        mean = total / count
        found.append((count, mean, float(np.sqrt((squares / count - mean**2) / count))))
    return found


def plot(found: list[tuple[int, float, float]], path: Path) -> None:
    """The price after each block, with two standard errors."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    counts, prices, errors = (np.array(column) for column in zip(*found, strict=True))
    pyplot.plot(counts, prices)
    pyplot.fill_between(counts, prices - 2 * errors, prices + 2 * errors, alpha=0.3)
    pyplot.xlabel("paths")
    pyplot.ylabel("price")
    pyplot.savefig(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--blocks", type=int, default=40)
    parser.add_argument("--paths", type=int, default=2_000)
    parser.add_argument("--plot", type=Path, help="a .png or .svg to write")
    asked = parser.parse_args()
    with ak.connect() as client:
        packages = None if client.namespace == "local" else ["numpy"]
        with client.session(packages=packages) as session:
            found = price(session, asked.blocks, asked.paths)
    count, mean, error = found[-1]
    print(f"{mean:.2f} ± {2 * error:.2f} after {count:,} paths")
    if asked.plot:
        plot(found, asked.plot)


if __name__ == "__main__":
    main()
