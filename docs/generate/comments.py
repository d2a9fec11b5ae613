"""Sentences that stand in the code as `#:` comments above an attribute of a class."""

import ast
import inspect
import textwrap


def of_attributes(cls: type) -> dict[str, str]:
    """The `#:` comment above each attribute that the class body itself assigns, by the attribute's name."""
    source = textwrap.dedent(inspect.getsource(cls))
    lines = source.splitlines()
    body = ast.parse(source).body[0]
    assert isinstance(body, ast.ClassDef)
    comments = {}
    for statement in body.body:
        name = _assigned(statement)
        comment = _above(lines, statement.lineno)
        if name and comment:
            comments[name] = comment
    return comments


def summary(cls: type) -> str:
    """The first sentence of a class's docstring, on one line."""
    return " ".join((inspect.getdoc(cls) or "").split("\n\n")[0].split())


def _assigned(statement: ast.stmt) -> str:
    match statement:
        case ast.AnnAssign(target=ast.Name(id=name)) | ast.Assign(targets=[ast.Name(id=name)]):
            return name
    return ""


def _above(lines: list[str], lineno: int) -> str:
    """The unbroken run of `#:` lines that ends just above line `lineno` (1 for the first)."""
    run: list[str] = []
    for line in reversed(lines[: lineno - 1]):
        if not line.lstrip().startswith("#:"):
            break
        run.append(line.strip().removeprefix("#:").strip())
    return " ".join(reversed(run))
