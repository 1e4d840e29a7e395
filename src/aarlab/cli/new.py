"""`aarlab new`: start something of your own from what is there."""

import json
from pathlib import Path
from typing import Annotated

import typer

from aarlab.lab.snapshots import BadMethod
from aarlab.problems import base

app = typer.Typer(no_args_is_help=True, help="Start a method or a testbed of your own.")


@app.command()
def method(
    folder: Annotated[Path, typer.Argument(metavar="METHOD_DIR", help="The folder to write; it must not exist.")],
    testbed: Annotated[str, typer.Option(help="The testbed that it is for, such as w2s/prose.")],
    like: Annotated[str | None, typer.Option(help="The untuned baseline to start from (default: the first).")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print exactly one JSON object.")] = False,
) -> None:
    """Write the folder of an untuned baseline: method.py to be changed, and its card.

    Example: aarlab new method my-method --testbed w2s/prose --like naive_soft
    """
    problem = base.load(testbed)
    name = like or problem.baselines[0]
    if name not in problem.baselines:
        known = ", ".join(base.nearest(name, problem.baselines))
        raise BadMethod(f"--like {name}: no baseline of {testbed}; known are {known}")
    if folder.exists():
        raise BadMethod(f"{folder}: exists already; name another folder")
    files = problem.baseline(name)
    folder.mkdir(parents=True)
    for file, text in files.items():
        (folder / file).write_text(text)
    if as_json:
        print(json.dumps({"method": str(folder), "testbed": testbed, "like": name, "files": sorted(files)}))
    else:
        print(f"{folder}: {', '.join(sorted(files))}, the baseline {name}")
        print(f"try it:  aarlab practice {testbed} {folder}   ·   aarlab audit {folder} --testbed {testbed}")
