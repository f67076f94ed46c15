"""The way of imports: app → qa → embeddings, heavy packages in one place each and only when they are needed."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FILES = [ROOT / "app.py", *sorted((ROOT / "qa").rglob("*.py")), *sorted((ROOT / "embeddings").rglob("*.py"))]
HEAVY = {"torch", "sentence_transformers", "transformers", "faiss", "gradio", "fastapi", "uvicorn", "pypdfium2", "docx",
         "selectolax", "trafilatura", "markdown_it", "py3langid", "Stemmer", "bm25s",
         "ir_measures", "pytrec_eval", "scipy", "sklearn", "pandas", "openvino", "tokenizers"}  # fmt: skip


def imports(path: Path) -> Iterator[tuple[str, bool]]:
    """(module, at import time?) of every import statement that runs."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        for child in ast.iter_child_nodes(node):
            child.parent = node  # type: ignore[attr-defined]
    for node in ast.walk(tree):
        names = (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
        above = list(_parents(node))
        if any(isinstance(parent, ast.If) and "TYPE_CHECKING" in ast.dump(parent.test) for parent in above):
            continue
        inside = any(isinstance(parent, ast.FunctionDef | ast.AsyncFunctionDef) for parent in above)
        yield from ((name, not inside) for name in names)


def _parents(node: ast.AST) -> Iterator[ast.AST]:
    while (node := getattr(node, "parent", None)) is not None:  # type: ignore[assignment]
        yield node


def layer(path: Path) -> str:
    """The layer of a file: app, page, qa or embeddings."""
    parts = path.relative_to(ROOT).parts
    return "app" if parts == ("app.py",) else "page" if parts[:2] == ("qa", "page") else parts[0]


def layer_of_module(name: str) -> str | None:
    """The layer of an imported module, None for other packages."""
    if name == "app" or name.startswith("qa.page") or name.split(".")[0] in ("qa", "embeddings"):
        return "app" if name == "app" else "page" if name.startswith("qa.page") else name.split(".")[0]
    return None


ALLOWED = {
    "app": {"page", "qa"},
    "page": {"page", "qa"},
    "qa": {"qa", "embeddings"},
    "embeddings": {"embeddings"},
}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_arrows_point_one_way(path: Path) -> None:
    wrong = [
        name
        for name, _ in imports(path)
        if (of := layer_of_module(name)) is not None and of not in ALLOWED[layer(path)]
    ]
    assert wrong == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_heavy_packages_are_imported_where_they_are_used(path: Path) -> None:
    heavy = {(name.split(".")[0], early) for name, early in imports(path) if name.split(".")[0] in HEAVY}
    assert {name for name, early in heavy if early} == set()
    if layer(path) != "embeddings":
        assert {name for name, _ in heavy} & {"torch", "sentence_transformers", "transformers", "faiss"} == set()


def test_nothing_imports_the_command_line_but_the_top() -> None:
    importers = [path.name for path in FILES for name, _ in imports(path) if name == "qa.cli"]
    assert importers == ["app.py"]


def test_nothing_imports_the_evaluation_but_the_command_line_and_the_page() -> None:
    outside = [path for path in FILES if "evaluation" not in path.parts]
    importers = {path.relative_to(ROOT) for path in outside for name, _ in imports(path) if "qa.evaluation" in name}
    assert all(path == Path("qa/cli.py") or path.parts[:2] == ("qa", "page") for path in importers)
    assert Path("qa/cli.py") in importers


def test_the_list_of_layers_is_of_all_files() -> None:
    assert {layer(path) for path in FILES} == {"app", "page", "qa", "embeddings"}


def test_help_loads_no_heavy_package() -> None:
    code = """
import sys, app
try:
    app.main(["--help"])
except SystemExit:
    print(sorted(sys.modules), file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert "usage: refdesk" in done.stdout
    loaded = {name.split(".")[0] for name in ast.literal_eval(done.stderr.strip().splitlines()[-1])}
    assert loaded & HEAVY == set()
