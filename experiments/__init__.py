"""The commands that make the tables and figures of docs/: `python -m experiments.NAME`, from the top folder."""
