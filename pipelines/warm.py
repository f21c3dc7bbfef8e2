"""Imported once by the process that workers are forked from, so that each of them need not: Beam takes seconds."""

from pipelines.start import quiet

with quiet():
    import pipelines.jobs
    import pipelines.online  # noqa: F401
