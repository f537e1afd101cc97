"""A bar chart as SVG, without a library.

In: a title, and names with numbers. Out: the file's text, bars on a logarithmic scale, the first one marked as ours.
"""

import math
from html import escape

WIDTH, LABELS, ROW, HEAD = 860, 270, 26, 40


def bars(title: str, values: dict[str, float]) -> str:
    low = math.log10(min(values.values())) - 0.3
    scale = (WIDTH - LABELS - 80) / (math.log10(max(values.values())) - low)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEAD + ROW * len(values) + 10}" '
        'font-family="sans-serif" font-size="13">',
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="10" y="24" font-size="15" font-weight="bold">{escape(title)}</text>',
    ]
    for row, (name, value) in enumerate(values.items()):
        top = HEAD + ROW * row
        length = scale * (math.log10(value) - low)
        colour = "#1f77b4" if row == 0 else "#b0b0b0"
        parts += [
            f'<text x="{LABELS - 8}" y="{top + 16}" text-anchor="end">{escape(name)}</text>',
            f'<rect x="{LABELS}" y="{top + 3}" width="{length:.0f}" height="{ROW - 8}" fill="{colour}"/>',
            f'<text x="{LABELS + length + 6:.0f}" y="{top + 16}">{value:.1f}</text>',
        ]
    return "\n".join([*parts, "</svg>"]) + "\n"
