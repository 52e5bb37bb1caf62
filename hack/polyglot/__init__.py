"""Workers in other languages, which the tests put beside an agent: what they need, and building them.

Usage: `python -m hack.polyglot build node go`. ArmoniK's messages come from PyPI `armonik`, whose generated
code carries their descriptors (ArmoniK.Api, Apache-2.0); no copy of its .proto files is kept here.
"""
