"""A grid search of scikit-learn: joblib sends each fit to the grid."""

import argparse

import joblib
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV
from sklearn.svm import SVC

import armonik_sdk as ak
import armonik_sdk.joblib

GRID = {"C": [0.1, 1, 10], "gamma": [0.0001, 0.001, 0.01]}


def search(session: ak.Session, samples: int) -> GridSearchCV:
    """The best parameters of a classifier of handwritten digits."""
    digits = load_digits()
    found = GridSearchCV(SVC(), GRID, cv=3, n_jobs=-1)
    with joblib.parallel_config(backend=armonik_sdk.joblib.NAME, session=session):
        return found.fit(digits.data[:samples], digits.target[:samples])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=600)
    asked = parser.parse_args()
    with ak.connect() as client:
        packages = None if client.namespace == "local" else ["scikit-learn", "joblib"]
        with client.session(packages=packages) as session:
            found = search(session, asked.samples)
    print(f"{len(found.cv_results_['params'])} combinations, 3 fits each")
    print(f"best: {found.best_params_}, {found.best_score_:.3f} of the digits are right")


if __name__ == "__main__":
    main()
