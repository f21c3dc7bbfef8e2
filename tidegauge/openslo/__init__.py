"""Objectives as OpenSLO v1 documents: read with file and line, resolved, and written back.

Specification: https://github.com/OpenSLO/OpenSLO.
"""

from tidegauge.openslo.objectives import JUDGED, Level, Slo, Window, resolve
from tidegauge.openslo.read import Placed, read_files, read_text
from tidegauge.openslo.write import documents_of, dump, slug

__all__ = [
    "JUDGED",
    "Level",
    "Placed",
    "Slo",
    "Window",
    "documents_of",
    "dump",
    "read_files",
    "read_text",
    "resolve",
    "slug",
]
