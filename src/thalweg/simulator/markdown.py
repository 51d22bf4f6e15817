"""A long article in Markdown with everything a page must be able to show: headings, lists, tables, code in several
languages, formulas, links, quotes, and text that is wide, runs from right to left, or would be markup.

It is made of templates that take turns, each time with other names and numbers, so that it can go on for ever and never
says the same thing twice in a row.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from itertools import count, cycle, islice

from thalweg.simulator.tokens import split

_SECTION_BLOCKS = 5
"""Blocks below each heading. It has no common divisor with the number of templates, so sections differ in kind, too."""

_RIVERS = ("长江", "黄河", "Danube", "Rhine", "Mekong", "Nile", "Volga", "珠江", "Amazonas", "Loire", "松花江", "Tejo")
_TITLES = (
    "The line of deepest flow",
    "深泓线的位置",
    "Reading a river bed",
    "Sediment and what it remembers",
    "洪水与枯水",
    "Meanders, cut-offs and oxbow lakes",
    "Measuring without getting wet",
    "A border in the water",
    "桥墩与漩涡",
)

_TEMPLATES = (
    """\
The **thalweg** of the «river» is the line that joins the lowest points of its bed. At kilometre «km» it lies \
*«depth» m* below the surface and «offset» m from the «side» bank, where the current reaches «speed» m/s; a boat that \
keeps to it has the most water under its keel. See [the survey of «year»](https://example.com/surveys/«year»?km=«km»).""",
    """\
- **Upstream** of kilometre «km» the bed is gravel.
  - Grains of «small» mm to «large» mm
  - Little sand, and none after a flood
- **Downstream** it is sand:
  - ripples at `v < 0.«small»` m/s
  - dunes above, each «large» m long
    - which move «speed» m a day""",
    """\
```python
from dataclasses import dataclass


@dataclass(frozen=True)
class Sounding:
    \"\"\"One depth, «year».\"\"\"

    station_m: float
    depth_m: float


def thalweg(line: list[Sounding]) -> Sounding:
    return max(line, key=lambda each: each.depth_m)


print(thalweg([Sounding(«offset», «depth»), Sounding(«km», «speed»)]))
```""",
    """\
| station | depth (m) | flow (m³/s) | 备注 |
| :--- | ---: | ---: | :---: |
| «river» «km» | «depth» | «flow» | 深槽 |
| «other» «offset» | «speed» | «large» | 浅滩 |
| «river» «year» | 0.«small» | «small» | `n/a` |""",
    """\
«river»在第 «km» 公里处水深约 «depth» 米，流速为每秒 «speed» 米。深泓线偏向«bank»岸，距岸边约 «offset» 米；\
“水往低处流”，船也沿着它走。「«year» 年」的测量记录里写着：**主流摆动，航道改线**。🌊""",
    """\
The mean velocity follows Manning's formula, with $n = 0.0«small»$ for this reach:

$$
v = \\frac{1}{n} R^{2/3} \\sqrt{S}, \\qquad Q = \\int_0^{«offset»} v(y)\\, h(y)\\, \\mathrm{d}y \\approx «flow»
$$

so that $Q/A = «speed»$ and $\\mathrm{Fr} < 1$: the flow is calm.""",
    """\
> The border follows the middle of the principal channel of navigation, ~~the middle of the water~~ the *thalweg*.
>
> > 以主航道中心线为界。
>
> — a treaty about the «river», «year», article «small»""",
    """\
1. Anchor the rope at «offset» m.
2. Lower the weight until it touches the bed.
   1. Read the depth: «depth» m.
   2. Read it again, and keep the larger.
3. Go on to «km» m.

Then `sort --numeric-sort --key=2 soundings.tsv | tail -1` names the place.""",
    """\
```sql
SELECT station, max(depth_m) AS depth_m
FROM soundings
WHERE river = '«river»' AND year >= «year»
GROUP BY station
HAVING max(depth_m) > «depth» -- metres
ORDER BY station LIMIT «small»;
```""",
    """\
- [x] soundings of «year» read in
- [x] outliers above «large» m left out
- [ ] compare with the «other»
- [ ] 复核第 «km» 公里的水尺""",
    """\
```javascript
// The deepest of each cross-section, kilometre «km» onward.
const deepest = (lines) =>
  lines.map(({ km, soundings }) => ({
    km,
    depth: Math.max(...soundings.filter((d) => d < «large»)),
  }));

console.log(deepest([{ km: «km», soundings: [«speed», «depth»] }]));
```""",
    """\
What looks like markup stays text: `<b>«river»</b>`, a literal \\*star\\*, `a | b`, &lt;«small»&gt;, \
snake_case_«km» and 2 \\* 3 = 6. A line may end here,\\
and go on there. Footnotes are numbers in brackets[^«km»], links may be bare: <https://example.com/«km»>.

[^«km»]: Depth «depth» m, measured in «year».""",
    """\
```rust
fn is_navigable(depth_m: f64, draught_m: f64) -> bool {
    // «small» cm under the keel are enough.
    depth_m - draught_m > 0.«small»
}

fn main() {
    assert!(is_navigable(«depth», «speed»));
}
```""",
    """\
«river»の水深は «depth» メートルです。강의 깊이는 «depth»미터입니다. Глубина реки — «depth» м. عمق النهر «depth» مترًا. \
נהר «small». ความลึก «depth» เมตร. Ça coûte «large» €, naïvement. Combined: e\u0301, 👩‍👩‍👧, 🇨🇳, 👍🏽.""",
    """\
```html
<!-- Nothing of this may run. -->
<p onclick="alert(«small»)">«river» &amp; «other»</p>
<script>document.title = "«km»"</script>
```

```bash
curl --silent "https://example.com/gauge?river=«other»&from=«year»" | jq '.[] | select(.depth > «depth»)'
```""",
    """\
```diff
 [channel.«km»]
-depth_m = «speed»
+depth_m = «depth»
 surveyed = «year»
```

```json
{"river": "«river»", "km": «km», "depth_m": «depth», "rapids": false, "next": null}
```""",
    """\
Term
: *Thalweg*, from German „Tal“ (valley) and „Weg“ (way); 深泓线 in Chinese.

Between the «river» and the «other» it moved by «offset» m within «small» years, which is why its maps have dates.

***""",
)
_FILLERS = (
    "The water of the «river» is «depth» m deep at kilometre «km».",
    "«river»第 «km» 公里处的流速是每秒 «speed» 米。",
    "In «year» the channel lay «offset» m further to the «side».",
    "Whoever follows the «other» long enough comes to the sea.",
)
_BLANK = re.compile("«([a-z]+)»")


