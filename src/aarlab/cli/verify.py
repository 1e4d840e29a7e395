"""`aarlab verify`: a finished campaign, done again from its ledger, snapshots and vault."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from aarlab.campaign import verify as campaign
from aarlab.report.text import line

Json = Annotated[bool, typer.Option("--json", help="Print exactly one JSON object on standard output.")]


def verify(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="The campaign's folder.")],
    top: Annotated[int, typer.Option(min=1, help="How many finalists are run again.")] = 3,
    key: Annotated[Path | None, typer.Option(help="The lab's public key (default: your own lab's lab.pub).")] = None,
    head: Annotated[str | None, typer.Option(help="A file of signed heads, or one line of it.")] = None,
    as_json: Json = False,
) -> None:
    """Check a finished campaign's record and run its best finalists again from clean; status 1 if anything differs.

    Example: aarlab verify campaigns/w2s-prose-seed1 --top 3 --json
    """
    told = campaign.verify(directory, top, key, head, lambda what: print(what, file=sys.stderr, flush=True))
    if as_json:
        print(json.dumps(told))
    else:
        for part in ("ledger", "vault", "snapshots"):
            if (found := told[part]) is not None:
                print(f"{part}: {'fits' if found['ok'] else 'DOES NOT FIT'}{_why(found['why'])}")
        for draw in told["draws"]:
            print(f"draw of {draw['set']}: {'the same' if draw['ok'] else 'OTHER'}{_why(draw['why'])}")
        for t in told["top"]:
            print(f"finalist {t['rank']}, {line(t['method'])}, on {t['set']}: {t['verdict']}{_why(t['why'])}")
    if not told["ok"]:
        raise typer.Exit(1)


def _why(text: str | None) -> str:
    return f": {line(text)}" if text else ""
