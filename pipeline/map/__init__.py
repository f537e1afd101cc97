"""A collection as a map: its passages as points, near each other where they say similar things.

snapshot -> sample -> positions, clusters with names -> (cached) -> JSON, page, picture; docs/map.md
"""

from pipeline.map.data import map_json, passages_at
from pipeline.map.locate import query_json
from pipeline.map.make import CollectionMap, MapSettings, find_map, make_map
from pipeline.map.page import write_page
from pipeline.map.picture import require_picture, write_picture

__all__ = [
    "CollectionMap",
    "MapSettings",
    "find_map",
    "make_map",
    "map_json",
    "passages_at",
    "query_json",
    "require_picture",
    "write_page",
    "write_picture",
]
