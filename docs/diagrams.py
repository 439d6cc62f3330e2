"""The diagrams of the explanations, generated as SVG.

``python docs/diagrams.py`` writes them to ``docs/_static``. A test compares the files with what
this module generates, and the arrows of the state diagrams with the tables on their pages.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple
from xml.sax.saxutils import escape, quoteattr

FOLDER = Path(__file__).parent / "_static"

STYLE = (Path(__file__).parent / "diagrams.css").read_text()


class Box(NamedTuple):
    """A rectangle with text, around its centre."""

    x: int
    y: int
    lines: tuple[str, ...]
    look: str = "box"
    width: int = 130

    def svg(self) -> str:
        """Return the rectangle and its text."""
        height = 24 + 18 * len(self.lines)
        corner = f'x="{self.x - self.width / 2:g}" y="{self.y - height / 2:g}"'
        rect = (
            f'  <rect class="{self.look}" {corner} width="{self.width}" height="{height}" rx="6"/>'
        )
        first = self.y + 5 - 9 * (len(self.lines) - 1)
        texts = [
            f'  <text class="name" x="{self.x}" y="{first + 18 * number}">{escape(line)}</text>'
            if number == 0
            else f'  <text x="{self.x}" y="{first + 18 * number}">{escape(line)}</text>'
            for number, line in enumerate(self.lines)
        ]
        return "\n".join([rect, *texts])


class Label(NamedTuple):
    """Lines of text beside an arrow."""

    x: int
    y: int
    lines: tuple[str, ...]
    anchor: str = ""

    def svg(self) -> str:
        """Return the text."""
        look = f"label {self.anchor}".strip()
        return "\n".join(
            f'  <text class="{look}" x="{self.x}" y="{self.y + 17 * number}">{escape(line)}</text>'
            for number, line in enumerate(self.lines)
        )


class Arrow(NamedTuple):
    """A path from one state to another, with what causes it."""

    path: str
    label: Label | None = None
    before: str = ""
    after: str = ""

    def svg(self) -> str:
        """Return the arrow without its label."""
        ends = f" data-from={quoteattr(self.before)} data-to={quoteattr(self.after)}"
        return (
            f'  <path class="arrow"{ends if self.after else ""} d="{self.path}"'
            ' marker-end="url(#head)"/>'
        )


@dataclass
class Diagram:
    """Boxes and arrows, with a title and a description for screen readers."""

    name: str
    title: str
    description: str
    size: tuple[int, int]
    boxes: list[Box] = field(default_factory=list)
    arrows: list[Arrow] = field(default_factory=list)

    def svg(self) -> str:
        """Return the complete file."""
        parts = [arrow.svg() for arrow in self.arrows]
        parts += [box.svg() for box in self.boxes]
        parts += [arrow.label.svg() for arrow in self.arrows if arrow.label]
        return svg(self.title, self.description, self.size, parts)


_FILE = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" {labelled}>
  <title id="title">{title}</title>
  <desc id="description">{description}</desc>
  <style>
{style}  </style>
  <defs>
    <marker id="head" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" markerHeight="8" {turn}>
      <path class="head" d="M0 0 10 5 0 10z"/>
    </marker>
  </defs>
  <rect class="page" x="0.5" y="0.5" width="{inner_width}" height="{inner_height}" rx="8"/>
{parts}
</svg>
"""


def svg(title: str, description: str, size: tuple[int, int], parts: Iterable[str]) -> str:
    """Return a complete file with a frame."""
    width, height = size
    return _FILE.format(
        width=width,
        height=height,
        inner_width=width - 1,
        inner_height=height - 1,
        labelled='aria-labelledby="title description"',
        turn='orient="auto-start-reverse"',
        title=escape(title),
        description=escape(description),
        style=STYLE,
        parts="\n".join(parts),
    )


EVENT = Diagram(
    "event-states",
    "The states of a webhook event",
    "A recorded event is pending. claim makes it processing. complete makes it processed, "
    "fail makes it failed or, at the last attempt, dead. release makes it pending again, and "
    "so does replay of a failed or dead event. A failed event is claimed again after its "
    "backoff, and a processing event after its lease has expired.",
    (920, 372),
    [
        Box(54, 130, ("no event",), "absent", 84),
        Box(220, 130, ("pending",), "main"),
        Box(500, 130, ("processing",), "main"),
        Box(820, 130, ("processed",), "good"),
        Box(500, 290, ("failed",)),
        Box(820, 290, ("dead",), "bad"),
    ],
    [
        Arrow("M96 130H154", Label(126, 119, ("record",)), "no event", "pending"),
        Arrow("M285 120H434", Label(360, 110, ("claim",)), "pending", "processing"),
        Arrow("M435 142H286", Label(360, 162, ("release",)), "processing", "pending"),
        Arrow("M565 130H754", Label(660, 120, ("complete",)), "processing", "processed"),
        Arrow("M482 151V268", Label(474, 198, ("fail",), "right"), "processing", "failed"),
        Arrow(
            "M518 269V152",
            Label(528, 238, ("claim, after", "the backoff"), "left"),
            "failed",
            "processing",
        ),
        Arrow(
            "M562 151 756 275",
            Label(676, 196, ("fail at the last attempt;", "claim after the last attempt"), "left"),
            "processing",
            "dead",
        ),
        Arrow(
            "M464 109C440 46 560 46 538 107",
            Label(500, 46, ("claim, if the lease has expired",)),
            "processing",
            "processing",
        ),
        Arrow(
            "M435 290C320 290 232 250 224 152", Label(312, 256, ("replay",)), "failed", "pending"
        ),
        Arrow(
            "M820 311V330Q820 344 806 344H214Q200 344 200 330V152",
            Label(660, 348, ("replay",)),
            "dead",
            "pending",
        ),
    ],
)

