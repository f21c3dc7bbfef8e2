"""Wrong arguments: one line, the command's name, the nearest right word."""

import pytest

from tidegauge.cli import main


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("runn", "argument COMMAND: there is no runn; did you mean run?; see tidegauge --help"),
        ("rubric shw", "rubric: argument ACTION: there is no shw; did you mean show?; see tidegauge rubric --help"),
        ("run --evry=60s", "run: there is no --evry=60s; did you mean --every?; see tidegauge run --help"),
        ("run more", "run: there is no more; see tidegauge run --help"),
        ("slo history --foo", "slo history: there is no --foo; see tidegauge slo history --help"),
        (
            "capacity --requests-per-day many",
            "capacity: argument --requests-per-day: invalid float value: 'many'; see tidegauge capacity --help",
        ),
        ("", "the following arguments are required: COMMAND; see tidegauge --help"),
    ],
)
def test_wrong_arguments_are_told_in_a_line(given: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(given.split()) == 2
    assert capsys.readouterr().err == f"tidegauge: {said}\n"


def test_a_command_that_is_like_none_gets_all_of_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["xyzzy"]) == 2
    said = capsys.readouterr().err
    assert "there is no xyzzy; there are init, check, run, stream, " in said
