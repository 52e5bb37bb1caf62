"""Registers our backend before joblib's tests are collected: their parametrisations take it in."""

import joblib.parallel

from armonik_sdk.joblib import NAME, ArmonikBackend

assert joblib.parallel.BACKENDS[NAME] is ArmonikBackend
