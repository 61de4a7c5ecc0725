"""What every check of one playbook works with."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property

from hikeshi.capabilities import ActionSpec, Catalogue, Effect
from hikeshi.playbook.check_places import Places
from hikeshi.playbook.check_shapes import KnownPlaybooks, Shapes, gives_outcomes, spec_of
from hikeshi.playbook.check_sites import Site, sites_of
from hikeshi.playbook.expression import Expression
from hikeshi.playbook.inference import Finding, Names, infer, infer_condition, infer_list, infer_template
from hikeshi.playbook.model import ActionStep, Playbook, Position
from hikeshi.playbook.plain_data import nearest
from hikeshi.playbook.problem import Problem
from hikeshi.playbook.references import Reference
from hikeshi.playbook.scope import Outline, Viewpoint
from hikeshi.playbook.shape import Shape
from hikeshi.playbook.template import Path

__all__ = ["Context", "Read"]


@dataclass(frozen=True, slots=True)
class Read:
    """One reference in an expression, with where it stands."""

    site: Site
    expression: Expression
    path: Path
    offset: int
    reference: Reference


@dataclass(frozen=True)
class Context:
    """A playbook, what it may use, and what is computed of it once."""

    playbook: Playbook
    catalogue: Catalogue
    library: KnownPlaybooks
    _names: dict[Viewpoint, Names] = field(default_factory=dict, init=False, repr=False, compare=False)

    @cached_property
    def outline(self) -> Outline:
        return Outline(self.playbook, self._gives_outcomes, self._is_notification)

    @cached_property
    def shapes(self) -> Shapes:
        shapes = Shapes(self.playbook, self.outline, self.catalogue, self.library, frozenset())
        for spot in self.outline.spots:  # in the order of the text, so that one rests on what is known already
            shapes.output(spot)
        return shapes

    @cached_property
    def sites(self) -> tuple[Site, ...]:
        return sites_of(self.playbook, self.outline)

    @cached_property
    def reads(self) -> tuple[Read, ...]:
        """Every reference of every expression."""
        return tuple(
            Read(site, expression, path, offset, reference)
            for site in self.sites
            for expression, path, offset in site.expressions
            for reference in expression.references
        )

    def names(self, site: Site) -> Names:
        """Return what a site's expressions can name."""
        view = site.view
        if view not in self._names:
            self._names[view] = self.shapes.names(view)
        return self._names[view]

    @cached_property
    def places(self) -> Places:
        return Places(self.playbook)

    def spec(self, action: str) -> ActionSpec | None:
        return spec_of(action, self.catalogue)

    def shape(self, site: Site) -> Shape:
        """Return the shape of a site's value."""
        return self.shapes.of_value(site.value, self.names(site))

    def findings(self, site: Site) -> Iterator[tuple[Expression, Path, int, Finding]]:
        """Give what inference finds in a site: the expression, its path, where its text starts, the finding."""
        names = self.names(site)
        if isinstance(site.value, Expression):
            for finding in _infer_bare(site, site.value, names):
                yield site.value, site.path, 0, finding
        else:
            for located in infer_template(site.value, names)[1]:
                yield *site.located(located.located), located.finding

    def at_value(self, code: str, message: str, start: Position, path: Path, offset: int | None = None) -> Problem:
        return Problem(code, message, self.places.value(start, path, offset))

    def at_key(self, code: str, message: str, start: Position, path: Path) -> Problem:
        return Problem(code, message, self.places.key(start, path))

    def at_read(self, code: str, message: str, read: Read, word: str = "", known: Iterable[str] = ()) -> Problem:
        """Return a problem at a reference, with the known name that is nearest to `word`."""
        near = nearest(word, known) if word else None
        hint = f"; did you mean {near!r}?" if near is not None else ""
        position = self.places.value(read.site.start, read.path, read.offset + read.reference.offset)
        return Problem(code, message + hint, position, near)

    def _gives_outcomes(self, step: ActionStep) -> bool:
        spec = self.spec(step.action)
        return spec is not None and gives_outcomes(spec)

    def _is_notification(self, step: ActionStep) -> bool:
        spec = self.spec(step.action)
        return spec is not None and spec.effect is Effect.NOTIFY


def _infer_bare(site: Site, expression: Expression, names: Names) -> list[Finding]:
    if site.use == "condition":
        return infer_condition(expression, names, site.key)
    return infer_list(expression, names, site.key)[1] if site.use == "list" else infer(expression, names)[1]
