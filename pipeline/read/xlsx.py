"""Spreadsheets: a section for each sheet, a line for each row, under the names of the columns where there are such.

A sheet is a page. Cells have the values that were last computed; formulas, comments, charts and hidden sheets are left
out.
"""

from __future__ import annotations

import io
from datetime import date, datetime, time, timedelta
from typing import Any

from pipeline.errors import MissingExtra
from pipeline.read.assembly import Assembly
from pipeline.read.containers import ENCRYPTED_PACKAGE, OLE_MAGIC, PROTECTED, office_metadata, open_zip
from pipeline.read.formats import Parsed, Unreadable
from pipeline.read.rows import row_lines


def parse(content: bytes) -> Parsed:
    metadata: dict[str, str] = {}
    if not content.startswith(OLE_MAGIC):
        with open_zip(content, what="a spreadsheet") as archive:
            metadata = office_metadata(archive)
    elif ENCRYPTED_PACKAGE in content:
        raise PROTECTED
    try:
        import python_calamine as calamine  # noqa: PLC0415 - heavy, and in an extra
    except ImportError as error:
        raise MissingExtra("python-calamine", extra="documents") from error
    try:
        workbook = calamine.load_workbook(io.BytesIO(content))
    except calamine.PasswordError as error:
        raise PROTECTED from error
    except calamine.CalamineError as error:
        raise Unreadable(f"is no spreadsheet, or broken: {error}", hint="see that it opens in Excel") from error
    assembly = Assembly()
    hidden = 0
    for number, sheet in enumerate(workbook.sheets_metadata, 1):
        if sheet.visible != calamine.SheetVisibleEnum.Visible:
            hidden += 1
        elif sheet.typ == calamine.SheetTypeEnum.WorkSheet:
            _add_sheet(assembly, workbook, sheet.name, number)
    if hidden:
        assembly.notices.append(f"{hidden} hidden {'sheet is' if hidden == 1 else 'sheets are'} left out")
    metadata["page_count"] = str(len(workbook.sheets_metadata))
    return assembly.finish(title=metadata.get("title", ""), metadata=metadata)


def _add_sheet(assembly: Assembly, workbook: Any, name: str, number: int) -> None:
    rows = workbook.get_sheet_by_name(name).iter_rows()
    text = "\n".join(line for line in row_lines([_shown(cell) for cell in row] for row in rows) if line)
    if text:
        assembly.heading(name, 1, page=number)
        assembly.add(text, "table", page=number)


def _shown(cell: object) -> str:
    """A cell as Excel would show it without its format: whole numbers without a point, dates as ISO 8601."""
    if isinstance(cell, bool):
        return str(cell).upper()
    if isinstance(cell, float):
        return str(int(cell)) if cell.is_integer() and abs(cell) < 1e15 else f"{cell:.12g}"
    if isinstance(cell, (datetime, date, time)):
        return cell.isoformat().removesuffix("T00:00:00")
    if isinstance(cell, timedelta):
        return str(cell)
    return str(cell)
