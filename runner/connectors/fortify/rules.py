"""What the rules behind findings tell: CWEs, and how likely and how bad a weakness is.

Priority is Fortify's own: likelihood = accuracy x confidence x probability / 25, and a
quadrant of impact and likelihood. An instance may override what its rule says. Rules can be
missing (FVDL 1.8, exports without metadata): then the severity of the instance stands in, as
in the audit tools of that time, and the priority is an estimate.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from lxml import etree

from runner.findings.finding import Severity

_CWE = re.compile(r"CWE(?: ID |-)(\d{1,6})", re.IGNORECASE)
_CWE_GROUP = "altcategorycwe"
_NUMBERS = ("accuracy", "impact", "probability")
_HIGH = 2.5  # where the upper half of impact and of likelihood begins


class Marks(NamedTuple):
    """What one finding says of itself, as it is written; "" = nothing."""

    severity: str = ""  # of the instance, else of its class
    confidence: str = ""
    accuracy: str = ""  # these three override the rule's
    impact: str = ""
    probability: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What the file tells of one rule."""

    cwes: tuple[int, ...] = ()
    accuracy: str = ""
    impact: str = ""
    probability: str = ""


NO_RULE = Rule()


def cwes_in(text: str) -> tuple[int, ...]:
    """The CWEs that a text of Fortify names, the primary one first: "CWE ID 259,CWE ID 798"."""
    return tuple(dict.fromkeys(int(number) for number in _CWE.findall(text)))


def read_rule(element: etree._Element) -> Rule:
    """A Rule of RuleInfo."""
    groups = groups_of(element)
    return Rule(cwes=cwes_in(groups.get(_CWE_GROUP, "")), **{name: groups.get(name, "") for name in _NUMBERS})


def groups_of(element: etree._Element) -> Mapping[str, str]:
    """The texts of the Groups in an element's MetaInfo, by name in lower case."""
    return {
        group.get("name", "").casefold(): group.text or ""
        for meta in element.iterchildren("{*}MetaInfo")
        for group in meta.iterchildren("{*}Group")
    }


def priority(marks: Marks, rule: Rule) -> tuple[Severity, bool]:
    """The priority of a finding, and whether it is estimated."""
    impact = _number(marks.impact or rule.impact)
    factors = (
        _number(marks.accuracy or rule.accuracy),
        _number(marks.confidence),
        _number(marks.probability or rule.probability),
    )
    if impact is None or None in factors:
        return _estimate(_number(marks.severity), _number(marks.confidence)), True
    accuracy, confidence, probability = (factor or 0.0 for factor in factors)
    # To one decimal, as the tools that show it do.
    likely = round(accuracy * confidence * probability / 25, 1) >= _HIGH
    if impact >= _HIGH:
        return (Severity.CRITICAL if likely else Severity.HIGH), False
    return (Severity.MEDIUM if likely else Severity.LOW), False


_BANDS = (
    (4.0, Severity.CRITICAL, Severity.HIGH),
    (3.0, Severity.HIGH, Severity.MEDIUM),
    (2.0, Severity.MEDIUM, Severity.LOW),
    (0.0, Severity.LOW, Severity.LOW),
)
_SURE = 4.0  # confidence from which the first of a band's two counts


def _estimate(severity: float | None, confidence: float | None) -> Severity:
    if severity is None:
        return Severity.UNKNOWN
    sure = confidence is None or confidence >= _SURE
    return next((high if sure else low for least, high, low in _BANDS if severity >= least), Severity.LOW)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
