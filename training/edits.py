"""Wrong answers made from right ones, by one number, name, negation, antonym or insertion, and paraphrases beside them.

They teach a model the task where labelled data teach it their own habits: a subtle edit is wrong although nearly all
of its words are in the contexts, and a synonym is right although it is not.
"""

import random
import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from evaluators.groundedness.lexicon import antonym_pairs, synonym_groups
from evaluators.heuristics import STOPWORDS

MOST_SYNONYMS = 4
SHORTEST = 6
"""Words of an answer that is edited."""

_WORD = re.compile(r"[A-Za-z'\u2019-]+|\d+(?:[.,]\d+)*")
_VERBS = "is are was were can could will would should has have had may might must do does did"
_AUXILIARIES = frozenset(_VERBS.split())
_MODIFIERS = ("only", "no", "all", "limited", "never", "always", "partial", "young", "old", "basic", "free")
_LINKS = (", but ", " and ", " while ", ", ", ", except ")


class Answer(NamedTuple):
    """A faithful answer, and words to spoil it with."""

    text: str
    of_contexts: Sequence[str]
    of_elsewhere: Sequence[str]


class Made(NamedTuple):
    text: str
    hallucinated: bool
    row: int


_Edit = Callable[[random.Random, Answer], str | None]


def edited(rows: Sequence[dict], seed: int = 1) -> list[Made]:
    """For each faithful row a paraphrase, which is right, and an edit, which is wrong. `row` is its place."""
    rng = random.Random(seed)
    places = [
        place
        for place, row in enumerate(rows)
        if not row["label_hallucinated"] and len(row["response"].split()) >= SHORTEST
    ]
    made = []
    for place in places:
        row, other = rows[place], rows[rng.choice(places)]
        kept = _paraphrase(rng, row["response"])
        start = kept if rng.random() < 0.5 else row["response"]
        spoilt = _spoil(rng, Answer(start, _content(" ".join(row["contexts"])), _content(other["response"])))
        made.append(Made(kept, False, place))
        if spoilt:
            made.append(Made(spoilt, True, place))
    return made


def _lexicon() -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    alike: dict[str, set[str]] = {}
    opposed: dict[str, set[str]] = {}
    for group in synonym_groups():
        for word in group:
            alike.setdefault(word, set()).update(other for other in group if other != word)
    for one, other in antonym_pairs():
        opposed.setdefault(one, set()).add(other)
        opposed.setdefault(other, set()).add(one)
    return {w: sorted(o) for w, o in alike.items()}, {w: sorted(o) for w, o in opposed.items()}


_ALIKE, _OPPOSED = _lexicon()


def _content(text: str) -> list[str]:
    return [word for word in _WORD.findall(text) if word.lower() not in STOPWORDS and len(word) > 3]


def _root(word: str, known: dict[str, list[str]]) -> str:
    """The word of a lexicon that a word is a form of; else the word."""
    for suffix in ("ing", "ed", "es", "s", "d"):
        if word not in known and word.endswith(suffix):
            for root in (word[: -len(suffix)], word[: -len(suffix)] + "e"):
                if root in known:
                    return root
    return word


def _inflected(new: str, like: str) -> str:
    for suffix in ("ing", "ed", "s"):
        if like.endswith(suffix) and not new.endswith(suffix):
            return (new[:-1] if new.endswith("e") and suffix != "s" else new) + suffix
    return new


def _exchanged(rng: random.Random, text: str, found: re.Match[str], known: dict[str, list[str]]) -> str:
    word = found.group().lower()
    new = _inflected(rng.choice(known[_root(word, known)]), word)
    return text[: found.start()] + new + text[found.end() :]


def _paraphrase(rng: random.Random, text: str) -> str:
    found = [m for m in _WORD.finditer(text) if m.group().lower() not in STOPWORDS]
    found = [m for m in found if _root(m.group().lower(), _ALIKE) in _ALIKE]
    for match in sorted(rng.sample(found, min(rng.randint(0, MOST_SYNONYMS), len(found))), key=lambda m: -m.start()):
        text = _exchanged(rng, text, match, _ALIKE)
    return text


def _spoil(rng: random.Random, answer: Answer) -> str | None:
    edits: list[_Edit] = [_number, _negation, _antonym, _other_word, _modifier, _clause]
    rng.shuffle(edits)
    return next((text for edit in edits if (text := edit(rng, answer)) is not None), None)


def _number(rng: random.Random, answer: Answer) -> str | None:
    digits = [m.start() for m in re.finditer(r"[0-9]", answer.text)]
    if not digits:
        return None
    place = rng.choice(digits)
    digit = str((int(answer.text[place]) + rng.randint(1, 9)) % 10)
    return answer.text[:place] + digit + answer.text[place + 1 :]


def _negation(rng: random.Random, answer: Answer) -> str | None:
    found = [m for m in _WORD.finditer(answer.text) if m.group().lower() in _AUXILIARIES | {"with"}]
    if not found:
        return None
    match = rng.choice(found)
    denial = "out" if match.group().lower() == "with" else " not"
    return answer.text[: match.end()] + denial + answer.text[match.end() :]


def _antonym(rng: random.Random, answer: Answer) -> str | None:
    found = [m for m in _WORD.finditer(answer.text) if _root(m.group().lower(), _OPPOSED) in _OPPOSED]
    return _exchanged(rng, answer.text, rng.choice(found), _OPPOSED) if found else None


def _contentful(answer: Answer) -> list[re.Match[str]]:
    return [m for m in _WORD.finditer(answer.text) if m.group().lower() not in STOPWORDS and len(m.group()) > 3]


def _other_word(rng: random.Random, answer: Answer) -> str | None:
    found = _contentful(answer)
    pool = answer.of_contexts if rng.random() < 0.4 else answer.of_elsewhere
    if not found or not pool:
        return None
    match = rng.choice(found)
    return answer.text[: match.start()] + rng.choice(pool) + answer.text[match.end() :]


def _modifier(rng: random.Random, answer: Answer) -> str | None:
    found = _contentful(answer)
    if not found:
        return None
    start = rng.choice(found).start()
    return f"{answer.text[:start]}{rng.choice(_MODIFIERS)} {answer.text[start:]}"


def _clause(rng: random.Random, answer: Answer) -> str | None:
    size = rng.randint(3, 6)
    if len(answer.of_elsewhere) < size:
        return None
    start = rng.randrange(len(answer.of_elsewhere) - size + 1)
    return answer.text.rstrip(". ") + rng.choice(_LINKS) + " ".join(answer.of_elsewhere[start : start + size]) + "."
