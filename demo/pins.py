"""Resolves anew what the pinned packages bring along: `make pins`. What is asked for is changed by hand.

Asked for: [project] in pyproject.toml, the first paragraph of each list in requirements/, and the
package.json of its clients/, servers/, browser/ and conformance/.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from typing import Final

from demo.environments import PINS, ROOT

LISTS: Final = (*sorted((PINS / "servers").glob("*.txt")), *sorted((PINS / "clients").glob("mcp1*.txt")))


def main() -> None:
    runtime = resolved([str(ROOT)])
    renew(PINS / "runtime.txt", [pin for pin in runtime if not pin.startswith("coatcheck")])
    asked = pins(PINS / "dev.txt")
    known = {*asked, *pins(PINS / "runtime.txt")}
    tools = resolved([*asked, "--constraint", str(PINS / "runtime.txt")])
    renew(PINS / "dev-constraints.txt", [pin for pin in tools if pin not in known])
    for path in LISTS:
        asked = pins(path, first_paragraph=True)
        rest = [pin for pin in resolved(asked) if pin not in asked]
        head = path.read_text(encoding="utf-8").split("\n\n", 1)[0]
        path.write_text("\n".join([head, "", "# What they bring along.", *rest, ""]), encoding="utf-8")
    for folder in ("clients", "servers", "browser", "conformance"):
        renew_lock(PINS / folder)


def renew(path: Path, found: list[str]) -> None:
    """Replace the pins of a list, keeping the words above them."""
    words = [line for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("#")]
    path.write_text("\n".join([*words, *found, ""]), encoding="utf-8")


def pins(path: Path, *, first_paragraph: bool = False) -> list[str]:
    """Return the pins of a list."""
    text = path.read_text(encoding="utf-8")
    lines = (text.split("\n\n", 1)[0] if first_paragraph else text).splitlines()
    return [line for line in lines if line and not line.startswith(("#", "-"))]


def resolved(asked: list[str]) -> list[str]:
    """Install what is asked for into an empty environment and return everything that is there then."""
    with tempfile.TemporaryDirectory() as place:
        venv.create(place, with_pip=False)
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", place]
        subprocess.run([*pip, "install", "--quiet", *asked], check=True)
        frozen = subprocess.run([*pip, "freeze"], check=True, capture_output=True, text=True).stdout
    return sorted((line for line in frozen.splitlines() if "==" in line), key=_name)


def _name(pin: str) -> str:
    return pin.split("==", 1)[0].lower()


def renew_lock(folder: Path) -> None:
    """Resolve what is written for Node; where they are fetched from is the business of who installs."""
    lock = folder / "package-lock.json"
    lock.unlink(missing_ok=True)
    command = [
        "npm",
        "install",
        "--package-lock-only",
        "--ignore-scripts",
        "--omit-lockfile-registry-resolved",
    ]
    subprocess.run([*command, "--no-audit", "--no-fund"], cwd=folder, check=True)
    found = json.loads(lock.read_text(encoding="utf-8"))
    for package in found["packages"].values():
        package.pop("funding", None)
    lock.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
