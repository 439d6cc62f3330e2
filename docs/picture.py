"""The picture of the item collections in ``explanation/data-model.md``, drawn from the models.

``python docs/picture.py`` draws it anew; a test sees to it that it is the one the models give.
"""

from __future__ import annotations

import re
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

from quill_models.models import (
    INDEXES,
    Agent,
    Interaction,
    JobRun,
    Metric,
    QuillModel,
    WebhookEvent,
)
from quill_models.repositories.external_ids import put_claims

PAGE = Path(__file__).parent / "explanation" / "data-model.md"
BEGIN, END = "<!-- drawn by docs/picture.py -->\n", "<!-- end of the drawing -->\n"
NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
SHARDS = 4


def examples() -> list[QuillModel]:
    """One or two of each kind, that belong together."""
    return [
        Agent(agent_id="ada", name="Ada", team="north", external_ids={"hubspot": "1184062"}),
        *(
            Interaction(
                interaction_id=f"call-{number}",
                source="hubspot",
                external_id=f"700{number}",
                agent_id="ada",
                contact_id="847",
                started_at=NOON + timedelta(hours=number),
            )
            for number in (1, 2)
        ),
        *(
            Metric(
                scope=scope,
                name="calls",
                grain="day",
                bucket_start=NOON.replace(hour=0),
                value=number,
            )
            for scope, number in (("agent:ada", 2), ("global", 9))
        ),
        *(
            JobRun(
                job_name="sync",
                window=window,
                run_id="1",
                owner="worker",
                status=status,
                started_at=NOON,
                lease_expires_at=NOON + timedelta(minutes=5),
                finished_at=None if status == "running" else NOON,
            )
            for window, status in (("2026-11-21", "succeeded"), ("2026-11-22", "running"))
        ),
        *(
            WebhookEvent(
                source="hubspot",
                event_key=key,
                event_type="contact.creation",
                object_type="contact",
                object_id="847",
                occurred_at=NOON + timedelta(minutes=number),
                received_at=NOON + timedelta(minutes=number, seconds=1),
                payload={},
                status=status,
            )
            for number, (key, status) in enumerate((("31.aX…", "pending"), ("32.f9…", "failed")))
        ),
    ]


def drawn() -> str:
    """The picture, as the page holds it."""
    collections: dict[str, dict[str, dict[str, str]]] = {
        name: defaultdict(dict) for name in ("table", *INDEXES)
    }
    for model in examples():
        item = model.to_item(SHARDS)
        kind = f"{model.KIND} {getattr(model, model.IDENTITY[-1], '')}".strip()
        collections["table"][model.key().pk][model.key().sk] = kind
        for claim in put_claims(model, item):
            collections["table"][claim.key.pk][claim.key.sk] = f"claim of {kind}"
        for index, (pk, sk) in model.lists(SHARDS).items():
            collections[index][pk][sk] = kind
    lines: list[str] = []
    for name, partitions in collections.items():
        lines.append(name)
        for pk, items in sorted(partitions.items()):
            lines.append(f"  {pk}")
            lines += [f"    {sk:<52} {kind}" for sk, kind in sorted(items.items())]
    return BEGIN + "\n```text\n" + "\n".join(lines) + "\n```\n\n" + END


def redrawn(page: str) -> str:
    """The page with the picture in it."""
    return re.sub(
        re.escape(BEGIN) + ".*?" + re.escape(END), lambda _: drawn(), page, flags=re.DOTALL
    )


if __name__ == "__main__":
    PAGE.write_text(redrawn(PAGE.read_text()))
