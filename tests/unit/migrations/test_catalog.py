"""The catalog of migrations."""

from __future__ import annotations

import ast
import hashlib
import subprocess
import sys
import zipfile
from importlib import import_module
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quill_models.errors import InvalidMigrations, InvalidValue
from quill_models.migrations import Migration, catalog, versions, write_new
from tests.unit.migrations.files import EMPTY_UP, numbered, package_of, write_migration

ROOT = Path(__file__).parents[3]
SHIPPED = sorted(Path(str(versions.__file__)).parent.glob("0*.py"))


def find(folder: Path) -> list[Migration]:
    return catalog.find(package_of(folder))


def test_find_package_versions_returns_them_in_order() -> None:
    found = catalog.find()
    assert [f"{each.name}.py" for each in found] == [path.name for path in SHIPPED]
    assert [each.number for each in found] == list(range(1, len(SHIPPED) + 1))
    assert [each.description for each in found[:3]] == [
        "create the table",
        "store the number of shards",
        "list metrics by day",
    ]


def test_find_package_versions_have_the_recorded_checksums() -> None:
    assert [each.checksum for each in catalog.find()[:3]] == [
        "3786d72c059c4b86cb5a5d71d134882341b0b96502ff1c2e9807696264ae9236",
        "ea03b374e9f5e85bda9a7beb7c88688760e9867f9154ff1e3c073b7dd9aafe7f",
        "cf2c3f2099719f76eaabae446e5ce190a00bc195e00a1b7d45721bf30e752a26",
    ]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_migration_module_has_only_definitions(path: Path) -> None:
    module = import_module(f"{versions.__name__}.{path.stem}")
    assert callable(module.up)
    docstring, *body = ast.parse(path.read_text()).body
    assert isinstance(docstring, ast.Expr)
    defines = ast.Import | ast.ImportFrom | ast.Assign | ast.FunctionDef | ast.If
    assert [node for node in body if not isinstance(node, defines)] == []


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_migration_module_imports_nothing_of_the_package(path: Path) -> None:
    tree = ast.parse(path.read_text())
    only_for_types = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            text = ast.unparse(node)
            if id(node) in only_for_types:
                allowed = {
                    "from quill_models.migrations import Step",
                    "from collections.abc import Mapping",
                }
                assert text in allowed
            else:
                assert "quill_models" not in text
                assert "from ." not in text


