"""Convert kitchen measures between volume, weight and oven scales.

Volumes become weights through a table of bulk densities, because a cup of
flour and a cup of honey have little in common.  The densities are for
ingredients that were spooned into the measure and levelled, not packed.

Example::

    >>> round(to_grams(2, "cup", "flour"))
    250
    >>> gas_mark_to_celsius(6)
    200
"""

from __future__ import annotations

from fractions import Fraction

# Millilitres in one unit.  The cup is the US customary cup.
MILLILITRES = {
    "ml": 1.0,
    "l": 1000.0,
    "tsp": 4.929,
    "tbsp": 14.787,
    "floz": 29.574,
    "cup": 236.588,
    "pint_us": 473.176,
    "pint_imperial": 568.261,
}

# Grams in one unit.
GRAMS = {"g": 1.0, "kg": 1000.0, "oz": 28.3495, "lb": 453.592}

# Bulk density in grams per millilitre.
DENSITY = {
    "water": 1.00,
    "milk": 1.03,
    "flour": 0.528,
    "rye flour": 0.43,
    "sugar": 0.845,
    "icing sugar": 0.48,
    "butter": 0.96,
    "honey": 1.42,
    "oil": 0.92,
    "fine salt": 1.20,
    "flaky salt": 0.60,
    "cocoa": 0.36,
    "rolled oats": 0.38,
}

_GAS_MARKS = {1: 140, 2: 150, 3: 170, 4: 180, 5: 190, 6: 200, 7: 220, 8: 230, 9: 240}


class UnknownMeasure(KeyError):
    """Raised for a unit or an ingredient that is missing from the tables."""


def to_grams(amount: float, unit: str, ingredient: str = "water") -> float:
    """Return the weight in grams of *amount* of *ingredient*.

    A unit of weight ignores the ingredient altogether.  A unit of volume
    needs a known density, otherwise UnknownMeasure is raised.
    """
    if amount < 0:
        raise ValueError("an amount cannot be negative")
    if unit in GRAMS:
        return amount * GRAMS[unit]
    if unit not in MILLILITRES:
        raise UnknownMeasure(unit)
    if ingredient not in DENSITY:
        raise UnknownMeasure(ingredient)
    return amount * MILLILITRES[unit] * DENSITY[ingredient]


def from_grams(grams: float, unit: str, ingredient: str = "water") -> float:
    """Return how many of *unit* weigh *grams*; the inverse of to_grams()."""
    return grams / to_grams(1, unit, ingredient)


def spoken(amount: float) -> str:
    """Write an amount the way a recipe would, to the nearest eighth.

    Anything below one sixteenth is called "a pinch", since no spoon set
    goes further down than that.
    """
    if amount < 1 / 16:
        return "a pinch"
    nearest = Fraction(round(amount * 8), 8)
    whole, part = divmod(nearest, 1)
    if part == 0:
        return str(whole)
    if whole == 0:
        return str(part)
    return f"{whole} {part}"


def gas_mark_to_celsius(mark: int, fan: bool = False) -> int:
    """Return the oven temperature for a British gas mark from 1 to 9.

    A fan oven is set 20 degrees lower than a conventional one.
    """
    if mark not in _GAS_MARKS:
        raise UnknownMeasure(f"gas mark {mark}")
    return _GAS_MARKS[mark] - (20 if fan else 0)


def scale(recipe: dict[str, tuple[float, str]], factor: float) -> dict[str, tuple[float, str]]:
    """Multiply every amount of a recipe, with a gentler rule for leavening.

    Baking powder and bicarbonate of soda grow only with the factor to the
    power 0.9: large cakes need relatively less of them.
    """
    scaled = {}
    for name, (amount, unit) in recipe.items():
        power = 0.9 if name in {"baking powder", "bicarbonate of soda"} else 1.0
        scaled[name] = (amount * factor**power, unit)
    return scaled


def main() -> None:
    """Print a small conversion chart."""
    for name in sorted(DENSITY):
        print(f"1 cup {name:<12} {to_grams(1, 'cup', name):6.0f} g")
    print("30 g of honey is", spoken(from_grams(30, "tbsp", "honey")), "tablespoons")


if __name__ == "__main__":
    main()
