"""Speed of recording events, compared with the alternatives: ``python -m benchmarks.writes``.

Each contender writes the same events into a new table of the same schema, on a DynamoDB Local in
memory or on the server at DYNAMODB_ENDPOINT. The contenders take turns. Before the clock starts,
each contender gets the events as its users have them: this package as the models that
``hubspot.parse`` returns, PynamoDB and pydynantic as objects of their models, the others as
dictionaries of plain Python values. The time includes the conversion into requests.

The exit status is 1 if a contender reports or stores a wrong result, and 2 if a library is missing.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence

from benchmarks.writes.contender import Contender
from benchmarks.writes.contenders import CONTENDERS
from benchmarks.writes.events import INPUTS
from benchmarks.writes.machine import Machine
from benchmarks.writes.measure import WrongResultError, run_all
from benchmarks.writes.report import as_json, as_markdown, as_text
from benchmarks.writes.results import Results
from benchmarks.writes.server import given_server, new_server
from quill_models import Settings

_PROGRAM = "python -m benchmarks.writes"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    chosen = _parser().parse_args(given)
    contenders = [
        contender for name, contender in CONTENDERS.items() if name in (chosen.only or CONTENDERS)
    ]
    if missing := _missing(contenders):
        print(
            f"Not installed: {', '.join(missing)}. Run\n"
            "  pip install -e '.[bench]'\n"
            "or choose contenders that do not need them with --only.",
            file=sys.stderr,
        )
        return 2
    given_endpoint = Settings.given_endpoint()
    open_server = new_server if given_endpoint is None else given_server(given_endpoint)
    try:
        runs = run_all(
            open_server,
            contenders,
            chosen.inputs,
            events=chosen.events,
            rounds=chosen.rounds,
            report=lambda line: print(line, file=sys.stderr, flush=True),
        )
    except WrongResultError as error:
        print(error, file=sys.stderr)
        return 1
    results, machine = Results(runs), Machine.this(runs[0].server)
    command = shlex.join([*_PROGRAM.split(), *given])
    if chosen.json:
        print(as_json(results, machine, command))
    elif chosen.markdown:
        print(as_markdown(results, machine, command))
    else:
        print(as_text(results, machine))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, prog=_PROGRAM, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--events", type=_positive, default=2_000, help="Events of a run. Default: 2000."
    )
    parser.add_argument("--rounds", type=_positive, default=5, help="Number of rounds. Default: 5.")
    parser.add_argument(
        "--inputs",
        type=_inputs,
        default=list(INPUTS),
        help=f"Inputs, from {','.join(INPUTS)}. Default: all.",
    )
    parser.add_argument(
        "--only",
        nargs="+",
        metavar="NAME",
        choices=list(CONTENDERS),
        help=f"Contenders, from {', '.join(CONTENDERS)}. Default: all.",
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="Print every run as JSON.")
    form.add_argument(
        "--markdown", action="store_true", help="Print the section of docs/performance.md."
    )
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number


def _inputs(text: str) -> list[str]:
    names = text.split(",")
    if unknown := [name for name in names if name not in INPUTS]:
        raise argparse.ArgumentTypeError(f"unknown: {', '.join(unknown)}")
    return names


def _missing(contenders: Sequence[Contender]) -> list[str]:
    return sorted({library for contender in contenders for library in contender.missing()})


if __name__ == "__main__":
    sys.exit(main())
