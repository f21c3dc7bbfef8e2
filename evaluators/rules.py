"""Deterministic rules for answers that make no claim, and so cannot claim anything false.

Decision: a refusal, an empty answer and a bare echo of the question are faithful with confidence 1. That holds only if
*every* sentence is a refusal or a courtesy; one sentence of substance and the rules stay silent.
"""

import re

from evaluators.base import content_hash, silent
from tidegauge.domain import Request, Score

_I = r"(?:i|we)(?:'m| am|'re| are)?"
_CANNOT = r"(?:can ?not|can't|could ?not|couldn't|(?:am |are )?(?:not able|unable) to)"
_HELP = r"(?:help|assist|answer|provide|find|share|discuss|comply|say|tell|respond|give|offer|determine|do that)"
_KNOWLEDGE = r"(?:information|answer|data|details|knowledge|access)"
_DONT = r"(?:do not|don't|did not|didn't)"
_SOURCE = r"(?:context|passages?|documents?|text|information|source|sources|snippets?|articles?)"

REFUSALS = (
    rf"(?:{_I} )?(?:sorry|afraid)(?:,? but)?$",
    rf"(?:[\w']+[, ]+){{0,8}}{_I} {_CANNOT} {_HELP}\b",
    rf"(?:[\w']+[, ]+){{0,8}}{_I} (?:not able|unable) to {_HELP}\b",
    rf"(?:[\w']+[, ]+){{0,6}}{_I} {_DONT} (?:know|have (?:\w+ ){{0,4}}{_KNOWLEDGE})\b",
    rf"(?:[\w']+[, ]+){{0,6}}{_I} (?:not sure|not certain)(?: about (?:that|this))?$",
    rf"(?:[\w']+[, ]+){{0,8}}(?:the|this|these) (?:\w+ ){{0,3}}{_SOURCE} (?:does not|doesn't|do not|don't)"
    rf" (?:contain|mention|include|provide|specify|say|answer)\b",
    r"(?:there is |there's )?no (?:relevant )?(?:answer|information) (?:was |is )?(?:found|available|provided)\b",
    r"unanswerable$",
    rf"as an? (?:ai|language model|ai language model)\b.{{0,60}}\b{_CANNOT}\b",
)
"""Sentences that decline to answer, matched at the sentence's start in lower case."""

COURTESIES = (
    r"(?:please )?(?:contact|reach out to|ask|consult|check with|speak (?:to|with)|talk to)\b",
    r"please (?:try|let me know|provide|rephrase|clarify|see)\b",
    r"(?:let me know|feel free)\b",
    r"(?:is there|do you have) (?:anything|any)\b",
    r"(?:could|can|would) you\b.*\?$",
    r"(?:i )?(?:apologi[sz]e|my apologies|sorry|thank you|thanks|hello|hi)\b[^.]{0,40}$",
    r"(?:how|what) (?:else )?(?:can|may) i help\b",
)
"""Sentences without substance that may stand beside a refusal."""

TURNS = r"\b(?:but|however|although|though|because|instead|yet|except|nevertheless|still|anyway)\b(?!$)"
"""A refusal that goes on like this has a second half, which may claim something."""

SORRY_BUT = r"sorry,? but\b"
"""A turn that starts the refusal and does not end it."""

LONGEST_REFUSAL = 80
"""Words. Longer answers are left to the others, whatever they begin with."""

SCORES = {"refusal": 0.05, "empty": 0.2, "echo": 0.3}
"""Raw scores, one bin each, so that each kind is calibrated by itself."""

EDGES = (0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875)

_REFUSAL = re.compile("|".join(f"(?:{p})" for p in REFUSALS), re.DOTALL)
_COURTESY = re.compile("|".join(f"(?:{p})" for p in COURTESIES), re.DOTALL)
_TURN = re.compile(TURNS)
_SORRY_BUT = re.compile(SORRY_BUT)
_SENTENCE = re.compile(r"(?<=[.!?])\s+|\n+")
_WORD = re.compile(r"\w+")
_UNFINISHED = re.compile(r"(?:[,;:(\-]|\b(?:and|or|the|a|an|of|to|with|in|for|that|is|are))$", re.IGNORECASE)

_END = 8
"""Characters at an answer's end that hold every unfinished one, and one before it."""


class Rules:
    """Scores only what the rules are sure of; anything else gets no score from here."""

    name = "rules"
    version = "1.0.0"
    needs: frozenset[str] = frozenset()
    asks = False
    edges: tuple[float, ...] = EDGES
    content_hash = content_hash(
        name,
        version,
        (REFUSALS, COURTESIES, TURNS, LONGEST_REFUSAL, SCORES, EDGES),
        (_SENTENCE.pattern, _UNFINISHED.pattern, SORRY_BUT),
    )

    def evaluate(self, request: Request) -> Score:
        response = (request.response or "").strip()
        if not _WORD.search(response):
            return self._no_claim("empty", "the answer is empty: it makes no claim")
        if _is_echo(request.asked, response):
            return self._no_claim("echo", "the answer repeats the question: it makes no claim")
        if is_refusal(response):
            return self._no_claim("refusal", "the answer declines: it makes no claim")
        unfinished = _UNFINISHED.search(response[-_END:]) or response.count("```") % 2
        return silent(self, "no rule applies; the answer looks cut off" if unfinished else "no rule applies")

    def _no_claim(self, rule: str, reason: str) -> Score:
        return Score(
            evaluator=self.name,
            version=self.version,
            content_hash=self.content_hash,
            score=SCORES[rule],
            label="faithful",
            confidence=1.0,
            reason=reason,
        )


def is_refusal(response: str) -> bool:
    """Whether an answer declines and says nothing else."""
    text = response.lower().replace("\u2019", "'").strip()
    if len(text) > 20 * LONGEST_REFUSAL or len(text.split()) > LONGEST_REFUSAL:
        return False
    sentences = [s.strip().rstrip(".!") for s in _SENTENCE.split(text) if _WORD.search(s)]
    refusals = [bool(_REFUSAL.match(s)) and not _TURN.search(_SORRY_BUT.sub("", s)) for s in sentences]
    return any(refusals) and all(r or _COURTESY.match(s) for r, s in zip(refusals, sentences, strict=True))


def _is_echo(question: str, response: str) -> bool:
    if not question or len(response) > len(question) + 16:
        return False
    asked = _WORD.findall(question.casefold())
    return len(asked) > 1 and asked == _WORD.findall(response.casefold())
