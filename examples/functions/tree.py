"""An integral by sub-tasks: a call that is not exact enough halves its interval, and submits both halves."""

import argparse
import math

import armonik_sdk as ak


def curve(x: float) -> float:
    """Smooth, but for a peak."""
    return math.sin(x) + 1 / (0.001 + (x - 2) ** 2)


def simpson(low: float, high: float, parts: int = 64) -> float:
    """Simpson's rule."""
    step = (high - low) / parts
    inner = (curve(low + n * step) * (4 if n % 2 else 2) for n in range(1, parts))
    return (curve(low) + sum(inner) + curve(high)) * step / 3


def integrate(low: float, high: float, tolerance: float):
    """The integral, or the sub-task that adds up those of the halves."""
    middle = (low + high) / 2
    coarse, fine = simpson(low, high), simpson(low, middle) + simpson(middle, high)
    if abs(fine - coarse) < 15 * tolerance:
        return fine
    task = ak.current_task()
    halves = [
        task.submit(integrate, low, middle, tolerance / 2),
        task.submit(integrate, middle, high, tolerance / 2),
    ]
    return task.submit(sum, halves)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tolerance", type=float, default=1e-9)
    asked = parser.parse_args()
    with ak.connect() as client:
        with client.session() as session:
            found = session.submit(integrate, 0.0, 10.0, asked.tolerance)
        print(f"{found.result():.6f}, by {session.info().total} calls")


if __name__ == "__main__":
    main()
