"""What the models share: one table, composed keys, strict fields, equality by value."""

from __future__ import annotations

import inspect
from abc import abstractmethod
from datetime import datetime
from typing import Any, ClassVar, Never, Self, TypeVar, dataclass_transform, overload

from pynamodb.attributes import Attribute
from pynamodb.constants import STRING

from quill_models.dynamodb.current_table import known_shards
from quill_models.dynamodb.items import RawItem, new_token
from quill_models.dynamodb.table import Table
from quill_models.models.attributes import Expiry, Instant, Required, Text, field
from quill_models.models.field_codec import FieldCodec
from quill_models.models.indexes import ByParent, BySecond, ByStatus
from quill_models.models.pynamodb_connection import CurrentMeta, PynamoDBCalls
from quill_models.settings import Settings
from quill_models.values.clock import aware_utc, whole_seconds
from quill_models.values.errors import InvalidValue
from quill_models.values.keys import Key

__all__ = ["QuillModel", "name_of"]

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


def name_of(model: Any) -> str:
    """Return the kind and the identity of a model for a message: ``interaction call-1``."""
    identity = "/".join(str(getattr(model, name)) for name in model.IDENTITY)
    return f"{model.KIND.replace('_', ' ')} {identity}"


class _Signature:
    """The signature of a model's constructor, from its fields."""

    def __get__(self, _: object, owner: type[QuillModel]) -> inspect.Signature:
        # PynamoDB looks at all members of a class before its attributes are complete: not cached.
        codec = FieldCodec.of(owner, _ComposedKey)
        return inspect.Signature(
            [
                inspect.Parameter(
                    name,
                    inspect.Parameter.KEYWORD_ONLY,
                    default=attribute.options.shown_default,
                    annotation=attribute.takes,
                )
                for name, attribute in codec.fields.items()
            ]
        )


@dataclass_transform(kw_only_default=True, field_specifiers=(field,))
class QuillModel(PynamoDBCalls):
    """The base of the models. Not stored itself."""

    # PynamoDB's own names every setting, and takes any that is left out from its defaults.
    class Meta(metaclass=CurrentMeta):  # pyright: ignore[reportIncompatibleVariableOverride]
        billing_mode = "PAY_PER_REQUEST"
        stream_view_type = "NEW_AND_OLD_IMAGES"

    KIND: ClassVar[str]
    __signature__ = _Signature()

    pk = _ComposedKey[str](hash_key=True)
    sk = _ComposedKey[str](range_key=True)
    gsi1pk = _ComposedKey[str | None](null=True)
    gsi1sk = _ComposedKey[str | None](null=True)
    gsi2pk = _ComposedKey[str | None](null=True)
    gsi2sk = _ComposedKey[str | None](null=True)
    gsi3pk = _ComposedKey[str | None](null=True)
    gsi3sk = _ComposedKey[str | None](null=True)
    kind = Text()
    created_at = field(Instant(), default=None)
    updated_at = field(Instant(), default=None)
    ttl = field(Expiry(null=True), default=None)
    write_token = field(Text(), default=None)
    created_token = field(Text(), default=None)

    gsi1 = ByParent()
    gsi2 = BySecond()
    gsi3 = ByStatus()

    def __init__(self, **given: Any) -> None:
        codec, kind = self.codec(), type(self).__name__
        if not given.keys() <= codec.fields.keys():
            unknown = next(name for name in given if name not in codec.fields)
            raise TypeError(f"{kind}() got an unexpected keyword argument {unknown!r}")
        fields: dict[str, Any] = {}
        for name, attribute in codec.fields.items():
            options = attribute.options
            value = given.get(name, options.default)
            if value is Required:
                if options.default_factory is None:
                    raise TypeError(f"{kind}() is missing the keyword argument {name!r}")
                value = None
            if value is None:
                if options.default_factory is not None:
                    value = options.default_factory(fields)
                elif not attribute.null:
                    raise InvalidValue(f"{kind} needs {name}")
            fields[name] = value
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
        version = self.codec().version
        return None if version is None else getattr(self, version)

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
        return {name: getattr(self, name) for name in self.codec().fields}

    def to_item(self, shards: int) -> RawItem:
        """The item as it is stored, in DynamoDB's wire format."""
        item: RawItem = dict(self.unknown)
        for name, key in self.composed_keys(shards).items():
            item[name] = {"S": key}
        writers = self.codec().writers
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
    ) -> str:
        """Set what every stored item carries: times, expiry and the token of this write.

        Args:
            table: gives the time and the settings.
            created_at: when it was created; by default now, by this write.
            token: of this write; by default a new one.

        Returns:
            The token.
        """
        # Fields may have been set since it was made.
        self.validate()
        values, now = self.attribute_values, aware_utc(table.clock())
        ends = self.expires(table.settings, now)
        values["created_at"], values["updated_at"] = created_at or now, now
        values["ttl"] = None if ends is None else whole_seconds(ends, "ttl")
        if created_at is None:
            values["created_token"] = None
        elif values.get("created_token") is None:
            values["created_token"] = values.get("write_token")
        values["write_token"] = token = token or new_token()
        return token

    @classmethod
    def codec(cls) -> FieldCodec:
        """The fields, and how each is read and written; worked out when first asked for."""
        codec: FieldCodec | None = cls.__dict__.get("_codec_once")
        if codec is None:
            codec = cls._codec_once = FieldCodec.of(cls, _ComposedKey)
        return codec

    _codec_once: ClassVar[FieldCodec]

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
        readers = self.codec().readers
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

    MAY_HAVE_EXTERNAL_IDS: ClassVar[bool] = False

    def external_id_keys(self) -> list[Key]:
        """The keys under which the item claims its ids in other systems; most kinds have none."""
        return []

    # Values.

    def __eq__(self, other: object) -> bool:
        """Equal content; when and by which write it was stored does not count."""
        if type(self) is not type(other) or not isinstance(other, QuillModel):
            return NotImplemented
        return self._compared() == other._compared()

    def recorded_content(self) -> Any:
        """What is equal if recording it again is a duplicate, and not a conflict."""
        return self._compared()

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
