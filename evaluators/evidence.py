"""Finds quotes in texts, verbatim but for Unicode forms, white space and case; offsets are those of the text itself."""

import unicodedata
from collections.abc import Sequence

from evaluators.fence import visible
from evaluators.rubric import JudgeAnswer
from tidegauge.domain import Request, Span

SHORTEST = 2
"""Characters, after normalisation. A shorter quote would be found anywhere."""


def normalised(text: str) -> tuple[str, list[int]]:
    """NFKC, case folded, runs of white space as one space; and where each of its characters comes from.

    >>> normalised("Two  Words")
    ('two words', [0, 1, 2, 3, 5, 6, 7, 8, 9])
    """
    out: list[str] = []
    places: list[int] = []
    for place, character in enumerate(text):
        for part in unicodedata.normalize("NFKC", character).casefold():
            if part.isspace():
                if out and out[-1] == " ":
                    continue
                part = " "  # noqa: PLW2901 - one space for any run
            out.append(part)
            places.append(place)
    return "".join(out), places


def locate(quote: str, text: str) -> tuple[int, int] | None:
    """Start and stop of a quote in a text; None where it is not there."""
    wanted = normalised(quote)[0].strip().strip("\"'\u201c\u201d\u2018\u2019").strip()
    if len(wanted) < SHORTEST:
        return None
    found, places = normalised(text)
    start = found.find(wanted)
    return None if start < 0 else (places[start], places[start + len(wanted) - 1] + 1)


def response_span(quote: str, response: str, note: str) -> Span | None:
    found = locate(quote, response)
    return None if found is None else Span(where="response", start=found[0], stop=found[1], note=note)


def context_span(quote: str, contexts: Sequence[str], note: str) -> Span | None:
    """In the first context that has it."""
    for number, text in enumerate(contexts):
        found = locate(quote, text)
        if found is not None:
            return Span(where="context", context=number, start=found[0], stop=found[1], note=note)
    return None


def quoted(answer: JudgeAnswer, request: Request, faulty: str) -> tuple[tuple[Span, ...], str]:
    """Where an answer's quotes are, and what is wrong with them; empty where nothing is. `faulty`: the label that must
    quote what it faults."""
    response, contexts = request.response or "", [c.text for c in request.contexts]
    spans: list[Span] = []
    missing = 0
    for quote in answer.quotes:
        parts = [(response_span(quote.response, response, answer.label), quote.response, [response])]
        if quote.context:
            parts.append((context_span(quote.context, contexts, "support"), quote.context, contexts))
        spans += [span for span, _, _ in parts if span is not None]
        missing += sum(span is None and not _was_shown(text, texts) for span, text, texts in parts)
    if missing:
        return tuple(spans), f"low confidence: {missing} of its quotes are not in the texts"
    unproven = answer.label == faulty and not answer.quotes
    return tuple(spans), "low confidence: it quotes nothing that it faults" if unproven else ""


def _was_shown(quote: str, texts: Sequence[str]) -> bool:
    """Whether a quote is of what the judge read, with hidden characters written out."""
    return any(locate(quote, visible(text)) is not None for text in texts)
