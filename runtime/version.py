"""The program's version: --version prints it, checkpoints, exported weights and test figures carry it."""

import argparse

VERSION = "1.0.0.dev0"  # a release takes the .dev0 off, and gives its section of CHANGELOG.md the number


def add_version(parser: argparse.ArgumentParser) -> None:
    """The flag --version, which prints the version and ends."""
    parser.add_argument("--version", action="version", version=f"SpatialConfiguration-Net {VERSION}")
