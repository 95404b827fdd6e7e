"""Driving report.html as a user would, and hostile text for it to show."""

from __future__ import annotations

from pathlib import Path

from browser import Page

from harness.core.records import Problem, Response
from harness.storage.arrow import to_records, to_table
from harness.storage.shards import read_shard, write_shard

#: Holds once the chart and the first problem are shown.
READY = "!!document.querySelector('.problem h3') && !!document.querySelector('#curve-chart svg')"


def choose(page: Page, name: str, value: object) -> None:
    """Set one of the explorer's controls as a user would; for those that show the problem anew, wait until it is."""
    page.run("document.querySelector('.head')?.classList.add('old')")
    page.run(
        f"(() => {{ const c = document.querySelector('#explorer-app [name={name}]'); c.value = {str(value)!r};"
        " c.dispatchEvent(new Event('input', {bubbles: true})) })()"
    )
    if name in ("generator", "chooser", "second"):
        page.wait("!!document.querySelector('.head:not(.old)') && !document.querySelector('.head.old')")


def toggle_source(page: Page) -> None:
    """Show the LaTeX of formulas as it was written, or the formulas again."""
    page.run("document.querySelector('.head').classList.add('old')")
    page.run("document.querySelector('#explorer-app [name=source]').click()")
    page.wait("!!document.querySelector('.head:not(.old)') && !document.querySelector('.head.old')")


def shown_problem(page: Page) -> str:
    text = page.run("document.querySelector('.problem h3')?.textContent ?? ''")
    return str(text).removeprefix("Problem ")


def focus(page: Page, selector: str) -> None:
    page.run(f"document.querySelector({selector!r}).focus()")
    assert page.run(f"document.activeElement.matches({selector!r})")


#: The lowest contrast of a text with what is behind it, and where that is.
CONTRAST = """(() => {
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", {willReadFrequently: true});
  const rgba = (color) => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data]; };
  const over = ([r, g, b, a], under) => [r, g, b].map((c, i) => (c * a + under[i] * (255 - a)) / 255).concat(255);
  const linear = (v) => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
  const light = (c) => { const l = c.slice(0, 3).map((v) => linear(v / 255));
    return .2126 * l[0] + .7152 * l[1] + .0722 * l[2]; };
  const behind = (e) => !e ? [255, 255, 255, 255]
    : over(rgba(getComputedStyle(e).backgroundColor), behind(e.parentElement));
  const walker = document.createTreeWalker(document.querySelector("main"), NodeFilter.SHOW_TEXT);
  let worst = [99, ""];
  while (walker.nextNode()) {
    const e = walker.currentNode.parentElement;
    if (!walker.currentNode.textContent.trim() || !e.checkVisibility() || e.closest("option")) continue;
    const ink = getComputedStyle(e)[e.closest("svg") ? "fill" : "color"];
    const [a, b] = [light(over(rgba(ink), behind(e))), light(behind(e))].sort((x, y) => y - x);
    const ratio = (a + .05) / (b + .05);
    if (ratio < worst[0]) worst = [ratio, e.outerHTML.slice(0, 120)];
  }
  return worst;
})()"""

PLANTED = [
    "</script><script>window.hacked = 1</script>",
    "<img src=x onerror='window.hacked = 1'>",
    "<svg/onload=window.hacked=1>",
    "<!-- <script> window.hacked = 1 ",
    "]]> {{ 7 * 7 }} {% raw %} ${window.hacked = 1} `\u2028\u2029\u0000\u202e\ufeff\U0001d54f",
    "javascript:window.hacked=1",
    "<a href='https://example.org/'>x</a><link rel=stylesheet href=https://example.org/x.css><base href=//example.org>",
    "<iframe srcdoc='<script>parent.hacked = 1</script>'></iframe><style>body { display: none }</style>",
    "</textarea></title></style></template></noscript><meta http-equiv=refresh content='0;url=https://example.org'>",
]


def plant(folder: Path) -> None:
    """Write hostile text into every text of a results folder: problems, answers, subjects, responses, reasons."""
    planted = iter(PLANTED * 1000)
    for path in (folder / "problems" / "test").glob("*.parquet"):
        rows = to_records(Problem, read_shard(path))
        rows = [Problem(r.problem_id, next(planted), next(planted), next(planted), r.level, "test") for r in rows]
        write_shard(path, to_table(Problem, rows), "key")
    for path in (folder / "responses").glob("*/*.parquet"):
        rows = to_records(Response, read_shard(path))
        rows = [Response(r.problem_id, r.generator, r.sample, next(planted)) for r in rows]
        write_shard(path, to_table(Response, rows), "key")
    for path in (folder / "grades").glob("*/*.parquet"):
        table = read_shard(path)
        for column in ("extracted", "reason"):
            values = [next(planted) for _ in range(table.num_rows)]
            table = table.set_column(table.column_names.index(column), column, [values])
        write_shard(path, table, "key")
