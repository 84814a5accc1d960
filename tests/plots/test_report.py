"""The report: complete, self-contained, escaped."""

import base64
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from gflow.plots import render_report

HOSTILE = "<script>alert('x')</script> & \"q\""


def manifest(**changes: Any) -> dict[str, Any]:
    claim = {
        "name": "slope",
        "statement": HOSTILE,
        "source": HOSTILE,
        "holds": True,
        "note": "found: <too few seeds>",
        "shown": {"expected": "1", "measured": "0.99", "tolerance": "0.05"},
    }
    return {
        "study": {"name": "s", "title": HOSTILE, "paper": HOSTILE},
        "outcome": "completed",
        "completed": True,
        "holds": True,
        "claims": [claim],
        "configuration": {"scale": "smoke", "label": HOSTILE, "kappas": [1.0, 5.0]},
        "seed": 3,
        "seconds": 1.25,
        "versions": {"gflow": "0.1.0"},
        "platform": {"system": HOSTILE},
        "figures": [{"name": "loss", "caption": HOSTILE}],
        "evidence": {HOSTILE: HOSTILE},
        **changes,
    }


@pytest.fixture
def images(tmp_path: Path) -> dict[str, Path]:
    path = tmp_path / "loss.png"
    path.write_bytes(b"\x89PNG")
    return {"loss": path}


def test_everything_is_escaped(images: dict[str, Path]):
    """No text of a run becomes markup."""
    page = render_report(manifest(), images)
    assert "<script" not in page
    assert page.count("&lt;script&gt;") >= 9


def test_page_needs_nothing_else(images: dict[str, Path]):
    """Figures are inside, and nothing is fetched."""
    page = render_report(manifest(), images)
    assert base64.b64encode(b"\x89PNG").decode() in page
    assert not re.search(r'(src|href)="(?!data:)', page)
    assert "http" not in page.replace("http-equiv", "")
    assert "@import" not in page
    assert "url(" not in page


def test_markup_is_balanced(images: dict[str, Path]):
    """Every element that opens also closes."""
    void = {"meta", "img", "br"}
    depth: list[str] = []

    class Checker(HTMLParser):
        def handle_starttag(self, tag: str, attrs: object) -> None:
            if tag not in void:
                depth.append(tag)

        def handle_endtag(self, tag: str) -> None:
            assert depth.pop() == tag

    Checker().feed(render_report(manifest(), images))
    assert depth == []


@pytest.mark.parametrize(
    ("changes", "verdict", "kind"),
    [
        ({}, "All 1 claims hold.", "verdict holds"),
        ({"holds": False}, "1 of 1 claims hold.", "verdict fails"),
        (
            {"holds": False, "completed": False, "outcome": "interrupted"},
            "The run stopped short; 1 of the 1 claims reached hold.",
            "verdict fails",
        ),
    ],
)
def test_verdict(
    changes: dict[str, Any], verdict: str, kind: str, images: dict[str, Path]
):
    """The first line says how the run came out."""
    page = render_report(manifest(**changes), images)
    assert f'<p class="{kind}">{verdict}' in page
