"""Users and misfortune in any order: every element ends once, and all records agree."""

from hypothesis import HealthCheck, settings

from simulation.machine import Installation

Installation.TestCase.settings = settings(
    max_examples=20,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestInstallation = Installation.TestCase
