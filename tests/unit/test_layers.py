"""A module imports only from layers above its own in the list."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from graphlib import TopologicalSorter
from itertools import chain
from pathlib import Path

import quill_models

ROOT = Path(quill_models.__file__).parent
PACKAGE = "quill_models"

LAYERS: tuple[tuple[str, ...], ...] = (
    ("telemetry", "values"),
    ("local", "settings"),
    ("dynamodb",),
    ("models", "reads", "writes"),
    ("hubspot", "repositories", "schema"),
    ("migrations",),
    ("quill",),
    ("export", "health", "loading", "testing"),
    ("command", "pytest_plugin"),
)
FACADES = ("", "errors")  # Modules of public names. No module of the package imports them.
RANK = {name: rank for rank, layer in enumerate(LAYERS) for name in layer}


def _module_of(path: Path) -> str:
    parts = [PACKAGE, *path.relative_to(ROOT).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


SOURCES = {_module_of(path): path for path in ROOT.rglob("*.py") if "samples" not in path.parts}
TREES = {
    module: ast.parse(path.read_text(encoding="utf-8"), str(path))
    for module, path in SOURCES.items()
}
# The names of a lazy module are in the stub beside it.
STUBS = {
    module: ast.parse(stub.read_text(encoding="utf-8"), str(stub))
    for module, path in SOURCES.items()
    if (stub := path.with_suffix(".pyi")).exists()
}


def _imports(module: str) -> Iterator[str]:
    """Yield the full names of all imports of a module, including those for types."""
    package = module if SOURCES[module].name == "__init__.py" else module.rpartition(".")[0]
    trees = [tree[module] for tree in (TREES, STUBS) if module in tree]
    for node in chain.from_iterable(map(ast.walk, trees)):
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


def test_layers_name_every_folder_and_module_once() -> None:
    named = [name for layer in (*LAYERS, FACADES) for name in layer]
    assert sorted(named) == sorted({_layer(module) for module in SOURCES})


def test_layers_top_level_has_few_modules() -> None:
    assert {path.stem for path in ROOT.glob("*.py")} == {
        "__init__",
        "errors",
        "loading",
        "pytest_plugin",
        "quill",
        "settings",
        "testing",
    }
    assert len(LAYERS) <= 10


def test_layers_imports_come_from_lower_layers() -> None:
    upward = {
        (module, name)
        for module, names in OURS.items()
        for name in names
        if (own := _layer(module)) not in FACADES
        and (other := _layer(name)) != own
        and RANK.get(other, len(LAYERS)) >= RANK[own]
    }
    assert upward == set()


def test_layers_have_no_cycle() -> None:
    # Raises an error with the cycle, also within a layer.
    assert set(TopologicalSorter(OURS).static_order()) == set(SOURCES)


def test_layers_test_reads_imports_of_every_form() -> None:
    # Otherwise an empty graph would pass the tests.
    assert f"{PACKAGE}.models.key_schema" in OURS[f"{PACKAGE}.models.agent"]
    assert f"{PACKAGE}.models.base" in OURS[f"{PACKAGE}.models.agent"]
    assert f"{PACKAGE}.models.agent" in OURS[f"{PACKAGE}.models"]
    assert f"{PACKAGE}.hubspot.body" in OURS[f"{PACKAGE}.hubspot"]


def _importers_of(*names: str) -> set[str]:
    """Return the modules that import one of the names, or a name in one of them."""
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


def test_layers_environment_is_read_in_one_place() -> None:
    assert set(_readers_of_the_environment()) == {f"{PACKAGE}.settings"}
    assert _importers_of("dotenv") == {f"{PACKAGE}.settings"}


def test_layers_botocore_is_imported_in_one_place() -> None:
    assert _importers_of("botocore", "boto3") == {
        f"{PACKAGE}.dynamodb.client",
        f"{PACKAGE}.dynamodb.connection",
        f"{PACKAGE}.dynamodb.service_errors",
        f"{PACKAGE}.dynamodb.transport",
    }


def test_layers_pynamodb_is_imported_by_models_only() -> None:
    importers = _importers_of("pynamodb", "pynamodb_attributes")
    assert importers == {
        f"{PACKAGE}.models.attributes",
        f"{PACKAGE}.models.base",
        f"{PACKAGE}.models.indexes",
        f"{PACKAGE}.models.field_codec",
        f"{PACKAGE}.models.pynamodb_connection",
    }


def test_layers_keys_are_composed_in_one_place() -> None:
    composing = {"compose", "compose_order", "prefix", "prefix_end", "escape"}
    importers = {
        module
        for module, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        and node.module == f"{PACKAGE}.values.keys"
        and composing & {alias.name for alias in node.names}
    }
    assert importers == {f"{PACKAGE}.models.key_schema"}


def test_layers_time_is_read_in_one_place() -> None:
    def reads_time(node: ast.AST) -> bool:
        return (
            isinstance(node, ast.Attribute)
            and node.attr in {"now", "utcnow", "today"}
            and isinstance(node.value, ast.Name)
            and node.value.id in {"datetime", "date"}
        )

    readers = {
        module for module, tree in TREES.items() if any(reads_time(node) for node in ast.walk(tree))
    }
    assert readers == {f"{PACKAGE}.values.clock"}


def test_layers_package_imports_no_tests() -> None:
    tools = ("pytest", "hypothesis", "freezegun")
    assert _importers_of("tests", *tools) == {f"{PACKAGE}.pytest_plugin"}
    assert _importers_of("tests") == set()


def test_layers_pytest_plugin_imports_nothing_when_loaded() -> None:
    # Every run of pytest loads it, also if no test uses its fixtures.
    loaded = _loads(f"{PACKAGE}.pytest_plugin")
    ours = {each for each in loaded if each.partition(".")[0] == PACKAGE}
    assert ours == {PACKAGE, f"{PACKAGE}.pytest_plugin"}
    assert not loaded & {"botocore", "pynamodb", "psutil", "secrets"}


def _loads(module: str) -> set[str]:
    code = f"import sys, {module}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_layers_no_module_is_named_utils() -> None:
    names = {module.rpartition(".")[2] for module in SOURCES}
    assert not names & {"utils", "util", "helpers", "common", "misc", "core"}


def test_layers_modules_have_at_most_400_lines() -> None:
    lengths = {
        module: len(path.read_text(encoding="utf-8").splitlines())
        for module, path in SOURCES.items()
    }
    assert {module: length for module, length in lengths.items() if length > 400} == {}


def test_layers_modules_have_a_docstring() -> None:
    assert [module for module, tree in TREES.items() if not ast.get_docstring(tree)] == []


# A module of the command has the name of its subcommand; `errors` is the facade of `values.errors`.
SHARED_NAMES = {"errors", "schema"}


def test_layers_a_name_means_one_thing() -> None:
    classes = Counter(
        node.name
        for tree in TREES.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and node.name != "Meta"  # Each PynamoDB model has one.
    )
    modules = Counter(path.stem for path in SOURCES.values() if path.name != "__init__.py")
    assert {name for name, number in (classes + modules).items() if number > 1} <= SHARED_NAMES
