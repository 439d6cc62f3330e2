"""Sphinx configuration of the site: ``sphinx-build -W -n docs build/docs``."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from docutils import nodes
from pygments.lexers.special import TextLexer
from sphinx.application import Sphinx
from sphinx.domains.python import PyXRefRole
from sphinx.environment import BuildEnvironment
from sphinx.util import logging

from quill_models import __version__

sys.path.insert(0, str(Path(__file__).parent))

from command_reference import as_markdown

project = "quill-models"
release = __version__
copyright = "the authors of quill-models"  # noqa: A001 -- the name that Sphinx reads

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "sphinx_design",
]

html_theme = "furo"
html_title = project
html_copy_source = False
html_show_copyright = False
html_show_sphinx = False

# The copy button of a console block skips the prompts and the output.
copybutton_prompt_text = "$ "
copybutton_line_continuation_character = "\\"

myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence"]
# Smart quotes would turn the hyphens of `--json` into a dash.
smartquotes = False
highlight_language = "none"

# Docstrings write Python names in single backticks, without the module.
default_role = "py:named"
autodoc_default_options = {"members": True}
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
toc_object_entries_show_parents = "hide"
autodoc_preserve_defaults = True
# Show the name of the alias instead of its definition.
autodoc_type_aliases = {
    "Clock": "quill_models.values.clock.Clock",
    "Mark": "quill_models.repositories.watermark.Mark",
    "Handler": "quill_models.repositories.worker.Handler",
}
python_maximum_signature_line_length = 100
napoleon_numpy_docstring = False
napoleon_attr_annotations = False

# Names of other packages are not linked, so that the build needs no other site.
nitpick_ignore_regex = [
    ("py:class", r"(collections|datetime|decimal|enum|opentelemetry|pathlib|threading|typing)\..*"),
    # An alias above in a union with `None`.
    ("py:class", "TypeAliasForwardRef"),
    # Type variables.
    ("py:(class|obj)", r"quill_models\.\w+\.\w+\.M"),
]


_log = logging.getLogger(__name__)


class _Named(PyXRefRole):
    """A link to a name of this package, found by the end of the full name."""

    def process_link(
        self,
        env: BuildEnvironment,
        refnode: nodes.Element,
        has_explicit_title: bool,  # noqa: FBT001 -- the signature of Sphinx
        title: str,
        target: str,
    ) -> tuple[str, str]:
        title, target = super().process_link(env, refnode, has_explicit_title, title, target)
        refnode["reftype"], refnode["refspecific"] = "obj", True
        return title, target


def _without_internal_parameters(
    _app: Sphinx,
    what: str,
    name: str,
    _obj: Any,
    _options: Any,
    signature: str | None,
    returns: str | None,
) -> tuple[str, str] | None:
    """Hide parameters of classes that `Quill` creates, and of fixtures that pytest calls."""
    if what == "class" and (signature or "").startswith("(table:"):
        return "", ""
    if name.startswith("quill_models.pytest_plugin."):
        # A test gets the value that the fixture yields.
        return "", re.sub(r"^[\w.~]*Iterator\[(.*)\]$", r"\1", returns or "")
    return None


def _warn_of_docstring_types(
    _app: Sphinx, _what: str, name: str, _obj: Any, _options: Any, lines: list[str]
) -> None:
    """Warn if napoleon parsed the words before a colon as a type. Annotations have the types."""
    for line in lines:
        if line.startswith((":type:", ":rtype:")):
            _log.warning("%s: remove the colon after %r", name, line.split(":")[2].strip())


def _with_commands(_app: Sphinx, docname: str, source: list[str]) -> None:
    if docname == "reference/command":
        source[0] += "\n" + as_markdown()


def setup(app: Sphinx) -> None:
    """Register the role, the lexer and the event handlers."""
    app.add_role_to_domain("py", "named", _Named())
    app.add_lexer("powerquery", TextLexer)
    app.connect("autodoc-process-signature", _without_internal_parameters)
    # napoleon has priority 500 and must run first.
    app.connect("autodoc-process-docstring", _warn_of_docstring_types, priority=900)
    app.connect("source-read", _with_commands)
