"""What the models share: one table, composed keys, strict fields, equality by value."""

from __future__ import annotations

from abc import abstractmethod
from datetime import datetime
from typing import Any, ClassVar, Never, NoReturn, Self, TypeVar, overload

from pynamodb.attributes import Attribute
from pynamodb.connection.table import TableConnection
from pynamodb.constants import STRING
from pynamodb.expressions.condition import Condition
from pynamodb.models import BatchWrite, Model

from quill_models.dynamodb.current_table import current_table, known_shards
from quill_models.dynamodb.items import RawItem, new_token
from quill_models.dynamodb.table import Table
from quill_models.models.attributes import Expiry, Instant, Text, optional
from quill_models.models.indexes import ByParent, BySecond, ByStatus
from quill_models.models.prepared import Prepared
from quill_models.models.pynamodb_connection import CurrentMeta, shared_connection
from quill_models.settings import Settings
from quill_models.values.errors import InvalidValue
from quill_models.values.keys import Key

__all__ = ["QuillModel"]

T = TypeVar("T")


class _ComposedKey(Attribute[T]):
    """A key attribute: always composed from the fields, so that it cannot go stale."""

    attr_type = STRING

    @overload
    def __get__(self, instance: None, owner: Any) -> Self: ...
    @overload
    def __get__(self, instance: Any, owner: Any) -> T: ...
    def __get__(self, instance: Any, owner: Any) -> Any:
        if instance is None:
            return self
        return instance.composed_keys(known_shards()).get(self.attr_name)

    # Nothing may be set, which type checkers tell, too.
    def __set__(  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
        self,
        instance: Any,
        value: Never,
    ) -> None:
        raise InvalidValue(
            f"{self.attr_name} is composed from the fields of {type(instance).__name__}; "
            "set those instead"
        )


