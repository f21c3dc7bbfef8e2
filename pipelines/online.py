"""The way of a request, as one pipeline. Batch and stream differ in where `ticks` come from, and in nothing else."""

import apache_beam as beam
from apache_beam.pvalue import PCollection

from pipelines.plan import Plan
from pipelines.transforms import Act, CommitVerdicts, Evaluate, Read
from pipelines.work import Settings, Tick


class Online(beam.PTransform[PCollection[Tick], PCollection[None]]):
    """Ticks in, decisions and deliveries out; tables in the store on the way."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.settings = settings

    def expand(self, ticks: PCollection[Tick]) -> PCollection[None]:
        keys = (
            ticks
            | "plan" >> beam.ParDo(Plan(self.settings))
            | "spread" >> beam.Reshuffle()
            | "scan and commit, or claim" >> beam.ParDo(Read(self.settings))
            | "evaluate" >> beam.ParDo(Evaluate(self.settings))
            # In a batch the verdicts wait here for the last block of the portion, so that the review budget of an
            # intent is divided by what it really has to review; in a stream they pass through.
            | "after the scan" >> beam.Reshuffle()
            | "commit verdicts" >> beam.ParDo(CommitVerdicts(self.settings))
        )
        causes = ticks | "tick as cause" >> beam.Map(lambda tick: tick.sweep)
        acted: PCollection[None] = (
            (keys, causes) | "to decide" >> beam.Flatten() | "decide and deliver" >> beam.ParDo(Act(self.settings))
        )
        return acted
