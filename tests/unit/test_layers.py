"""Imports point one way. What a module may know is what stands above it in the list of layers."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import quill_models

ROOT = Path(quill_models.__file__).parent
PACKAGE = "quill_models"

# From the bottom up. A layer imports from layers before its own, and within itself.
LAYERS: tuple[tuple[str, ...], ...] = (
    (
        "errors",
        "digest",
        "error_text",
        "file_lock",
        "page_limit",
        "raw_item",
        "results",
        "wire_log",
    ),
    ("clock", "pace"),
    ("settings",),
    ("keys",),
    ("key_schema",),
    ("observation",),
    ("observed",),
    ("backoff", "service_errors", "shards"),
    ("client",),
    ("table",),
    ("current",),
    ("attributes",),
    ("models",),
    ("attribute_values", "item_size"),
    ("datastore",),
    ("actions", "query", "read_ahead"),
    ("inserts", "transaction_plan", "writes"),
    ("chunk",),
    ("bulk_writes",),
    ("repositories",),
    ("migrations", "schema"),
    ("infrastructure", "quill"),
    ("doctor",),
    # What goes in and out; each by itself.
    ("export", "hubspot", "json_form", "ingestion", "loading", "local"),
    # The package itself, which only gathers names.
    ("",),
    ("command", "telemetry", "testing"),
    ("pytest_plugin",),
)
RANK = {name: rank for rank, layer in enumerate(LAYERS) for name in layer}
# Of one layer, but of no use to each other.
APART = {
    ("hubspot", "local"),
    ("hubspot", "json_form"),
    ("json_form", "local"),
    ("backoff", "service_errors"),
    ("backoff", "shards"),
    ("service_errors", "shards"),
    ("digest", "errors"),
    ("digest", "file_lock"),
    ("errors", "file_lock"),
    ("export", "json_form"),
    ("export", "local"),
    ("migrations", "schema"),
    ("error_text", "errors"),
}


def _module_of(path: Path) -> str:
    parts = [PACKAGE, *path.relative_to(ROOT).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


SOURCES = {_module_of(path): path for path in ROOT.rglob("*.py") if "samples" not in path.parts}
TREES = {
    module: ast.parse(path.read_text(encoding="utf-8"), str(path))
    for module, path in SOURCES.items()
}


# An error carries what it is about, which stands above it: for type checkers, and never loaded.
CARRIERS = {f"{PACKAGE}.errors"}


def _run_part(tree: ast.Module) -> ast.Module:
    """A module without what only type checkers see."""

    def is_of_types(node: ast.stmt) -> bool:
        test = node.test if isinstance(node, ast.If) else None
        return isinstance(test, ast.Name) and test.id == "TYPE_CHECKING"

    return ast.Module([node for node in tree.body if not is_of_types(node)], [])


def _imports(module: str) -> Iterator[str]:
    """What a module imports, wherever in it: the whole names, those of types included."""
    package = module if SOURCES[module].name == "__init__.py" else module.rpartition(".")[0]
    tree = _run_part(TREES[module]) if module in CARRIERS else TREES[module]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, base] if base else above)
            for alias in node.names:
                name = f"{base}.{alias.name}"
                yield name if name in SOURCES else base


def _layer(module: str) -> str:
    return module.removeprefix(PACKAGE).lstrip(".").partition(".")[0]


OURS = {
    module: {name for name in _imports(module) if name in SOURCES and name != module}
    for module in SOURCES
}


def test_every_module_has_a_layer() -> None:
    assert {_layer(module) for module in SOURCES} == set(RANK)


@pytest.mark.parametrize("module", sorted(SOURCES))
def test_nothing_is_imported_from_a_higher_layer(module: str) -> None:
    own = RANK[_layer(module)]
    higher = {name for name in OURS[module] if RANK[_layer(name)] > own}
    assert not higher


@pytest.mark.parametrize(("one", "other"), sorted(APART))
def test_layers_of_one_height_that_are_apart(one: str, other: str) -> None:
    for module, names in OURS.items():
        if _layer(module) in {one, other}:
            assert {_layer(name) for name in names} & {one, other} <= {_layer(module)}


def test_there_is_no_cycle() -> None:
    # Also inside a layer. Fails naming the cycle.
    assert set(TopologicalSorter(OURS).static_order()) == set(SOURCES)


def test_the_test_sees_imports_in_every_form() -> None:
    # So that an empty graph is no proof.
    assert f"{PACKAGE}.key_schema" in OURS[f"{PACKAGE}.models.agent"]
    assert f"{PACKAGE}.models.base" in OURS[f"{PACKAGE}.models.agent"]
    assert f"{PACKAGE}.quill" in OURS[f"{PACKAGE}.testing"]
    assert PACKAGE in OURS[f"{PACKAGE}.command.cli"]
    assert f"{PACKAGE}.hubspot.body" in OURS[f"{PACKAGE}.hubspot"]


# What happens in one place.


def _users_of(*names: str) -> set[str]:
    """The modules that import one of the names, or something in it."""
    return {
        module
        for module in SOURCES
        for imported in _imports(module)
        if any(imported == name or imported.startswith(f"{name}.") for name in names)
    }


def _readers_of_the_environment() -> Iterator[str]:
    for module, tree in TREES.items():
        for node in ast.walk(tree):
            named = node.attr if isinstance(node, ast.Attribute) else None
            if isinstance(node, ast.ImportFrom) and node.module == "os":
                named = next((alias.name for alias in node.names), None)
            if named in {"environ", "environb", "getenv", "getenvb"}:
                yield module


def test_the_environment_is_read_in_one_place() -> None:
    assert set(_readers_of_the_environment()) == {f"{PACKAGE}.settings"}
    assert _users_of("dotenv") == {f"{PACKAGE}.settings"}


def test_botocore_is_known_in_one_place() -> None:
    assert _users_of("botocore", "boto3") == {
        f"{PACKAGE}.client",
        f"{PACKAGE}.service_errors",
    }


def test_pynamodb_is_known_to_the_models_alone() -> None:
    users = _users_of("pynamodb", "pynamodb_attributes")
    assert users == {
        f"{PACKAGE}.attributes",
        f"{PACKAGE}.models.base",
        f"{PACKAGE}.models.bridge",
        f"{PACKAGE}.models.indexes",
        f"{PACKAGE}.models.prepared",
    }


def test_keys_are_composed_in_one_place() -> None:
    composing = {"compose", "compose_order", "prefix", "prefix_end", "escape"}
    users = {
        module
        for module, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        and node.module == f"{PACKAGE}.keys"
        and composing & {alias.name for alias in node.names}
    }
    assert users == {f"{PACKAGE}.key_schema"}


def test_the_time_is_asked_for_in_one_place() -> None:
    def asks(node: ast.AST) -> bool:
        return (
            isinstance(node, ast.Attribute)
            and node.attr in {"now", "utcnow", "today"}
            and isinstance(node.value, ast.Name)
            and node.value.id in {"datetime", "date"}
        )

    askers = {
        module for module, tree in TREES.items() if any(asks(node) for node in ast.walk(tree))
    }
    assert askers == {f"{PACKAGE}.clock"}


def test_nothing_is_imported_from_tests() -> None:
    tools = ("pytest", "hypothesis", "freezegun")
    assert _users_of("tests", *tools) == {f"{PACKAGE}.pytest_plugin"}
    assert _users_of("tests") == set()


def test_the_pytest_plugin_imports_nothing_of_the_package_when_it_is_loaded() -> None:
    # Every run of pytest loads it, also where no test asks for a fixture of it.
    loaded = _loads(f"{PACKAGE}.pytest_plugin")
    ours = {each for each in loaded if each.partition(".")[0] == PACKAGE}
    assert ours == {PACKAGE, f"{PACKAGE}.pytest_plugin"}
    assert not loaded & {"botocore", "pynamodb", "psutil", "secrets"}


def _loads(module: str) -> set[str]:
    code = f"import sys, {module}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_no_module_is_a_drawer_for_everything() -> None:
    names = {module.rpartition(".")[2] for module in SOURCES}
    assert not names & {"utils", "util", "helpers", "common", "misc", "core"}


def test_a_module_can_be_read_in_one_sitting() -> None:
    lengths = {
        module: len(path.read_text(encoding="utf-8").splitlines())
        for module, path in SOURCES.items()
    }
    assert {module: length for module, length in lengths.items() if length > 400} == {}


@pytest.mark.parametrize("module", sorted(SOURCES))
def test_every_module_says_what_it_is(module: str) -> None:
    assert ast.get_docstring(TREES[module])
