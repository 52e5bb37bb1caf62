"""What a release consists of, made into `dist/`: `python3 -m hack.dist --help`. Standard library only."""