def test_import_of_the_package_opens_no_migration() -> None:
    program = (
        "import sys\n"
        "opened = []\n"
        "note = lambda event, given: opened.append(str(given[0])) if event == 'open' else None\n"
        "sys.addaudithook(note)\n"
        "import quill_models\n"
        "from quill_models.quill import Quill\n"
        "Quill(quill_models.Settings())\n"
        "print(len(opened) > 10, [path for path in opened if '0001_' in path])\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert ran.stdout == "True []\n"


def test_checksum_other_line_ends_is_unchanged(tmp_path: Path) -> None:
    path = write_migration(tmp_path, "0001_a")
    text = path.read_bytes()
    (one,) = find(tmp_path)
    assert one.checksum == hashlib.sha256(text).hexdigest()
    path.write_bytes(text.replace(b"\n", b"\r\n"))
    (other,) = find(tmp_path)
    assert other.checksum == one.checksum
    path.write_bytes(text + b"\n# A remark.\n")
    (changed,) = find(tmp_path)
    assert changed.checksum != one.checksum


def test_find_file_changed_afterwards_keeps_imported_code(tmp_path: Path) -> None:
    path = write_migration(tmp_path, "0001_a", "def up(step):\n    step.append(1)\n")
    package = package_of(tmp_path)
    (migration,) = catalog.find(package)
    path.write_text("raise ValueError")
    done: list[int] = []
    migration.up(done)
    assert done == [1]
    assert catalog.find(package) == [migration]


@given(
    st.lists(st.integers(0, 9), min_size=1, max_size=6).filter(
        lambda numbers: sorted(numbers) != list(range(1, len(numbers) + 1))
    )
)
def test_find_gap_or_duplicate_number_raises_invalid_migrations(
    tmp_path_factory: pytest.TempPathFactory, numbers: list[int]
) -> None:
    folder = tmp_path_factory.mktemp("migrations")
    for at, number in enumerate(numbers):
        write_migration(folder, f"{number:04d}_{'abcdef'[at]}")
    with pytest.raises(InvalidMigrations, match=r"missing|twice"):
        find(folder)


def test_find_gap_error_names_number_and_neighbours(tmp_path: Path) -> None:
    numbered(tmp_path, 4)
    (tmp_path / "0003_m3.py").unlink()
    with pytest.raises(
        InvalidMigrations, match=r"0003 is missing between 0002_m2\.py and 0004_m4\.py"
    ):
        find(tmp_path)
    (tmp_path / "0001_m1.py").unlink()
    (tmp_path / "0004_m4.py").unlink()
    with pytest.raises(InvalidMigrations, match=r"0001 is missing before 0002_m2\.py"):
        find(tmp_path)


def test_find_duplicate_number_error_names_both_files(tmp_path: Path) -> None:
    write_migration(numbered(tmp_path, 2), "0002_other")
    with pytest.raises(
        InvalidMigrations, match=r"0002 exists twice: 0002_m2\.py and 0002_other\.py"
    ):
        find(tmp_path)


@pytest.mark.parametrize("name", ["1_a", "00001_a", "0001-a", "0001_", "0001_A", "0001"])
def test_find_malformed_file_name_raises_invalid_migrations(tmp_path: Path, name: str) -> None:
    path = write_migration(numbered(tmp_path, 1), name)
    with pytest.raises(InvalidMigrations, match="not a valid name") as raised:
        find(tmp_path)
    assert str(path) in str(raised.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('DESCRIPTION = "a"\n', "no function up"),
        (EMPTY_UP, "DESCRIPTION"),
        (f'DESCRIPTION = ""\n{EMPTY_UP}', "DESCRIPTION"),
        (f"DESCRIPTION = 7\n{EMPTY_UP}", "DESCRIPTION"),
        (f"DESCRIPTION: str\n{EMPTY_UP}", "DESCRIPTION"),
        ("def up(step:\n", "cannot be imported"),
        ("\0", "cannot be imported"),
        ("1 / 0\n", "cannot be imported"),
    ],
)
def test_find_module_without_migration_error_names_it(
    tmp_path: Path, text: str, expected: str
) -> None:
    path = tmp_path / "0001_a.py"
    path.write_text(text)
    with pytest.raises(InvalidMigrations, match=expected) as raised:
        find(tmp_path)
    assert path.stem in str(raised.value)


def test_find_folder_without_migrations_raises_invalid_migrations(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "not-there"):
        with pytest.raises(InvalidMigrations, match="has no migrations"):
            find(folder)


# Writing a new migration.


def test_write_new_migration_has_next_number(tmp_path: Path) -> None:
    path = write_new("  List agents by e-mail,\n quickly ", numbered(tmp_path, 2))
    assert path == tmp_path / "0003_list_agents_by_e_mail_quickly.py"
    new = find(tmp_path)[-1]
    assert (new.number, new.description) == (3, "List agents by e-mail, quickly")


@given(st.text(max_size=100))
def test_write_new_any_words_give_a_migration_or_invalid_value(
    tmp_path_factory: pytest.TempPathFactory, words: str
) -> None:
    folder = numbered(tmp_path_factory.mktemp("migrations"), 1)
    try:
        write_new(words, folder)
    except InvalidValue:
        assert len(find(folder)) == 1
    else:
        new = find(folder)[-1]
        assert new.description == " ".join(words.split())


@pytest.mark.parametrize("folder", ["not-there", "empty"])
def test_write_new_folder_without_migrations_raises(tmp_path: Path, folder: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidMigrations, match="in a checkout"):
        write_new("words", tmp_path / folder)
    assert list((tmp_path / "empty").iterdir()) == []


# The wheel.


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel and return the folder of its unpacked content."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT,
        capture_output=True,
        check=True,
        timeout=120,
    )
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def test_wheel_contains_exactly_the_migrations(installed: Path) -> None:
    shipped = installed / "quill_models" / "migrations" / "versions"
    assert {path.name for path in shipped.iterdir()} == {"__init__.py"} | {
        path.name for path in SHIPPED
    }
    for path in SHIPPED:
        assert (shipped / path.name).read_bytes() == path.read_bytes()
    assert not (installed / "migrations").exists()


def test_wheel_contains_py_typed(installed: Path) -> None:
    assert (installed / "quill_models" / "py.typed").is_file()