class QuillModel(Model):
    """The base of the models. Not stored itself."""

    # PynamoDB's own names every setting, and takes any that is left out from its defaults.
    class Meta(metaclass=CurrentMeta):  # pyright: ignore[reportIncompatibleVariableOverride]
        billing_mode = "PAY_PER_REQUEST"
        stream_view_type = "NEW_AND_OLD_IMAGES"

    KIND: ClassVar[str]

    pk = _ComposedKey[str](hash_key=True)
    sk = _ComposedKey[str](range_key=True)
    gsi1pk = _ComposedKey[str | None](null=True)
    gsi1sk = _ComposedKey[str | None](null=True)
    gsi2pk = _ComposedKey[str | None](null=True)
    gsi2sk = _ComposedKey[str | None](null=True)
    gsi3pk = _ComposedKey[str | None](null=True)
    gsi3sk = _ComposedKey[str | None](null=True)
    kind = Text()
    created_at = optional(Instant())
    updated_at = optional(Instant())
    ttl = optional(Expiry(null=True))
    write_token = optional(Text())
    created_token = optional(Text())

    gsi1 = ByParent()
    gsi2 = BySecond()
    gsi3 = ByStatus()

    def __init__(self, **fields: Any) -> None:
        """Made by the models, whose constructors name and type each field."""
        for name, attribute in self._prepared().fields.items():
            if fields.get(name) is None and not attribute.null:
                raise InvalidValue(f"{type(self).__name__} needs {name}")
        super().__init__(kind=self.KIND, **fields)
        # Attributes that a newer version of this package stored; they survive being rewritten.
        self.unknown: RawItem = {}
        self.validate()
        # Composing the keys finds identifiers that are too long, before any request.
        self.composed_keys(1)

    @abstractmethod
    def key(self) -> Key:
        """The primary key, composed from the identity."""

    @abstractmethod
    def lists(self, shards: int) -> dict[str, tuple[str, str]]:
        """The lists this item is in: index name to its partition and sort key there."""

    def validate(self) -> None:
        """Check what no single field can; raises `InvalidValue`."""

    def expires(self, settings: Settings, now: datetime) -> datetime | None:  # noqa: ARG002
        """When an item written now expires; ``None`` for never."""
        return None

    @property
    def version_time(self) -> datetime | None:
        """When the source last changed it; an older one never replaces a newer one."""
        return None

    # Keys and stored form.

    def composed_keys(self, shards: int) -> dict[str, str]:
        """Every key attribute of the item by name; indexes it is in no list of are left out."""
        pk, sk = self.key()
        keys = {"pk": pk, "sk": sk}
        for index, (index_pk, index_sk) in self.lists(shards).items():
            keys[f"{index}pk"] = index_pk
            keys[f"{index}sk"] = index_sk
        return keys

    def content(self) -> dict[str, Any]:
        """The fields that the caller gave, by name: what equality and `conflict` are about."""
        return {name: getattr(self, name) for name in self._prepared().fields}

    def to_item(self, shards: int) -> RawItem:
        """The item as it is stored, in DynamoDB's wire format."""
        item: RawItem = dict(self.unknown)
        for name, key in self.composed_keys(shards).items():
            item[name] = {"S": key}
        writers = self._prepared().writers
        for name, value in self.attribute_values.items():
            if value is not None:
                kind, serialize = writers[name]
                item[name] = {kind: value if serialize is None else serialize(value)}
        return item

    @classmethod
    def from_item(cls, item: RawItem) -> Self:
        """The model of a stored item. Attributes it does not know are kept in ``unknown``."""
        return cls._instantiate(item)

    def copy(self) -> Self:
        """An equal model of its own, so that storing one does not change the caller's."""
        copied = type(self).__new__(type(self))
        copied.attribute_values = dict(self.attribute_values)
        copied.unknown = dict(self.unknown)
        return copied

    def take_over(self, other: Self) -> None:
        """Become what another one is."""
        self.attribute_values = dict(other.attribute_values)
        self.unknown = dict(other.unknown)

    def stamp(
        self, table: Table, created_at: datetime | None = None, *, token: str | None = None
    ) -> None:
        """Set what every stored item carries: times, expiry and the token of this write.

        Args:
            table: gives the time and the settings.
            created_at, token: of its creation and of this write; by default now, and a new one.
        """
        # Fields may have been set since it was made.
        self.validate()
        now = table.clock()
        self.created_at = created_at or now
        self.updated_at = now
        self.ttl = self.expires(table.settings, now)
        if created_at is None:
            self.created_token = None
        elif self.created_token is None:
            self.created_token = self.write_token
        self.write_token = token or new_token()

    @classmethod
    def _prepared(cls) -> Prepared:
        prepared: Prepared | None = cls.__dict__.get("_prepared_once")
        if prepared is None:
            prepared = cls._prepared_once = Prepared.of(cls, _ComposedKey)
        return prepared

    _prepared_once: ClassVar[Prepared]

    @classmethod
    def field_names(cls) -> list[str]:
        """The fields that the constructor takes, in its order."""
        return list(cls._prepared().fields)

    # PynamoDB's own calls.

    @classmethod
    def _get_connection(cls) -> TableConnection:
        return shared_connection(current_table(), cls._get_schema)

    @classmethod
    def _instantiate(cls, attribute_values: RawItem) -> Self:
        # Past PynamoDB's constructor, which goes through all attributes to set their defaults; none
        # of ours has one.
        instance = cls.__new__(cls)
        instance.deserialize(attribute_values)
        return instance

    def deserialize(self, attribute_values: RawItem) -> None:
        """Take over a stored item; called by PynamoDB, too."""
        stored_kind = attribute_values.get("kind", {}).get("S")
        if stored_kind != self.KIND:
            raise InvalidValue(_other_kind(attribute_values, stored_kind, self.KIND))
        readers = self._prepared().readers
        values: dict[str, Any] = {}
        unknown: RawItem = {}
        for stored_name, stored in attribute_values.items():
            reader = readers.get(stored_name)
            if reader is None:
                unknown[stored_name] = stored
                continue
            name, kind, read = reader
            if name is None or "NULL" in stored:
                continue
            # Past the checks of assignment: they held when the value was stored.
            try:
                value = stored[kind]
                values[name] = value if read is None else read(value)
            except (ValueError, TypeError, KeyError, ArithmeticError) as error:
                raise InvalidValue(
                    f"{name} of the item {_place_of(attribute_values)} cannot be read as "
                    f"{type(getattr(type(self), name)).__name__}: {error!r}. If a newer version of "
                    "quill-models wrote it, read it with that; else mend the item or delete it: "
                    f"quill.store.delete(Key({_place_of(attribute_values)}))"
                ) from error
        self.attribute_values = values
        self.unknown = unknown

    def serialize(self, null_check: bool = True) -> RawItem:  # noqa: FBT001, FBT002, ARG002
        """The item as PynamoDB sends it."""
        return self.to_item(known_shards())

    def save(
        self, condition: Condition | None = None, *, add_version_condition: bool = True
    ) -> dict[str, Any]:
        """PynamoDB's unconditional put. The repositories' calls are the ones to prefer.

        One request.

        Args:
            condition: of PynamoDB's expressions, such as ``Agent.team.exists()``.
            add_version_condition: has no effect, as no model has a version attribute.

        Returns:
            What DynamoDB answered.

        Raises:
            InvalidValue: it has external ids, which only a repository can claim.
        """
        self.refuse_claims("save")
        self.prepare_save()
        return super().save(condition, add_version_condition=add_version_condition)

    def update(self, *_: Any, **__: Any) -> NoReturn:
        """Refused: an update of some attributes would leave the composed keys as they were.

        Raises:
            InvalidValue: always. No request.
        """
        raise InvalidValue(
            f"{type(self).__name__} cannot be updated attribute by attribute, as its keys would "
            "no longer say what it is. Set the fields and save() it, or use the repository's put."
        )

    def get_update_kwargs_from_instance(self, *_: Any, **__: Any) -> NoReturn:
        """Refused, as `update`."""
        self.update()

    def get_save_kwargs_from_instance(
        self,
        condition: Condition | None = None,
        return_values_on_condition_failure: str | None = None,
    ) -> dict[str, Any]:
        """PynamoDB's put in a transaction; refused as `save`."""
        self.refuse_claims("save")
        self.prepare_save()
        return super().get_save_kwargs_from_instance(condition, return_values_on_condition_failure)

    def delete(
        self, condition: Condition | None = None, *, add_version_condition: bool = True
    ) -> Any:
        """PynamoDB's delete. One request.

        Args:
            condition: of PynamoDB's expressions, such as ``Agent.team.exists()``.
            add_version_condition: has no effect, as no model has a version attribute.

        Returns:
            What DynamoDB answered.

        Raises:
            InvalidValue: it has external ids, which only a repository can free.
        """
        self.refuse_claims("delete")
        return super().delete(condition, add_version_condition=add_version_condition)

    def get_delete_kwargs_from_instance(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """PynamoDB's delete in a transaction; refused as `delete`."""
        self.refuse_claims("delete")
        return super().get_delete_kwargs_from_instance(*args, **kwargs)

    MAY_HAVE_EXTERNAL_IDS: ClassVar[bool] = False

    def external_id_keys(self) -> list[Key]:
        """The keys under which the item claims its ids in other systems; most kinds have none."""
        return []

    def refuse_claims(self, call: str) -> None:
        """Refuse a call of PynamoDB's that would leave claims to external ids behind."""
        if self.external_id_keys():
            raise InvalidValue(
                f"{self!r} has an external id, which belongs to one item only; a plain {call}() "
                f"would not see to that. Use the repository: put, record or delete."
            )

    @classmethod
    def batch_write(cls, auto_commit: bool = True) -> BatchWrite[Self]:  # noqa: FBT001, FBT002
        """PynamoDB's batch, which overwrites blindly. Prefer the repositories' ``*_many``.

        A request for each 25 items; with ``auto_commit`` also before the block ends.
        """
        return _StampingBatch(cls, auto_commit)

    def prepare_save(self) -> None:
        """Stamp it for a save by PynamoDB. A request once a minute, for the number of shards."""
        table = current_table()
        _ = table.shards
        self.stamp(table, self.created_at)

    # Values.

    def __eq__(self, other: object) -> bool:
        """Equal content; when and by which write it was stored does not count."""
        if type(self) is not type(other) or not isinstance(other, QuillModel):
            return NotImplemented
        return self._compared() == other._compared()

    def _compared(self) -> dict[str, Any]:
        return {name: _exact(value) for name, value in self.content().items()}

    __hash__ = None  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]

    def __repr__(self) -> str:
        shown = ", ".join(
            f"{name}={getattr(self, name)!r}" for name in (*self.IDENTITY, *self.SHOWN)
        )
        return f"{type(self).__name__}({shown})"

    # The fields of the identity, and what else `repr` shows. Never a payload.
    IDENTITY: ClassVar[tuple[str, ...]] = ()
    SHOWN: ClassVar[tuple[str, ...]] = ()


def _other_kind(item: RawItem, stored: str | None, wanted: str) -> str:
    place = _place_of(item)
    by = "this package" if stored is None else f"the repository of the kind {wanted!r}"
    return (
        f"the item {place} is of the kind {stored!r}, not {wanted!r}: it was not stored by {by}. "
        "If the table belongs to something else, set QUILL_TABLE to another one. Else look at the "
        "item, and store what it says through the repository, or delete it: "
        f"quill.store.delete(Key({place}))"
    )


def _place_of(item: RawItem) -> str:
    return ", ".join(f"{name}={item.get(name, {}).get('S')!r}" for name in ("pk", "sk"))


def _exact(value: Any) -> Any:
    """The value such that true is not 1, at any depth."""
    if isinstance(value, dict):
        return {name: _exact(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_exact(inner) for inner in value]
    return (bool, value) if isinstance(value, bool) else value


class _StampingBatch(BatchWrite[Any]):
    """PynamoDB's batch, whose items carry what every stored item does."""

    def save(self, put_item: QuillModel) -> None:
        put_item.refuse_claims("save")
        put_item.prepare_save()
        super().save(put_item)

    def delete(self, del_item: QuillModel) -> None:
        del_item.refuse_claims("delete")
        super().delete(del_item)
