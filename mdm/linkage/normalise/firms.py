"""A business record to features: tax codes, representative or owner, and the core of the name."""

from __future__ import annotations

from mdm.domain.records import BusinessAttributes, Identifier, IdentifierType, Relation, RelationType
from mdm.limits import NAME_CHARACTERS_MAX, RECORD_VALUES_MAX, VALUE_CHARACTERS_MAX
from mdm.linkage.features import BusinessFeatures
from mdm.linkage.normalise.businesses import BusinessName, business_name, variants
from mdm.linkage.normalise.contacts import ordered, phone_numbers, places, stated_addresses
from mdm.linkage.normalise.dates import PartialDate, stated_date
from mdm.linkage.normalise.findings import Findings
from mdm.linkage.normalise.identifiers import TAX_CODE_DIGITS, TaxCode, parse_claim, parse_tax_code
from mdm.linkage.normalise.names import folded_name
from mdm.linkage.normalise.text import fold

_FORMS = {
    "company": "company", "cong ty": "company", "doanh nghiep": "company", "enterprise": "company",
    "branch": "branch", "chi nhanh": "branch", "van phong dai dien": "branch",
    "household business": "household_business", "ho kinh doanh": "household_business", "hkd": "household_business",
}  # fmt: skip
_PERSON_RELATIONS = frozenset({RelationType.LEGAL_REPRESENTATIVE, RelationType.OWNER})


def business_features(
    attributes: BusinessAttributes, written_on: PartialDate | None, findings: Findings
) -> BusinessFeatures:
    """Return the features of one business record, which its source last changed on the day `written_on`.

    What was wrong goes into `findings`.
    """
    established = stated_date("established_on", attributes.established_on, written_on, findings)
    by_names = [name for field, text in _stated_names(attributes, findings) for name in _names(field, text, findings)]
    name = by_names[0] if by_names else BusinessName()
    form = _form(attributes.form, name, findings)
    codes = _tax_codes(attributes.identifiers, form, findings)
    main = codes[0][0] if codes else None
    if form is None and main is not None:
        form = "household_business" if main.is_personal_id else None
    people = [
        relation
        for relation in findings.values("relations", attributes.relations, RECORD_VALUES_MAX)
        if relation.type in _PERSON_RELATIONS
    ]
    person_ids = _person_ids(people, findings)
    person_ids |= {code.code for code, _ in codes if code.is_personal_id}
    address = places(stated_addresses(attributes.addresses, findings))
    phones = ordered(phone_numbers(attributes.phones, findings))
    return BusinessFeatures(
        name=name.core,
        name_full=name.full,
        name_sorted=name.sorted,
        name_distinct=name.distinct,
        other_names=ordered({other.core for other in by_names if other.core is not None} - {name.core or ""}),
        form=form,
        legal_form=_legal_form(name, form),
        tax_code=main.code if main else None,
        tax_codes=ordered([code.code for code, _ in codes]),
        verified_tax_codes=ordered([code.code for code, is_verified in codes if is_verified]),
        tax_group=None if main is None or main.is_personal_id else main.code[:TAX_CODE_DIGITS],
        phones=phones,
        wards=address.wards,
        streets=address.streets,
        premises=address.premises,
        representative_name=_person_name(people, findings),
        representative_ids=ordered(person_ids),
        established_on=established.iso if established else None,
        names=ordered([other.sorted for other in by_names if other.sorted is not None]),
        name_numbers=name.numbers,
        name_distinct_words=ordered((name.distinct or "").split()),
        name_words=ordered(name.words),
        name_initials=name.initials,
        name_cover=ordered(frozenset[str]().union(*(other.cover for other in by_names))),
        phone=phones[0] if phones else None,
        seat=address.premises[0] if address.premises else None,
    )


def _stated_names(attributes: BusinessAttributes, findings: Findings) -> list[tuple[str, str]]:
    """Return field and value of each name, the one that the business is known by first."""
    return [
        ("legal_name", attributes.legal_name),
        ("short_name", attributes.short_name),
        ("foreign_name", attributes.foreign_name),
        *(
            ("former_names", name)
            for name in findings.values("former_names", attributes.former_names, RECORD_VALUES_MAX)
        ),
    ]


def _names(field: str, value: str, findings: Findings) -> list[BusinessName]:
    """Return a name in its forms, and what its brackets hold or leave as names of their own; empty without letters."""
    text = findings.text(field, value, NAME_CHARACTERS_MAX)
    names = [name for variant in variants(text) if (name := business_name(variant)).core is not None]
    if text and not names:
        findings.add(field, "holds no letters")
    return names


def _form(value: str, name: BusinessName, findings: Findings) -> str | None:
    folded = fold(findings.text("form", value, VALUE_CHARACTERS_MAX))
    if folded in _FORMS:
        return _FORMS[folded]
    if folded:
        findings.add("form", "is none of company, branch, household_business")
    match name.legal_form:
        case None:
            return None
        case "branch":
            return "branch"
        case "household":
            return "household_business"
        case _:
            return "company"


def _legal_form(name: BusinessName, form: str | None) -> str | None:
    if name.legal_form is not None or form not in {"branch", "household_business"}:
        return name.legal_form
    return "branch" if form == "branch" else "household"


def _tax_codes(identifiers: tuple[Identifier, ...], form: str | None, findings: Findings) -> list[tuple[TaxCode, bool]]:
    """Return the tax codes in the order given, each with whether it founds a veto."""
    codes: list[tuple[TaxCode, bool]] = []
    for identifier in findings.values("identifiers", identifiers, RECORD_VALUES_MAX):
        if identifier.type is not IdentifierType.TAX_CODE:
            continue
        text = findings.text("tax_code", identifier.value, VALUE_CHARACTERS_MAX)
        if not text:
            continue
        code = parse_tax_code(text, may_be_branch=form == "branch")
        if code is None:
            findings.add("tax_code", "is no valid tax code")
        else:
            codes.append((code, identifier.assurance.is_verified))
    return codes


def _person_name(people: list[Relation], findings: Findings) -> str | None:
    for relation in people:
        name = folded_name(findings.text("representative_name", relation.name, NAME_CHARACTERS_MAX))
        if name is not None:
            return name
    return None


def _person_ids(people: list[Relation], findings: Findings) -> set[str]:
    numbers: set[str] = set()
    for relation in people:
        for identifier in relation.identifiers[:RECORD_VALUES_MAX]:
            text = findings.text("representative_personal_id", identifier.value, VALUE_CHARACTERS_MAX)
            if not text:
                continue
            claim = parse_claim(text, None, None)
            number = claim.personal_id.number if claim.personal_id else claim.cmnd
            if claim.rule is not None:
                findings.add("representative_personal_id", claim.rule)
            if number is not None:
                numbers.add(number)
    return numbers
