"""The base of the models: one table, composed keys, strict fields, equality by value."""

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
    """A key attribute, which is always composed from the fields."""

    attr_type = STRING

    @overload
    def __get__(self, instance: None, owner: Any) -> Self: ...
    @overload
    def __get__(self, instance: Any, owner: Any) -> T: ...
    def __get__(self, instance: Any, owner: Any) -> Any:
        if instance is None:
            return self
        return instance.composed_keys(known_shards()).get(self.attr_name)

    # Type checkers reject an assignment, too.
    def __set__(  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
        self,
        instance: Any,
        value: Never,
    ) -> None:
        raise InvalidValue(
            f"{self.attr_name} is composed from the fields of {type(instance).__name__}. Set the "
            "fields instead."
        )


def name_of(model: Any) -> str:
    """Return the kind and the identity of a model for a message: ``interaction call-1``."""
    identity = "/".join(str(getattr(model, name)) for name in model.IDENTITY)
    return f"{model.KIND.replace('_', ' ')} {identity}"


class _Signature:
    """The signature of the constructor of a model, from its fields."""

    def __get__(self, _: object, owner: type[QuillModel]) -> inspect.Signature:
        # Not cached: PynamoDB reads all members of a class before its attributes are complete.
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
    """The base class of the models."""

    # The type of PynamoDB requires all settings, but those left out have defaults.
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
    ttl = field(Expiry(), default=None)
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
                    raise InvalidValue(f"{kind} requires {name}. Set it.")
            fields[name] = value
        super().__init__(kind=self.KIND, **fields)
        # Attributes of a newer version of this package, which are kept when the item is rewritten.
        self.unknown: RawItem = {}
        self.validate()
        # Raises for too long identifiers, before any request.
        self.composed_keys(1)

    @abstractmethod
    def key(self) -> Key:
        """Return the primary key, composed from the identity."""

    @abstractmethod
    def lists(self, shards: int) -> dict[str, tuple[str, str]]:
        """Return the index entries of the item: partition key and sort key by index name."""

    def validate(self) -> None:
        """Raise `InvalidValue` if the fields are not consistent."""

    def expires(self, settings: Settings, now: datetime) -> datetime | None:  # noqa: ARG002
        """Return the expiry of an item that is written now, or ``None`` for no expiry."""
        return None

    @property
    def version_time(self) -> datetime | None:
        """When the source last changed the item. An older item never replaces a newer one."""
        version = self.codec().version
        return None if version is None else getattr(self, version)

    def composed_keys(self, shards: int) -> dict[str, str]:
        """Return the key attributes by name, without indexes that the item is not in."""
        pk, sk = self.key()
        keys = {"pk": pk, "sk": sk}
        for index, (index_pk, index_sk) in self.lists(shards).items():
            keys[f"{index}pk"] = index_pk
            keys[f"{index}sk"] = index_sk
        return keys

    def content(self) -> dict[str, Any]:
        """Return the fields by name, which decide equality and `conflict`."""
        return {name: getattr(self, name) for name in self.codec().fields}

    def to_item(self, shards: int) -> RawItem:
        """Return the stored item in the wire format."""
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
        """Return the model of a stored item. Unknown attributes are kept in ``unknown``."""
        return cls._instantiate(item)

    def copy(self) -> Self:
        """Return an independent equal model."""
        copied = type(self).__new__(type(self))
        copied.attribute_values = dict(self.attribute_values)
        copied.unknown = dict(self.unknown)
        return copied

    def take_over(self, other: Self) -> None:
        """Take the state of another model."""
        self.attribute_values = dict(other.attribute_values)
        self.unknown = dict(other.unknown)

    def stamp(
        self, table: Table, created_at: datetime | None = None, *, token: str | None = None
    ) -> str:
        """Set times, expiry and the token of a write, and return the token.

        Args:
            table: Provides the time and the settings.
            created_at: When the item was created; by default now.
            token: The token of the write; by default a new one.
        """
        # Fields may have been assigned since construction.
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
        """Return the codec of the fields, computed on first use."""
        codec: FieldCodec | None = cls.__dict__.get("_codec_once")
        if codec is None:
            codec = cls._codec_once = FieldCodec.of(cls, _ComposedKey)
        return codec

    _codec_once: ClassVar[FieldCodec]

    @classmethod
    def _instantiate(cls, attribute_values: RawItem) -> Self:
        # Without PynamoDB's constructor, which iterates over all attributes to set their defaults.
        instance = cls.__new__(cls)
        instance.deserialize(attribute_values)
        return instance

    def deserialize(self, attribute_values: RawItem) -> None:
        """Take the state of a stored item. PynamoDB calls this, too."""
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
            # Without the checks of an assignment, which were done before the value was stored.
            try:
                value = stored[kind]
                values[name] = value if read is None else read(value)
            except (ValueError, TypeError, KeyError, ArithmeticError) as error:
                key = _key_text(attribute_values)
                raise InvalidValue(
                    f"{name} of the item {key} is not a valid "
                    f"{type(getattr(type(self), name)).__name__} ({error}). If a newer version of "
                    "quill-models wrote it, use that. Otherwise fix the item, or delete it: "
                    f"quill.store.delete(Key({key}))"
                ) from error
        self.attribute_values = values
        self.unknown = unknown

    MAY_HAVE_EXTERNAL_IDS: ClassVar[bool] = False

    def external_id_keys(self) -> list[Key]:
        """Return the keys of the claims to the external ids of the item."""
        return []

    def __eq__(self, other: object) -> bool:
        """Compare the content, without times and tokens of writes."""
        if type(self) is not type(other) or not isinstance(other, QuillModel):
            return NotImplemented
        return self._compared() == other._compared()

    def recorded_content(self) -> Any:
        """Return the content that distinguishes a duplicate from a conflict."""
        return self._compared()

    def _compared(self) -> dict[str, Any]:
        return {name: _exact(value) for name, value in self.content().items()}

    __hash__ = None  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]

    def __repr__(self) -> str:
        shown = ", ".join(
            f"{name}={getattr(self, name)!r}" for name in (*self.IDENTITY, *self.SHOWN)
        )
        return f"{type(self).__name__}({shown})"

    # The fields of the identity, and further fields of `repr`, but never a payload.
    IDENTITY: ClassVar[tuple[str, ...]] = ()
    SHOWN: ClassVar[tuple[str, ...]] = ()


def _other_kind(item: RawItem, stored: str | None, wanted: str) -> str:
    key = _key_text(item)
    return (
        f"The item {key} has {f'the kind {stored}' if stored else 'no kind'}, expected {wanted}. "
        "Another program wrote it, or another repository. If the table belongs to another "
        "program, set QUILL_TABLE. Otherwise store the content of the item through its repository, "
        "or delete it: "
        f"quill.store.delete(Key({key}))"
    )


def _key_text(item: RawItem) -> str:
    return ", ".join(f"{name}={item.get(name, {}).get('S')!r}" for name in ("pk", "sk"))


def _exact(value: Any) -> Any:
    """Return a value for a comparison in which true differs from 1, at any depth."""
    if isinstance(value, dict):
        return {name: _exact(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_exact(inner) for inner in value]
    return (bool, value) if isinstance(value, bool) else value
