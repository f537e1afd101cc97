"""PowerPoint presentations: a section for each slide, with its text, tables, charts' titles and speaker notes.

A slide is a page. Shapes come in the order of the slide, those in groups included; pictures are left out.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

from pipeline.errors import MissingExtra
from pipeline.read.assembly import Assembly
from pipeline.read.containers import office_metadata, open_zip
from pipeline.read.formats import Parsed
from pipeline.read.rows import CELL_SEPARATOR, squeezed

NOTES = "Notes: "


def parse(content: bytes) -> Parsed:
    with open_zip(content, what="a PowerPoint presentation") as archive:
        metadata = office_metadata(archive)
    try:
        from pptx import Presentation  # noqa: PLC0415 - heavy, and in an extra
    except ImportError as error:
        raise MissingExtra("python-pptx", extra="documents") from error
    slides = Presentation(io.BytesIO(content)).slides
    assembly = Assembly()
    for number, slide in enumerate(slides, 1):
        _add_slide(assembly, slide, number)
    metadata["page_count"] = str(len(slides))
    title = metadata.get("title", "")
    return assembly.finish(title="" if title == "PowerPoint Presentation" else title, metadata=metadata)


def _add_slide(assembly: Assembly, slide: Any, number: int) -> None:
    title = slide.shapes.title
    name = " ".join(title.text_frame.text.split()) if title is not None else ""
    assembly.heading(name or f"Slide {number}", 1, page=number)
    for shape in _shapes(slide.shapes):
        if title is not None and shape.shape_id == title.shape_id:
            continue
        if shape.has_text_frame:
            assembly.add(shape.text_frame.text.replace("\v", "\n"), page=number)
        elif getattr(shape, "has_table", False):
            rows = (squeezed([cell.text_frame.text for cell in row.cells]) for row in shape.table.rows)
            assembly.add("\n".join(CELL_SEPARATOR.join(row) for row in rows), "table", page=number)
        elif getattr(shape, "has_chart", False):
            assembly.add("\n".join(_chart(shape.chart)), "table", page=number)
    if slide.has_notes_slide and (frame := slide.notes_slide.notes_text_frame) is not None and frame.text.strip():
        assembly.add(NOTES + frame.text.replace("\v", "\n"), page=number)


def _shapes(shapes: Any) -> Iterator[Any]:
    """The shapes in order; a group's where the group stands. A stack of their own, so that nesting costs nothing."""
    stack = [iter(shapes)]
    while stack:
        shape = next(stack[-1], None)
        if shape is None:
            stack.pop()
        elif hasattr(shape, "shapes"):
            stack.append(iter(shape.shapes))
        else:
            yield shape


def _chart(chart: Any) -> Iterator[str]:
    """A chart's title and its values as rows, a line for each category."""
    if chart.has_title and chart.chart_title.has_text_frame:
        yield chart.chart_title.text_frame.text
    for plot in chart.plots:
        series = [(each.name, list(each.values)) for each in plot.series]
        for position, category in enumerate(plot.categories):
            values = (f"{name}: {values[position]}" for name, values in series if position < len(values))
            yield f"{category}{CELL_SEPARATOR}{CELL_SEPARATOR.join(values)}"
