"""Requests to judge, and judges that are asked over real HTTP."""

from typing import Any

from evaluators.build import build_cascade
from evaluators.cascade import Cascade
from evaluators.judge import Judge
from evaluators.rubric import load_rubric
from tidegauge.config import Config, EvaluationSection, JudgeSection
from tidegauge.domain import Context, Deployment, Request
from tidegauge.prices import Prices
from tidegauge.testing.judge_server import JudgeServer

DEPLOYMENT = Deployment(model_version="m", prompt_version="p", retrieval_index="r")
REFUNDS = "Refunds are paid within 14 days after the parcel has arrived. Shipping costs are not refunded."


def request_of(response: str | None, *contexts: str, question: str | None = None, name: str = "r-1") -> Request:
    return Request(
        request_id=name,
        timestamp=0,
        intent="refunds.policy",
        deployment=DEPLOYMENT,
        question=question,
        contexts=tuple(Context(text=c) for c in contexts),
        response=response,
    )


def settings_of(server: JudgeServer, **overrides: Any) -> JudgeSection:
    values: dict[str, Any] = {"base_url": server.base_url, "model": "judge-1", "timeout_seconds": 5.0, **overrides}
    return JudgeSection(**values)


def judge_of(section: JudgeSection) -> Judge:
    return Judge("judge", section, load_rubric(section.rubric), prices=Prices(()))


def cascade_of(names: tuple[str, ...], judge: JudgeSection | None = None) -> Cascade:
    return build_cascade(Config(evaluation=EvaluationSection(evaluators=names), judge=judge or JudgeSection()))