def article(prompt: str, rng: random.Random, length: int) -> Iterator[str]:
    """The tokens of an article of exactly that many. A block that does not fit is left out and plain sentences take its
    place, so that no table and no code is cut.
    """
    left = length
    for block in _blocks(prompt, rng):
        tokens = list(split(block + "\n\n"))
        if len(tokens) > left:
            break
        left -= len(tokens)
        yield from tokens
    yield from islice(_plain(rng), left)


def _blocks(prompt: str, rng: random.Random) -> Iterator[str]:
    """Headings, and some blocks below each; without end."""
    yield "# Rivers, at length 长文"
    yield "\n".join(f"> {line}".rstrip() for line in (prompt or "…").split("\n"))
    templates = cycle(_TEMPLATES)
    for number, title in zip(count(1), cycle(_TITLES), strict=False):
        yield f"## {number}. {title}"
        for at in range(_SECTION_BLOCKS):
            if at == _SECTION_BLOCKS // 2:
                yield f"### {number}.1 {rng.choice(_RIVERS)}"
            yield _filled(next(templates), rng)


def _plain(rng: random.Random) -> Iterator[str]:
    """The tokens of plain sentences, without end."""
    for sentence in cycle(_FILLERS):
        yield from split(_filled(sentence, rng) + " ")


def _filled(template: str, rng: random.Random) -> str:
    """A template with names and numbers of its own."""
    river, other = rng.sample(_RIVERS, 2)
    side, bank = rng.choice((("left", "左"), ("right", "右")))
    values = {
        "river": river,
        "other": other,
        "side": side,
        "bank": bank,
        "km": str(rng.randrange(1, 6000)),
        "depth": f"{rng.uniform(2, 60):.2f}",
        "offset": str(rng.randrange(5, 900)),
        "speed": f"{rng.uniform(0.2, 4):.2f}",
        "flow": f"{rng.randrange(200, 40_000):,}",
        "small": str(rng.randrange(11, 99)),
        "large": str(rng.randrange(100, 999)),
        "year": str(rng.randrange(1850, 2025)),
    }
    return _BLANK.sub(lambda found: values[found[1]], template)
