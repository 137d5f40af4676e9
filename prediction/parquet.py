"""The table of landmarks as a Parquet file: an eighth of the bytes, and columns that are read alone. pyarrow is optional."""

from pathlib import Path

from runtime.files import DataError, whole_file

WHOLE = ("hand", "landmark")  # columns of whole numbers
TEXTS = ("image", "side", "name", "landmark_flags", "flags", "orientation", "spacing_from")  # all others are numbers


def check_pyarrow() -> None:
    """Raises DataError where the package is missing."""
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError:
        raise DataError("--format parquet: needs the package pyarrow, which is not installed; pip install pyarrow") from None


def write_parquet(table: Path, columns: list[str], ids: list[str], path: Path) -> None:
    """Write the rows of a table in CSV with these columns; `ids` of them are texts too. Blank numbers become nulls."""
    from pyarrow import csv, float64, int64, string
    from pyarrow.parquet import ParquetWriter

    kinds = {name: string() if name in (*TEXTS, *ids) else int64() if name in WHOLE else float64() for name in columns}
    options = csv.ConvertOptions(column_types=kinds)
    parse = csv.ParseOptions(newlines_in_values=True)
    with csv.open_csv(table, parse_options=parse, convert_options=options) as rows, whole_file(path) as file:
        with ParquetWriter(file, rows.schema) as writer:
            for batch in rows:
                writer.write_batch(batch)
