"""Shapes from annotations, and what may be used where."""

from __future__ import annotations

import datetime as dt
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Literal, NewType

import pytest
from pydantic import BaseModel, Field, RootModel, computed_field

from hikeshi.playbook import shape as shapes
from hikeshi.playbook.shape import (
    ANY,
    BOOLEAN,
    INTEGER,
    NULL,
    NUMBER,
    STRING,
    ListShape,
    MapShape,
    RecordShape,
    Shape,
    StringShape,
    UnionShape,
    assignable,
    shape_of,
    shape_of_constant,
)


class Level(StrEnum):
    LOW = "low"
    HIGH = "high"


class Host(BaseModel):
    entity_kind: ClassVar[str] = "host"
    name: str
    parent: Host | None = None


class User(BaseModel):
    entity_kind: ClassVar[str] = "user"
    name: str


class Alert(BaseModel):
    title: str
    level: Level = Level.LOW
    host: Host | None = None
    address: str = Field(default="", json_schema_extra={"format": "ipv4"})

    @computed_field  # type: ignore[prop-decorator]  # pydantic's documented form
    @property
    def short(self) -> str:
        return self.title[:10]


class Names(RootModel[list[str]]):
    pass


HOST, USER, ALERT = shape_of(Host), shape_of(User), shape_of(Alert)
ID = NewType("ID", int)


@pytest.mark.parametrize(
    ("annotation", "shape"),
    [
        (str, STRING),
        (int, INTEGER),
        (float, NUMBER),
        (bool, BOOLEAN),
        (None, NULL),
        (Any, ANY),
        (object, ANY),
        (list[int], ListShape(INTEGER)),
        (tuple[int, ...], ListShape(INTEGER)),
        (set[str], ListShape(STRING)),
        (list, shapes.LIST),
        (dict[str, int], MapShape(INTEGER)),
        (dict, shapes.MAP),
        (str | None, UnionShape((STRING, NULL))),
        (Annotated[int, "x"], INTEGER),
        (Literal["a", "b"], StringShape(enum=("a", "b"))),
        (Level, StringShape(enum=("low", "high"))),
        (dt.datetime, StringShape("datetime")),
        (ID, INTEGER),
        (Names, ListShape(STRING)),
        (int | float, NUMBER),
    ],
)
def test_annotations_give_the_shape_of_their_json(annotation: object, shape: Shape) -> None:
    """The shape is that of the plain data a model is dumped to."""
    assert shape_of(annotation) == shape


def test_models_become_records() -> None:
    """Fields, computed ones too, formats and entities are known; a model may contain itself."""
    assert isinstance(ALERT, RecordShape)
    assert isinstance(HOST, RecordShape)
    assert set(ALERT.fields) == {"title", "level", "host", "address", "short"}
    assert (ALERT.fields["address"], ALERT.required, ALERT.entity) == (StringShape("ipv4"), frozenset({"title"}), False)
    assert HOST.entity
    assert HOST.fields["parent"] == shapes.optional(HOST)
    assert shapes.contains_entity(ListShape(ALERT))


ALLOWED = [
    (HOST, HOST),
    (shapes.optional(HOST), HOST),
    (NULL, shapes.optional(HOST)),
    (ListShape(HOST), ListShape(HOST)),
    (HOST, ANY),
    (HOST, shapes.MAP),
    (ANY, STRING),
    (INTEGER, NUMBER),
    (shape_of_constant("low"), shape_of(Level)),
    (STRING, StringShape("hostname")),
    (StringShape("ipv4"), StringShape("ip")),
    (StringShape("hostname"), StringShape("host")),
    (shape_of_constant([]), ListShape(STRING)),
    (shapes.record({"a": INTEGER}), MapShape(NUMBER)),
    (shapes.optional(STRING), STRING),
    (STRING, UnionShape((STRING, INTEGER))),
    (ListShape(ANY), ListShape(STRING)),
    (HOST, UnionShape((HOST, STRING))),
]
REFUSED = [
    (ANY, HOST, "may come from outside"),
    (STRING, HOST, "may come from outside"),
    (shapes.record({"name": STRING}), HOST, "outside"),
    (shapes.MAP, HOST, "outside"),
    (USER, HOST, "outside"),
    (ANY, shapes.optional(HOST), "outside"),
    (ANY, ListShape(HOST), "outside"),
    (ListShape(ANY), ListShape(HOST), "outside"),
    (shapes.LIST, ListShape(HOST), "outside"),
    (ANY, ALERT, "outside"),
    (ANY, UnionShape((HOST, STRING)), "outside"),
    (UnionShape((HOST, STRING)), HOST, "outside"),
    (shapes.MAP, ALERT, "outside"),
    (shapes.record({"title": STRING, "host": shapes.MAP}), ALERT, "in 'host'"),
    (STRING, INTEGER, "it is a string"),
    (NUMBER, INTEGER, "fraction"),
    (shape_of_constant("hgih"), shape_of(Level), "did you mean 'high'"),
    (NULL, STRING, "it is null"),
    (shapes.record({"titel": STRING}), ALERT, "did you mean 'title'"),
    (shapes.record({}), ALERT, "needs 'title'"),
    (StringShape("url"), StringShape("ip"), "it is an url"),
    (StringShape("ipv4"), StringShape("ipv6"), "it is an ipv4"),
    (ListShape(STRING), ListShape(INTEGER), "in the items"),
    (BOOLEAN, INTEGER, "it is a boolean"),
    (HOST, STRING, "it is a Host"),
]


@pytest.mark.parametrize(("source", "target"), ALLOWED)
def test_what_may_fit_is_allowed(source: Shape, target: Shape) -> None:
    """What is right, or may be right at run time, is let through."""
    assert assignable(source, target) is None


@pytest.mark.parametrize(("source", "target", "reason"), REFUSED)
def test_what_cannot_fit_is_refused_with_a_reason(source: Shape, target: Shape, reason: str) -> None:
    """Only an action's own output becomes an entity; the rest is refused where it surely does not fit."""
    assert reason in (assignable(source, target) or "")
