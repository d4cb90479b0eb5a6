"""One question, asked."""

from __future__ import annotations

from exporter.insight.question import Answer
from exporter.insight.verdict import judge
from exporter.insight.vitals import Vitals


def answer(key: str, vitals: Vitals) -> Answer:
    return next(each for each in judge(vitals) if each.key == key)
