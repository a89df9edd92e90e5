"""`mdm review`: a steward's working loop over the queue, one key for each answer, and the queue as a list."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mdm.cli.output import ExitCode, connected, fail, tell, tell_json
from mdm.cli.steward import (
    DEFAULT_SERVER,
    Actor,
    Server,
    acting,
    effect_lines,
    judgement_line,
    key_text,
    show_effect,
)

if TYPE_CHECKING:
    from mdm_client import Client
    from mdm_client.results import GoldenRecord
    from mdm_client.stewardship_results import Review, ReviewDetail, ReviewFilter

_KEYS = {
    "s": "same",
    "d": "different",
    "u": "unsure, for 30 days",
    "n": "next, leave this one",
    "e": "escalate",
    "a": "accept a large record, approve a proposal",
    "r": "reject a proposal",
    "z": "undo",
    "q": "quit",
}
_WORDS = "  ".join(f"[{key}] {words}" for key, words in _KEYS.items())
_REASON = "compared side by side"
_REASON_MAX = 256
"""Characters, as the service takes them."""
_WITHOUT_EFFECT = {
    "unsure": "at rest for 30 days, or until its evidence changes",
    "accept": "accepted, and comes back when the golden record has doubled",
    "reject": "rejected",
}
"""Answers that leave every golden record as it is, and what becomes of the review."""
_VALUE_WIDTH = 38
_COMPARISONS = {
    "full_name": "name",
    "birth_date": "birth",
    "sex": "sex",
    "legal_name": "name",
    "tax_code": "tax_code",
    "legal_form": "legal_form",
    "representative_name": "representative",
}
"""Field → what compares it: where that finds it the same, it is only written in another way (~)."""
_FIELD_WIDTH = 35

_Kind = Annotated[list[str], typer.Option(help="Only this kind, such as thin_evidence; may be repeated.")]
_Registry = Annotated[str, typer.Option(help="Only reviews with a record of this registry.")]
_Priority = Annotated[int, typer.Option(min=0, max=100, help="Only reviews of at least this priority.")]

app = typer.Typer(rich_markup_mode=None, invoke_without_command=True)


@app.callback()
def review(
    context: typer.Context,
    kind: _Kind = [],  # noqa: B006 – typer copies it.
    registry: _Registry = "",
    min_priority: _Priority = 0,
    reason: Annotated[str, typer.Option(help="Stands with each answer; sealed.")] = _REASON,
    actor: Actor = "",
    server: Server = DEFAULT_SERVER,
) -> None:
    """Work through the review queue: the most urgent item is yours until you answer, both sides stand side by side.

    \b
    Examples:
      mdm review
      mdm review --kind identifier_conflict --registry hospital
      mdm review list --state escalated
      mdm review answer R-4711 approve --reason "seen both files"

    Keys: s same · d different · u unsure · n next · e escalate · a accept or approve · r reject · z undo · q quit.
    Where the input is no terminal, keys are read from it, and the loop ends with it.
    """
    if context.invoked_subcommand is not None:
        return
    with connected(server, acting(actor)) as client:
        loop = _Loop(client, _wanted(kind, registry, min_priority), reason)
        loop.run(_reader())
        tell(f"{loop.answered_count} answered")


@app.command("list")
def list_reviews(
    state: Annotated[
        str, typer.Option(help="open, claimed, parked, escalated or proposed; by default the first two.")
    ] = "",
    kind: _Kind = [],  # noqa: B006 – typer copies it.
    registry: _Registry = "",
    min_priority: _Priority = 0,
    limit: Annotated[int, typer.Option(min=1, help="Reviews to show.")] = 20,
    server: Server = DEFAULT_SERVER,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List reviews in the order in which they should be taken.

    \b
    Examples:
      mdm review list --min-priority 40
      mdm review list --state proposed --json
    """
    import itertools

    from mdm_client import ReviewState

    chosen = _member(ReviewState, state or "unspecified", "--state")
    with connected(server) as client:
        found = client.stewardship.reviews(chosen, _wanted(kind, registry, min_priority))
        rows = list(itertools.islice(found, limit))
    if as_json:
        tell_json([_facts(each) for each in rows])
        return
    for each in rows:
        tell(_line(each))
    if not rows:
        tell("nothing waits")


