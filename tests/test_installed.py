"""What `make run` installs, without any extra, is enough for the program to start."""

import subprocess
import sys

# In a process of its own: a package that no plain installation brings cannot be imported there.
PROGRAM = """
import importlib.abc, importlib.metadata as metadata, re, sys

def name(text):
    return re.sub(r"[-_.]+", "-", re.match(r"[\\w.-]+", text)[0]).lower()

needed, left = set(), ["aarlab"]
while left:
    if (one := name(left.pop())) not in needed:
        needed.add(one)
        try:
            left += [r for r in metadata.requires(one) or [] if "extra ==" not in r]
        except metadata.PackageNotFoundError:  # of another system or an older Python
            pass
brought = {m: {name(d) for d in found} for m, found in metadata.packages_distributions().items()}

class Plain(importlib.abc.MetaPathFinder):
    def find_spec(self, module, path=None, target=None):
        top = module.partition(".")[0]
        if top != "aarlab" and top in brought and not brought[top] & needed:
            raise ModuleNotFoundError(f"no plain installation has {top}")

sys.meta_path.insert(0, Plain())
import aarlab.cli.main
"""


def test_the_program_starts_without_extras() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    planted = subprocess.run([sys.executable, "-c", PROGRAM + "import pytest"], capture_output=True, text=True)
    assert "no plain installation has pytest" in planted.stderr
