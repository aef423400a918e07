"""Where baselines come from: the LEMUR wheel as one SQLite file, or the built-in networks."""

from __future__ import annotations

from deltanas.archive.base import Archive, ArchiveError
from deltanas.archive.builtin_archive import BuiltinArchive
from deltanas.archive.lemur import LemurArchive
from deltanas.archive.sampling import sample_baselines

__all__ = ["Archive", "ArchiveError", "BuiltinArchive", "LemurArchive", "sample_baselines"]
