"""A list as CSV or XLSX: the same rows as the screen, codes as text, nothing that a spreadsheet would run."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

import xlsxwriter
from flask import Response, send_file

Cells = Sequence[str | int | None]


def send_csv(name: str, heads: Sequence[str], rows: Sequence[Cells]) -> Response:
    """UTF-8 with byte order mark, so that spreadsheets read the Chinese."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(heads)
    writer.writerows([_harmless(cell) for cell in row] for row in rows)
    return _send(out.getvalue().encode("utf-8-sig"), f"{name}.csv", "text/csv; charset=utf-8")


def send_xlsx(name: str, heads: Sequence[str], rows: Sequence[Cells]) -> Response:
    out = io.BytesIO()
    with xlsxwriter.Workbook(out, {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False}) as book:
        sheet = book.add_worksheet(name[:31])
        bold = book.add_format({"bold": True, "text_wrap": True})
        for column, head in enumerate(heads):
            sheet.write_string(0, column, head, bold)
        for line, row in enumerate(rows, start=1):
            for column, cell in enumerate(row):
                if isinstance(cell, int):
                    sheet.write_number(line, column, cell)
                elif cell:
                    sheet.write_string(line, column, cell)
        sheet.freeze_panes(1, 0)
        sheet.set_column(0, len(heads) - 1, 20)
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    return _send(out.getvalue(), f"{name}.xlsx", kind)


def _harmless(cell: str | int | None) -> str | int:
    """Text that a spreadsheet would take for a formula gets a leading apostrophe."""
    if isinstance(cell, str) and cell[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return f"'{cell}"
    return "" if cell is None else cell


def _send(content: bytes, name: str, kind: str) -> Response:
    return send_file(io.BytesIO(content), mimetype=kind, as_attachment=True, download_name=name)
