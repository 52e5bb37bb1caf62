"""The cluster the project is developed and tested on: `python3 -m hack.cluster --help`.

Standard library only: these scripts run before anything is installed.
"""
