"""False alarms and time of the injection detector on records of other people's.

    python benchmarks/injection.py FILE.jsonl.gz... [--attacks]

Lines have question or text, contexts and response. Prints one JSON object: flagged of how many, per file; milliseconds
of CPU for answers of 200 words on 1,000 words of context that were not seen before, made from the same words, beside
what only finding the words of the same texts takes. --attacks: how many of the attacks in tests are flagged.
"""

import argparse
import gzip
import json
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from evaluators.heuristics import _TOKEN
from evaluators.injection import THRESHOLD, Injection
from tidegauge.domain import Context, Deployment, Request

NOWHERE = Deployment(model_version="", prompt_version="", retrieval_index="")
ANSWER, CONTEXT = 200, 1_000
GOAL = 0.002


def requests(path: Path) -> Iterator[Request]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for number, line in enumerate(lines):
            row = json.loads(line)
            yield Request(
                request_id=str(number),
                timestamp=0,
                intent="",
                deployment=NOWHERE,
                question=row.get("question") or row.get("text"),
                contexts=tuple(Context(text=text) for text in row.get("contexts") or ()),
                response=row.get("response"),
            )


def is_flagged(request: Request) -> bool:
    return (Injection().evaluate(request).score or 0.0) >= THRESHOLD


def timings(words: list[str]) -> dict[str, float]:
    """Medians and the 95th percentile, in ms of CPU."""
    detector, spent, floor = Injection(), [], []
    size = ANSWER + CONTEXT
    for start in range(0, min(len(words), 300 * size) - size, size):
        answer, context = (" ".join(words[start : start + ANSWER]), " ".join(words[start + ANSWER : start + size]))
        request = Request(
            request_id="",
            timestamp=0,
            intent="",
            deployment=NOWHERE,
            response=answer,
            contexts=(Context(text=context),),
        )
        begun = time.process_time()
        detector.evaluate(request)
        between = time.process_time()
        for text in (answer, context):
            _TOKEN.findall(text)
        spent.append(1e3 * (between - begun))
        floor.append(1e3 * (time.process_time() - between))
    spent.sort()
    return {
        "median_ms": round(statistics.median(spent), 3),
        "p95_ms": round(spent[int(0.95 * len(spent))], 3),
        "words_alone_ms": round(statistics.median(floor), 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--attacks", action="store_true")
    args = parser.parse_args()
    files, words = {}, []
    for path in args.files:
        flags = []
        for request in requests(path):
            flags.append(is_flagged(request))
            if request.contexts:
                words += " ".join((request.response or "", *(c.text for c in request.contexts))).split()
        files[path.name] = {"records": len(flags), "flagged": sum(flags)}
    records = sum(f["records"] for f in files.values())
    share = sum(f["flagged"] for f in files.values()) / records
    report = {"files": files, "share": round(share, 5), "goal": GOAL, "kept": share <= GOAL, **timings(words)}
    if args.attacks:
        sys.path.insert(0, str(Path(__file__).parents[1]))
        from tests.evaluators.disguised_attacks import attacks

        found = [is_flagged(attack.request) for attack in attacks()]
        report["attacks"] = {"all": len(found), "flagged": sum(found)}
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
