"""`tidegauge evaluator new|list|test`: evaluators of one's own."""

import keyword
import re
from pathlib import Path

from tidegauge import show
from tidegauge.commands.context import Context, note, print_json
from tidegauge.errors import UsageError

TEMPLATE = '''"""An evaluator for Tidegauge."""


def {name}(request):
    """P(hallucinated) of request.response, or None where there is nothing to say."""
    answer = request.response or ""
    known = " ".join(context.text for context in request.contexts)
    prices = [word for word in answer.split() if word.startswith("$")]
    if not prices:
        return None
    unknown = [price for price in prices if price not in known]
    return len(unknown) / len(prices), f"{{len(unknown)}} of {{len(prices)}} prices are in no context"
'''


def new(context: Context) -> int:
    """Writes a module with an evaluator to start from."""
    name = context.args.name
    if not re.fullmatch(r"[a-z_][a-z0-9_]*", name) or keyword.iskeyword(name):
        raise UsageError(f"evaluator new {name}: a name is lower-case letters, digits and _, and no word of Python's")
    path = Path(f"{name}.py")
    if path.exists():
        raise UsageError(f"{path} exists already and stays as it is")
    path.write_text(TEMPLATE.format(name=name), encoding="utf-8")
    note(f"wrote {path}; in tidegauge.yaml:")
    note(f"  evaluation: {{plugins: ['{name}:{name}'], evaluators: [rules, overlap, {name}, judge]}}")
    note(f"then: tidegauge evaluator test {name}")
    return 0


def known(context: Context) -> int:
    """Shipped evaluators, one's own, and the guard before them."""
    from evaluators.build import OFFLINE
    from evaluators.injection import Injection
    from evaluators.plugins import own_evaluators

    rows = []
    for kind, makers in (
        ("shipped", OFFLINE),
        ("own", own_evaluators(context.config())),
        ("guard", {Injection.name: Injection}),
    ):
        for name, make in makers.items():
            made = make()
            rows.append({"name": name, "kind": kind, "version": made.version, "content_hash": made.content_hash})
    if context.args.json:
        print_json(rows)
    else:
        print(show.table(("name", "kind", "version", "content_hash"), [tuple(row.values()) for row in rows]))
    return 0


def test(context: Context) -> int:
    """Runs the contract suite on one evaluator."""
    from evaluators.build import OFFLINE
    from evaluators.contract import check
    from evaluators.plugins import own_evaluators

    makers = {**OFFLINE, **own_evaluators(context.config())}
    name = context.args.name
    if name not in makers:
        raise UsageError(f"evaluator test {name}: there are {', '.join(sorted(makers))}; plugins are in tidegauge.yaml")
    checks = check(makers[name]())
    for found in checks:
        print(f"{'fail' if found.problem else 'pass'}  {found.name}" + (f": {found.problem}" if found.problem else ""))
    return 1 if any(found.problem for found in checks) else 0