@app.command("show")
def show_review(
    review_id: Annotated[str, typer.Argument(help="Such as R-4711.")], server: Server = DEFAULT_SERVER
) -> None:
    """Show a review with both golden records side by side, how they compare, and earlier answers."""
    with connected(server) as client:
        detail = client.stewardship.review(review_id)
    for line in _side_by_side(detail):
        tell(line)


@app.command()
def answer(
    review_id: Annotated[str, typer.Argument(help="Such as R-4711.")],
    what: Annotated[str, typer.Argument(help="same, different, unsure, accept, approve or reject.")],
    reason: Annotated[str, typer.Option(help="Why; sealed.")] = _REASON,
    etag: Annotated[str, typer.Option(help="Answer only if nothing has changed since it was read.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the effect, change nothing.")] = False,
    actor: Actor = "",
    server: Server = DEFAULT_SERVER,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Answer one review without the loop, such as the proposal of a colleague.

    \b
    Example:
      mdm review answer R-4711 approve --reason "seen both files"
    """
    from mdm_client import ReviewAnswer

    said = _member(ReviewAnswer, what, "the answer")
    with connected(server, acting(actor)) as client:
        effect = client.stewardship.resolve_review(review_id, said, reason, etag=etag, is_dry_run=dry_run)
    if said.value in _WITHOUT_EFFECT and not as_json:
        tell(f"{review_id} {'would be' if dry_run else 'is'} {_WITHOUT_EFFECT[said.value]}")
        return
    show_effect(effect, as_json=as_json, is_dry_run=dry_run)


@dataclass
class _Done:
    """One step of the loop that can be undone."""

    review_id: str
    judgement_id: str = ""
    is_resting: bool = False
    """Parked or escalated: releasing brings it back."""
    is_final: bool = False


@dataclass
class _Loop:
    """One steward's sitting."""

    client: Client
    wanted: ReviewFilter
    reason: str
    skipped: list[str] = field(default_factory=list)
    done: list[_Done] = field(default_factory=list)
    answered_count: int = 0
    again: str = ""
    """Review to show next, after an undo."""

    def run(self, read: Callable[[], str]) -> None:
        """Work until the queue or the input ends."""
        while True:
            detail = self._next()
            if detail is None:
                tell("nothing waits")
                if not self.done or read() != "z":
                    return
                self._undo()
                continue
            for line in _side_by_side(detail):
                tell(line)
            self._preview(detail)
            tell(_WORDS)
            if not self._answered(detail, read):
                self._give_back(detail.review.review_id)
                return

    def _next(self) -> ReviewDetail | None:
        from mdm_client import FailedPreconditionError, NotFoundError

        again, self.again = self.again, ""
        if again:
            try:
                return self.client.stewardship.claim_review(again)
            except NotFoundError:
                tell(f"{again} is closed meanwhile")
            except FailedPreconditionError as error:
                tell(f"refused: {error}")
        return self.client.stewardship.claim_review("", self.wanted, skipped_review_ids=self.skipped)

    def _answered(self, detail: ReviewDetail, read: Callable[[], str]) -> bool:
        """Take keys until one moves on; returns False when the sitting ends."""
        while True:
            key = read()
            if key in {"", "q"}:
                return False
            if key not in _KEYS:
                tell(_WORDS)
            elif self._step(detail, key):
                return True

    def _step(self, detail: ReviewDetail, key: str) -> bool:
        """Do what a key says; returns whether the next item is wanted."""
        from mdm_client import FailedPreconditionError, NotFoundError

        review_id = detail.review.review_id
        try:
            match key:
                case "n":
                    self._give_back(review_id)
                    # The service leaves out a hundred at most; what was left longest ago may come again.
                    self.skipped = [*self.skipped, review_id][-100:]
                    self.done.append(_Done(review_id))
                case "e":
                    self.client.stewardship.escalate_review(review_id, self.reason)
                    self.done.append(_Done(review_id, is_resting=True))
                case "z":
                    if not self.done:
                        tell("nothing to undo")
                        return False
                    self._give_back(review_id)
                    self._undo()
                case _:
                    self._say(detail, key)
        except (FailedPreconditionError, NotFoundError) as error:
            # Somebody else was quicker, or it cannot be: say why and show what is there now.
            tell(f"refused: {error}")
            return isinstance(error, NotFoundError) or error.reason in {"DECISION_STALE", "REVIEW_CLAIMED"}
        return True

    def _say(self, detail: ReviewDetail, key: str) -> None:
        from mdm_client import ReviewAnswer, ReviewKind

        is_proposal = detail.review.kind is ReviewKind.PROPOSAL
        said = {
            "s": ReviewAnswer.SAME,
            "d": ReviewAnswer.DIFFERENT,
            "u": ReviewAnswer.UNSURE,
            "a": ReviewAnswer.APPROVE if is_proposal else ReviewAnswer.ACCEPT,
            "r": ReviewAnswer.REJECT,
        }[key]
        effect = self.client.stewardship.resolve_review(
            detail.review.review_id, said, self.reason, etag=detail.review.etag
        )
        is_resting = said is ReviewAnswer.UNSURE
        self.answered_count += not is_resting
        is_final = said in {ReviewAnswer.ACCEPT, ReviewAnswer.REJECT} or effect.is_proposed
        self.done.append(_Done(detail.review.review_id, effect.judgement_id, is_resting, is_final))
        if effect.is_proposed:
            # It stays open until the second person agrees, and must not come back to this one.
            self._give_back(detail.review.review_id)
            self.skipped = [*self.skipped, detail.review.review_id][-100:]
            tell(f"waits for a second person as {effect.review_id}")

    def _give_back(self, review_id: str) -> None:
        from mdm_client import FailedPreconditionError, NotFoundError

        # What is closed, or was taken by somebody else when the claim ran out, is given back already.
        with contextlib.suppress(FailedPreconditionError, NotFoundError):
            self.client.stewardship.release_review(review_id)

    def _undo(self) -> None:
        from mdm_client import NotFoundError

        last = self.done.pop()
        if last.is_final:
            tell(
                f"{last.review_id} cannot be undone: a large record was accepted, or a proposal stands or was rejected"
            )
            return
        if last.judgement_id:
            try:
                self.client.stewardship.withdraw_judgement(last.judgement_id, f"undone: {self.reason}"[:_REASON_MAX])
            except NotFoundError as error:
                tell(f"refused: {error}")
                return
            self.answered_count -= 1
            tell(f"{last.judgement_id} withdrawn")
            return
        if last.is_resting:
            self._give_back(last.review_id)
        self.skipped = [each for each in self.skipped if each != last.review_id]
        self.again = last.review_id

    def _preview(self, detail: ReviewDetail) -> None:
        """Say what "same" would do."""
        from mdm_client import FailedPreconditionError, NotFoundError, ReviewAnswer, ReviewKind

        if detail.right is None or detail.review.kind is ReviewKind.PROPOSAL:
            return
        try:
            effect = self.client.stewardship.resolve_review(
                detail.review.review_id, ReviewAnswer.SAME, self.reason, is_dry_run=True
            )
        except (FailedPreconditionError, NotFoundError) as error:
            tell(f"same would be refused: {error}")
            return
        if effect.contradicted:
            tell("same would be refused: " + "; ".join(judgement_line(each) for each in effect.contradicted))
        for line in effect_lines(effect):
            tell(f"same would give  {line}" if line.startswith("after") else f"                 {line}")
        if effect.is_proposed:
            tell("same would wait for a second person")


def _side_by_side(detail: ReviewDetail) -> list[str]:
    shown = detail.review
    lines = ["", f"{_line(shown)}"]
    lines += [f"  earlier: {judgement_line(each)}" for each in detail.earlier_judgements]
    left, right = _values(detail.left), _values(detail.right)
    heads = [f"{side.golden_id} ({side.member_count} records)" for side in (shown.left, shown.right) if side]
    lines += _row(" ", "", *(heads if len(heads) > 1 else (*heads, "")))
    same = {each.field for each in detail.comparisons if each.level == "same"}
    for name in dict.fromkeys((*left, *right)):
        mark = "~" if _COMPARISONS.get(name) in same else "≠"
        lines += _rows(name, left.get(name, []), right.get(name, []), mark)
    if detail.comparisons:
        lines.append(f"  starts at {detail.starting_weight_bits:+.1f} bits")
    lines += [
        f"  {each.match_weight_bits:+6.1f}  {each.field}: {each.level}"
        for each in detail.comparisons
        if each.agreement.value != "missing"
    ]
    return lines


def _rows(name: str, left: list[str], right: list[str], differing: str) -> list[str]:
    """Return a field's values side by side, what both have first, each marked; with `differing` what is not equal."""
    both = [value for value in left if value in right]
    sides = [both + [value for value in side if value not in both] for side in (left, right)]
    lines = []
    for at in range(max(map(len, sides))):
        one, other = (side[at] if at < len(side) else "" for side in sides)
        mark = "=" if at < len(both) else differing if left and right else " "
        lines += _row(mark, name if at == 0 else "", one, other)
    return lines


def _row(mark: str, name: str, left: str, right: str) -> list[str]:
    if len(left) > _VALUE_WIDTH and right:
        # Nothing is cut: a wide value pushes its neighbour to the next line.
        return [_row(mark, name, left, "")[0], _row(mark, "", "", right)[0]]
    return [f"{mark} {name:<{_FIELD_WIDTH}} {left:<{_VALUE_WIDTH}} {right}".rstrip()]


def _values(record: GoldenRecord | None) -> dict[str, list[str]]:
    values: dict[str, list[str]] = {}
    for value in record.values if record is not None else ():
        if value.value not in values.setdefault(value.field, []):
            values[value.field].append(value.value)
    return values


def _line(shown: Review) -> str:
    weight = f", {shown.match_weight_bits:+.1f} bits" if shown.match_weight_bits is not None else ""
    detail = f" ({shown.detail})" if shown.detail else ""
    sides = " / ".join(key_text(side.key) for side in (shown.left, shown.right) if side is not None)
    state = {
        "claimed": f", claimed by {shown.claimed_by}",
        "parked": f", until {shown.parked_until:%Y-%m-%d}" if shown.parked_until else "",
        "proposed": f", {shown.member_count} records, proposed by {shown.proposed_by}",
    }.get(shown.state.value, "")
    return f"{shown.review_id}  priority {shown.priority}  {shown.kind}{detail}{weight}{state}  {sides}"


def _facts(shown: Review) -> dict[str, Any]:
    return {
        "review_id": shown.review_id,
        "kind": str(shown.kind),
        "state": str(shown.state),
        "priority": shown.priority,
        "entity_kind": str(shown.entity_kind),
        "left": {"golden_id": shown.left.golden_id, "record": key_text(shown.left.key)},
        "right": {"golden_id": shown.right.golden_id, "record": key_text(shown.right.key)} if shown.right else None,
        "match_weight_bits": shown.match_weight_bits,
        "detail": shown.detail,
        "opened_at": shown.opened_at.isoformat(),
        "claimed_by": shown.claimed_by,
        "etag": shown.etag,
    }


def _wanted(kinds: list[str], registry: str, priority_min: int) -> ReviewFilter:
    from mdm_client import ReviewFilter, ReviewKind

    return ReviewFilter(tuple(_member(ReviewKind, each, "--kind") for each in kinds), None, registry, priority_min)


def _member(members: Any, text: str, what: str) -> Any:
    try:
        return members(text)
    except ValueError:
        named = ", ".join(each.value for each in members if each.value != "unspecified")
        fail(f"{what} must be one of: {named}", ExitCode.USAGE)


def _reader() -> Callable[[], str]:
    """Return what reads one key: at once from a terminal, the next character of any other input, empty at its end."""
    if sys.stdin.isatty():
        import click

        return lambda: click.getchar().lower()

    def read() -> str:
        while (character := sys.stdin.read(1)).isspace():
            pass
        return character.lower()

    return read
