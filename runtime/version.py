"""The program's version: --version prints it, checkpoints, exported weights and test figures carry it."""

VERSION = "1.0.0.dev0"  # a release takes the .dev0 off, and gives its section of CHANGELOG.md the number
