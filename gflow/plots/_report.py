"""The report of a run: one page that needs nothing else."""

import base64
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

_CSS = """
:root { --ink: #1c2430; --soft: #5b6675; --line: #d9dee5; --good: #00694d;
  --bad: #a83200; --paper: #fff; --tint: #f5f7f9; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 58rem; padding: 2rem 1.2rem 4rem; color: var(--ink);
  background: var(--paper); font: 1rem/1.55 system-ui, sans-serif; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .3rem; }
h2 { font-size: 1.2rem; margin: 2.4rem 0 .6rem; }
.paper, figcaption, .source { color: var(--soft); }
.verdict { margin: 1.4rem 0; padding: .8rem 1rem; background: var(--tint);
  border-left: .35rem solid var(--bad); font-size: 1.1rem; }
.verdict.holds { border-color: var(--good); }
.verdict small { display: block; color: var(--soft); }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .92rem; }
th, td { text-align: left; vertical-align: top; padding: .45rem .7rem .45rem 0;
  border-bottom: 1px solid var(--line); }
td.number { font-variant-numeric: tabular-nums; white-space: nowrap; }
td.yes { color: var(--good); font-weight: 600; }
td.no { color: var(--bad); font-weight: 600; }
.statement { min-width: 16rem; }
.source { font-size: .85rem; }
code, pre { font: .85rem/1.45 ui-monospace, monospace; }
pre { background: var(--tint); padding: .8rem; overflow-x: auto; }
figure { margin: 1.6rem 0; break-inside: avoid; }
img { max-width: 100%; height: auto; display: block; margin: 0 auto .5rem; }
details { border-top: 1px solid var(--line); padding: .6rem 0; }
summary { cursor: pointer; font-weight: 600; }
@media print { body { max-width: none; padding: 0; font-size: 10pt; }
  tr { break-inside: avoid; } pre { white-space: pre-wrap; } }
"""

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title} · gflow</title>
<style>{css}</style>
</head>
<body>
{body}
</body>
</html>
"""


def render_report(manifest: Mapping[str, Any], images: Mapping[str, Path]) -> str:
    """A run as one self-contained page of html.

    **Arguments:**

    - `manifest`: the run's manifest, as plain data.
    - `images`: name -> PNG file, for every figure that the manifest names.

    **Raises:** `OSError` if an image cannot be read.
    """
    study = manifest["study"]
    sections = (
        f"<h1>{escape(study['title'])}</h1>",
        f'<p class="paper">{escape(study["paper"])}</p>',
        _verdict(manifest),
        _claims(manifest["claims"]),
        "".join(_figure(figure, images) for figure in manifest["figures"]),
        "<h2>How it was done</h2>",
        _folded("Configuration", _pairs(manifest["configuration"])),
        *(
            _folded(f"Evidence: {name}", f"<pre>{escape(text)}</pre>")
            for name, text in manifest["evidence"].items()
        ),
        _folded("Versions", _pairs({**manifest["versions"], **manifest["platform"]})),
    )
    return _PAGE.format(
        title=escape(study["title"]), css=_CSS, body="\n".join(sections)
    )


def _verdict(manifest: Mapping[str, Any]) -> str:
    claims = manifest["claims"]
    held = sum(claim["holds"] for claim in claims)
    if not manifest["completed"]:
        text = (
            f"The run stopped short; {held} of the {len(claims)} claims reached hold."
        )
    elif manifest["holds"]:
        text = f"All {len(claims)} claims hold."
    else:
        text = f"{held} of {len(claims)} claims hold."
    kind = "holds" if manifest["holds"] else "fails"
    about = (
        f"{manifest['configuration']['scale']} scale, seed {manifest['seed']}, "
        f"{manifest['seconds']:.1f} s, gflow {manifest['versions']['gflow']}"
    )
    if not manifest["completed"]:
        about = f"{manifest['outcome']} · {about}"
    return f'<p class="verdict {kind}">{escape(text)}<small>{escape(about)}</small></p>'


def _claims(claims: list[dict[str, Any]]) -> str:
    if not claims:
        return ""
    heads = ("Claim", "Expected", "Measured", "Tolerance", "Verdict")
    head = "".join(f"<th>{name}</th>" for name in heads)
    rows = "".join(f"<tr>{_claim(claim)}</tr>" for claim in claims)
    return (
        '<h2>Claims</h2><div class="wide"><table>'
        f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _claim(claim: Mapping[str, Any]) -> str:
    shown = claim["shown"]
    numbers = "".join(
        f'<td class="number">{escape(shown[key])}</td>'
        for key in ("expected", "measured", "tolerance")
    )
    verdict = ("yes", "holds") if claim["holds"] else ("no", "fails")
    note = f"<br>{escape(claim['note'])}" if claim.get("note") else ""
    return (
        f'<td class="statement"><code>{escape(claim["name"])}</code><br>'
        f"{escape(claim['statement'])}"
        f'<br><span class="source">{escape(claim["source"])}</span>{note}</td>'
        f'{numbers}<td class="{verdict[0]}">{verdict[1]}</td>'
    )


def _figure(figure: Mapping[str, Any], images: Mapping[str, Path]) -> str:
    data = base64.b64encode(images[figure["name"]].read_bytes()).decode("ascii")
    caption = escape(figure["caption"])
    return (
        f'<figure><img alt="{escape(figure["name"])}" '
        f'src="data:image/png;base64,{data}">'
        f"<figcaption>{caption}</figcaption></figure>"
    )


def _folded(title: str, body: str) -> str:
    return f"<details><summary>{escape(title)}</summary>{body}</details>"


def _pairs(pairs: Mapping[str, Any]) -> str:
    rows = "".join(
        f"<tr><td><code>{escape(str(name))}</code></td><td>{escape(_shown(value))}</td></tr>"
        for name, value in pairs.items()
    )
    return f'<div class="wide"><table>{rows}</table></div>'


def _shown(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