JOB_RUN = Diagram(
    "job-run-states",
    "The states of a job run",
    "start makes a new run running. It becomes succeeded when its block is left, failed if an "
    "exception leaves the block, and cancelled by cancel. start runs a failed or cancelled "
    "run again, a succeeded run only with force. A running run whose lease has expired is "
    "taken over by start.",
    (920, 336),
    [
        Box(90, 124, ("no run",), "absent", 110),
        Box(420, 124, ("running",), "main"),
        Box(800, 124, ("succeeded",), "good"),
        Box(270, 276, ("failed",), "bad"),
        Box(570, 276, ("cancelled",)),
    ],
    [
        Arrow("M145 124H354", Label(248, 114, ("start",)), "no run", "running"),
        Arrow("M485 114H734", Label(610, 104, ("the block is left",)), "running", "succeeded"),
        Arrow("M735 136H486", Label(610, 156, ("start(force=True)",)), "succeeded", "running"),
        Arrow(
            "M370 145 262 254",
            Label(298, 192, ("an exception", "leaves the block"), "right"),
            "running",
            "failed",
        ),
        Arrow("M300 255 402 147", Label(366, 226, ("start",), "left"), "failed", "running"),
        Arrow("M440 145 540 254", Label(476, 226, ("cancel",), "right"), "running", "cancelled"),
        Arrow("M578 255 472 147", Label(546, 200, ("start",), "left"), "cancelled", "running"),
        Arrow(
            "M384 103C360 40 480 40 458 101",
            Label(420, 40, ("start, if the lease has expired",)),
            "running",
            "running",
        ),
    ],
)

WRITE = Diagram(
    "write-path",
    "The path of a write",
    "A write sends an item with a condition and a token. If the write is done, it has its "
    "outcome. If the response is lost, the same request is retried until the deadline. If the "
    "condition fails, DynamoDB returns the stored item. A stored item with the token of this "
    "write is its own: the write was done. Otherwise the contents are compared: duplicate, "
    "unchanged, conflict or stale, or a new condition on the stored item.",
    (920, 490),
    [
        Box(120, 84, ("record or put",), "main", 190),
        Box(420, 84, ("send the request", "item, condition, token"), "main", 230),
        Box(790, 84, ("created or updated",), "good", 190),
        Box(120, 212, ("no response", "retry the same request"), "box", 190),
        Box(120, 330, ("AnswerLost", "or Throttled"), "bad", 190),
        Box(420, 212, ("stored item", "has it this write's token?"), "box", 230),
        Box(790, 212, ("created or updated", "by an earlier attempt"), "good", 190),
        Box(420, 330, ("compare the contents",), "box", 230),
        Box(790, 330, ("replace the item", "if it is unchanged since"), "box", 190),
        Box(220, 448, ("duplicate", "or unchanged"), "good", 150),
        Box(420, 448, ("conflict", "nothing is written"), "bad", 150),
        Box(620, 448, ("stale", "nothing is written"), "box", 150),
    ],
    [
        Arrow("M215 84H304"),
        Arrow("M535 84H694", Label(615, 74, ("done",))),
        Arrow("M340 114 216 184"),
        Arrow("M190 182 304 114", Label(276, 168, ("until the deadline",), "left")),
        Arrow("M120 242V299", Label(130, 276, ("the deadline has passed",), "left")),
        Arrow(
            "M420 114V181",
            Label(430, 144, ("the condition failed; the error", "returns the stored item"), "left"),
        ),
        Arrow("M535 212H694", Label(615, 202, ("yes",))),
        Arrow("M420 242V308", Label(430, 280, ("no",), "left")),
        Arrow("M535 330H694", Label(615, 304, ("put: the stored", "item is older"))),
        Arrow("M885 330H891Q905 330 905 316V38Q905 24 891 24H434Q420 24 420 38V53"),
        Arrow("M370 351 262 417", Label(290, 384, ("same content",), "right")),
        Arrow("M420 351V417", Label(420, 390, ("record: other content",))),
        Arrow("M470 351 578 417", Label(552, 384, ("put: the stored item is newer",), "left")),
    ],
)

DIAGRAMS = (EVENT, JOB_RUN, WRITE)


if __name__ == "__main__":
    for diagram in DIAGRAMS:
        (FOLDER / f"{diagram.name}.svg").write_text(diagram.svg())
