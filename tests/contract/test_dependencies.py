"""A service imports only what its lock installs: the images hold nothing else, while a developer has it all."""

import ast
import re
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from docs.generate import environment

PROJECT = Path(__file__).resolve().parents[2]
DISTRIBUTIONS = packages_distributions()
OURS = {"services", "shared", *sys.stdlib_module_names}


@pytest.mark.parametrize("service", environment.SERVICES)
def test_imports_are_in_the_lock(service: str) -> None:
    locked = {
        _normal(line.partition("==")[0])
        for line in (PROJECT / "requirements" / f"{service}.txt").read_text().splitlines()
        if re.match(r"[A-Za-z0-9]", line)
    }
    missing = {
        f"{path.relative_to(PROJECT)} imports {module}"
        for path in _files(service)
        for module in {name.partition(".")[0] for name in _imported(path)} - OURS
        if not {_normal(name) for name in DISTRIBUTIONS.get(module, [module])} & locked
    }
    assert not missing, f"not in requirements/{service}.txt: add it to the extra, then `make lock`"


@pytest.mark.parametrize("service", environment.SERVICES)
def test_locks_are_hashed_and_name_no_registry(service: str) -> None:
    lock = (PROJECT / "requirements" / f"{service}.txt").read_text()
    pinned = re.findall(r"^[A-Za-z0-9][^ ]*==", lock, re.MULTILINE)
    entries = re.split(r"^(?=[A-Za-z0-9])", lock, flags=re.MULTILINE)[1:]
    assert len(pinned) == len(entries)
    assert all("--hash=sha256:" in entry for entry in entries)
    assert "://" not in lock


def _files(service: str) -> set[Path]:
    """The service's own files, and those of shared/ that they lead to."""
    files: set[Path] = set()
    waiting = list((PROJECT / "services" / service).rglob("*.py"))
    while waiting:
        path = waiting.pop()
        if path not in files:
            files.add(path)
            modules = [PROJECT / (name.replace(".", "/") + ".py") for name in _imported(path)]
            waiting += [module for module in modules if module.is_file()]
    return files


def _imported(path: Path) -> Iterator[str]:
    """What a file imports, dotted; of `from a import b` both `a` and `a.b`, since `b` may be a module."""
    for node in _required(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _required(tree: ast.AST) -> Iterator[ast.AST]:
    """Every node but what never runs (`if TYPE_CHECKING:`) or may fail (`with suppress(ImportError):`)."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.With) and "suppress(ImportError)" in ast.unparse(node.items[0]):
            continue
        yield node
        yield from _required(node)


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
