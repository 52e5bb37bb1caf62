"""Squares and their sum, by functions of this file. Prints [0, 1, 4, 9, 16] and 30."""

import armonik_sdk as ak


def square(x: int) -> int:
    return x * x


with ak.connect() as client, client.session() as session:
    squares = session.map(square, range(5))
    print(list(squares))
    total = session.submit(sum, squares)  # it goes from worker to worker
    print(total.result(timeout=60))
