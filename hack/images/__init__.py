"""The project's container images: `python3 -m hack.images --help`. Standard library only."""
