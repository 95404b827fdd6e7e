"""report.html in a browser: what it shows against the records, keyboard, colours, widths, and hostile text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from browser import Browser, Page
from PIL import Image
from report_page import CONTRAST, READY, choose, focus, plant, shown_problem, toggle_source
from results_folder import GENERATORS, HOSTILE, N_PROBLEMS, N_SAMPLES, REWARD_MODELS, write_results

from harness.analysis.selection import best_of_n, majority
from harness.core.records import Response
from harness.report.write import write_report
from harness.storage.results import Results, load_results


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = write_results(tmp_path_factory.mktemp("results") / "tiny")
    write_report(path)
    return path


@pytest.fixture(scope="module")
def results(folder: Path) -> Results:
    return load_results(folder)


@pytest.fixture
def page(chromium: Browser, folder: Path) -> Iterator[Page]:
    page = chromium.open(folder / "report.html")
    page.wait(READY)
    yield page
    assert page.complaints() == []
    assert page.requests() == [(folder / "report.html").resolve().as_uri()]
    page.close()


# --- what it says ------------------------------------------------------------------------------------------


def expected_choices(results: Results, generator: str, problem_id: str) -> dict[str, tuple[str, list[int]]]:
    """Per method its verdict, by analysis.selection on the records, and for reward models the samples chosen."""
    grades = results.grades
    grades = grades[(grades["generator"] == generator) & (grades["problem_id"] == problem_id)].sort_values("sample")
    correct = grades["correct"].to_numpy()[None]

    def verdict(accuracy: float) -> str:
        return {0.0: "wrong", 1.0: "right"}.get(accuracy, "a tie of right and wrong")

    found = {"majority": (verdict(majority(grades["answer_class"].to_numpy()[None], correct)[0]), list[int]())}
    for model in REWARD_MODELS:
        table = results.scores(model, generator).to_pandas()
        own = table[table["problem_id"] == problem_id].sort_values("sample")
        scores = own["step_rewards"].map(min).to_numpy()
        chosen = np.flatnonzero(scores == scores.max()).tolist()
        found[model] = (verdict(best_of_n(scores[None], correct)[0]), chosen)
    return found


def test_explorer_shows_the_choices_of_every_problem(page: Page, results: Results) -> None:
    toggle_source(page)
    for place, generator in enumerate(GENERATORS):
        choose(page, "generator", place)
        focus(page, "[role=listbox]")
        page.press("Home")
        for problem in results.problems.to_dict("records"):
            page.wait(lambda wanted=problem["problem_id"]: shown_problem(page) == wanted, problem["problem_id"])
            assert page.run("document.querySelector('.statement').textContent") == problem["problem"]
            assert page.run("document.querySelector('.gold').textContent") == problem["answer"]
            rows = page.run(
                "[...document.querySelectorAll('.pair [aria-label=Choices] tbody tr')]"
                ".map(row => [...row.cells].map(cell => cell.textContent))"
            )
            expected = expected_choices(results, generator, problem["problem_id"])
            assert [row[0] for row in rows] == list(expected)
            for name, _, verdict, where in rows:
                assert verdict.split(" ", 1)[1] == expected[name][0], (problem["problem_id"], name)
                if name != "majority":
                    assert [int(s) for s in re.findall(r"sample (\d+)", where)] == expected[name][1]
            page.press("ArrowDown")


def test_a_response_shows_its_steps_with_the_rewards_of_the_chosen_model(page: Page, results: Results) -> None:
    toggle_source(page)
    for place, model in enumerate(REWARD_MODELS):
        choose(page, "chooser", place)
        problem_id = shown_problem(page)
        table = results.scores(model, GENERATORS[0]).to_pandas()
        own = table[table["problem_id"] == problem_id].set_index("sample")["step_rewards"]
        order = page.run("[...document.querySelectorAll('.response')].map(r => Number(r.dataset.sample))")
        assert order == own.map(min).sort_values(ascending=False, kind="stable").index.tolist()
        page.run("document.querySelectorAll('.response').forEach(r => { r.open = true })")
        page.wait(f"document.querySelectorAll('.step').length === {2 * N_SAMPLES}")
        shown = page.run(
            "[...document.querySelectorAll('.response')].map(r => [...r.querySelectorAll('.step')]"
            ".map(s => [s.querySelector('.reward').textContent, s.querySelector('.text').textContent]))"
        )
        for sample, steps in zip(order, shown, strict=True):
            assert [text for _, text in steps] == [part.strip() for part in HOSTILE.split("\n")]
            numbers = [float(reward.replace("−", "-")) for reward, _ in steps]
            assert numbers == [float(f"{value:.3g}") for value in own[sample]]
        # Tints: low rewards in one colour, high ones in the other, stronger away from the middle.
        cells = page.run(
            "[...document.querySelectorAll('.step')]"
            ".map(s => [s.querySelector('.reward').textContent.replace('−', '-'),"
            " s.classList.contains('low'), parseFloat(s.style.getPropertyValue('--strength'))])"
        )
        frame = pd.DataFrame(cells, columns=["reward", "low", "strength"]).astype({"reward": float})
        signed = np.where(frame["low"], -frame["strength"], frame["strength"])[np.argsort(frame["reward"])]
        assert (np.diff(signed) >= 0).all()
        flat = np.concatenate(table["step_rewards"].to_numpy())
        rank = np.array([(flat < value).mean() for value in frame["reward"]])
        assert np.abs(np.where(frame["low"], -frame["strength"], frame["strength"]) / 200 + 0.5 - rank).max() < 0.03


def test_formulas_are_set_and_their_source_is_at_hand(page: Page) -> None:
    """The problems have $1$, the responses $\\boxed{1}$ in their first step."""
    statement = "document.querySelector('.statement')"
    assert page.run(f"[...{statement}.querySelectorAll('math *')].map(e => [e.localName, e.textContent])") == [
        ["mn", "1"]
    ]
    assert page.run(f"{statement}.querySelector('.formula').title") == "$1$"
    page.wait("!!document.querySelector('.step .formula')")
    box = "document.querySelector('.step .formula .box')"
    assert page.run(f"[{box}.namespaceURI, {box}.textContent, getComputedStyle({box}).borderTopStyle]") == [
        "http://www.w3.org/1998/Math/MathML",
        "1",
        "solid",
    ]
    opened = "[...document.querySelectorAll('.response[open]')].map(r => r.dataset.sample)"
    page.run("document.querySelectorAll('.response')[3].open = true")
    page.wait(f"{opened}.length === 2")
    before = page.run(opened)
    toggle_source(page)
    assert page.run(f"{statement}.textContent") == "What is <i>0</i> & $1$?"
    assert page.run("document.querySelectorAll('math').length") == 0
    page.wait("!!document.querySelector('.step')")
    assert "$\\boxed{1}$" in page.run("document.querySelector('.step .text').textContent")
    assert page.run(opened) == before
    toggle_source(page)
    page.wait("!!document.querySelector('.step math')")


def test_two_reward_models_are_shown_beside_each_other(page: Page, results: Results) -> None:
    first, second = list(REWARD_MODELS)[:2]
    choose(page, "chooser", 0)
    choose(page, "second", 1)
    page.run("document.querySelectorAll('.response').forEach(r => { r.open = true })")
    page.wait(f"document.querySelectorAll('.step').length === {2 * N_SAMPLES}")
    tables = {
        model: results.scores(model, GENERATORS[0])
        .to_pandas()
        .query(f"problem_id == '{shown_problem(page)}'")
        .set_index("sample")
        for model in (first, second)
    }
    shown = page.run(
        "[...document.querySelectorAll('.response')].map(r => [Number(r.dataset.sample),"
        " r.querySelector('summary').textContent,"
        " [...r.querySelectorAll('thead th')].map(e => e.textContent),"
        " [...r.querySelectorAll('tr.step')].map(s => [...s.querySelectorAll('.reward')].map(e =>"
        " [e.textContent, e.className, getComputedStyle(e).backgroundColor]))])"
    )
    assert len(shown) == N_SAMPLES
    tints: dict[str, set[str]] = {}
    for sample, summary, heads, steps in shown:
        for column, model in enumerate((first, second)):
            rewards = tables[model].loc[sample, "step_rewards"]
            assert heads[column].startswith(model)
            texts = [cells[column][0] for cells in steps]
            assert [float(text.split()[0].replace("−", "-")) for text in texts] == [float(f"{v:.3g}") for v in rewards]
            assert [text.endswith("lowest") for text in texts] == [value == min(rewards) for value in rewards]
            assert f"score {float(f'{min(rewards):.3g}'):g}".replace("-", "−") in heads[column]
            tints.setdefault(model, set()).update(cells[column][2] for cells in steps)
        assert second in summary
    assert all(len(colors) > 4 for colors in tints.values())
    choose(page, "second", 0)  # the first one once more: nothing to compare
    assert page.run("document.querySelectorAll('.beside').length") == 0


def listed_problems(page: Page) -> list[str]:
    names: list[str] = page.run("[...document.querySelectorAll('[role=option] .name')].map(e => e.textContent)")
    return names


@pytest.mark.parametrize(
    ("case", "verdict_of_model", "verdict_of_majority"),
    [("gained", "right", "wrong"), ("lost", "wrong", "right"), ("both", "right", "right")],
)
def test_a_case_lists_its_problems(
    page: Page, results: Results, case: str, verdict_of_model: str, verdict_of_majority: str
) -> None:
    model = list(REWARD_MODELS)[1]
    choose(page, "chooser", 1)
    choose(page, "case", case)
    choices = {p: expected_choices(results, GENERATORS[0], p) for p in results.problems["problem_id"]}
    expected = [
        problem_id
        for problem_id, verdicts in choices.items()
        if (verdicts[model][0], verdicts["majority"][0]) == (verdict_of_model, verdict_of_majority)
    ]
    assert listed_problems(page) == expected
    label = page.run("document.querySelector('#explorer-app [name=case]').selectedOptions[0].textContent")
    assert label.endswith(f"({len(expected)})")
    count = page.run("document.querySelector('.count').textContent")
    assert count == f"{len(expected)} of {N_PROBLEMS} problems"


def test_filters_leave_the_problems_they_name(page: Page, results: Results) -> None:
    choose(page, "subject", "geometry")
    choose(page, "level", "3")
    problems = results.problems
    expected = problems.loc[(problems["subject"] == "geometry") & (problems["level"] == 3), "problem_id"].tolist()
    assert listed_problems(page) == expected and expected
    choose(page, "subject", "")
    choose(page, "level", "")
    focus(page, "#explorer-app [name=text]")
    page.type("P05")
    assert listed_problems(page) == ["p05"]
    page.wait(lambda: shown_problem(page) == "p05")
    page.type("nothing like it")
    assert listed_problems(page) == []
    page.wait("document.querySelector('.problem').textContent.startsWith('No problem')")


def test_curves_read_out_what_the_table_says(page: Page, folder: Path) -> None:
    accuracy = pd.read_csv(folder / "tables" / "accuracy.csv").fillna("")
    strategies = {"pass@1": "average", "majority": "majority", "pass@n (oracle)": "oracle"}
    for place in ("average", *GENERATORS):
        name = "average over generators" if place == "average" else place
        page.run(
            "(() => { const s = document.querySelector('[name=place]');"
            f" s.value = [...s.options].find(o => o.textContent === {name!r}).value;"
            " s.dispatchEvent(new Event('change')) })()"
        )
        focus(page, ".plot")
        page.press("Home")
        for n in (1, 2, 4, 8):
            assert page.run("document.querySelector('.at-n').textContent") == f"accuracy at n = {n}"
            rows = page.run(
                "[...document.querySelectorAll('#curve-chart tbody tr')].map(r => [...r.cells].map(c => c.textContent))"
            )
            assert len(rows) == 3 + len(REWARD_MODELS)
            for label, value, interval in rows:
                strategy = strategies.get(label, "best_of_n")
                model = "" if label in strategies else label
                keys = (accuracy["generator"] == place) & (accuracy["n"] == n) & (accuracy["strategy"] == strategy)
                row = accuracy[keys & (accuracy["reward_model"] == model)].iloc[0]
                expected = row[["accuracy", "ci_low", "ci_high"]]
                for found, number in zip([value, *interval.split(" to ")], expected, strict=True):
                    assert float(found) == pytest.approx(number, abs=0.05001)
            page.press("ArrowRight")
        assert page.run("document.querySelector('.plot').getAttribute('aria-valuetext')").startswith("n = 8: ")


def test_the_pointer_finds_the_line_it_is_near(page: Page) -> None:
    box = page.run("(() => { const b = document.querySelector('.plot').getBoundingClientRect(); return [b.x, b.y] })()")
    page.run("document.querySelector('.plot').scrollIntoView({block: 'center'})")
    box = page.run("(() => { const b = document.querySelector('.plot').getBoundingClientRect(); return [b.x, b.y] })()")
    dot = page.run(
        "(() => { const m = [...document.querySelectorAll('.plot [data-line] .marker')].find(m =>"
        " !m.parentNode.previousSibling.matches('[data-line=\"9\"]'));"
        " const b = m.getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2] })()"
    )
    page.hover(dot[0], dot[1])
    assert page.run("document.querySelectorAll('.plot .raised').length") == 1
    assert page.run("document.querySelectorAll('#curve-chart tr.raised').length") == 1
    assert page.run("document.querySelectorAll('.band path').length") == 1
    assert "95 % interval" in page.run("document.querySelector('.readout').textContent")
    page.hover(box[0] - 20, box[1] - 200)
    assert page.run("document.querySelectorAll('.plot .raised').length") == 0


# --- keyboard, tables, appearance --------------------------------------------------------------------------


def test_tables_sort_by_keyboard_and_come_back(page: Page) -> None:
    table = "document.querySelectorAll('table.grouped')[0]"
    read = f"[...{table}.tBodies[0].rows].map(r => [r.cells[0].textContent, r.cells[3].dataset.value])"
    original = page.run(read)
    # The third leaf column: the first generator at the largest n.
    page.run("document.querySelectorAll('table.grouped')[0].tHead.rows[1].cells[2].querySelector('button').focus()")
    state = "document.querySelectorAll('table.grouped')[0].tHead.rows[1].cells[2].getAttribute('aria-sort')"
    assert page.run(state) is None
    page.press("Enter")
    assert page.run(state) == "descending"
    values = [float(value) for _, value in page.run(read)]
    assert values == sorted(values, reverse=True) and len(set(values)) > 3
    page.press(" ")
    assert page.run(state) == "ascending"
    assert [float(value) for _, value in page.run(read)] == sorted(values)
    page.press("Enter")
    assert page.run(state) is None
    assert page.run(read) == original
    # A head that spans both rows, over names.
    page.run("document.querySelectorAll('table.grouped')[0].tHead.rows[0].cells[0].querySelector('button').focus()")
    page.press("Enter")
    names = [name for name, _ in page.run(read)]
    assert names == sorted(names, key=lambda name: [int(p) if p.isdigit() else p for p in re.split(r"(\d+)", name)])


def test_everything_is_reached_by_tab_with_a_visible_focus(page: Page) -> None:
    reached: list[str] = []
    for _ in range(400):
        page.press("Tab")
        found: Any = page.run(
            "(() => { const e = document.activeElement; if (e === document.body) return null;"
            " const s = getComputedStyle(e);"
            " return [e.dataset.key ??= String(Math.random()), e.tagName + (e.className && '.' + e.className) +"
            " (e.name ? '[' + e.name + ']' : '') + (e.getAttribute('role') || ''),"
            " s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) >= 1] })()"
        )
        if found is None or found[0] in reached:
            break
        assert found[2], f"no visible focus on {found[1]}"
        reached.append(found[0])
    focusable = page.run(
        "[...document.querySelectorAll('a[href], button, input, select, summary, [tabindex=\"0\"]')]"
        ".filter(e => e.checkVisibility({visibilityProperty: true})).filter(e => !e.dataset.key)"
        ".map(e => e.outerHTML.slice(0, 80))"
    )
    assert focusable == []
    assert len(reached) > 50


def test_keys_walk_through_problems_wherever_the_focus_is_in_the_explorer(page: Page, results: Results) -> None:
    ids = results.problems["problem_id"].tolist()
    focus(page, "[role=listbox]")
    assert shown_problem(page) == ids[0]
    page.press("n")
    page.wait(lambda: shown_problem(page) == ids[1])
    focus(page, ".response summary")
    page.press("n")
    page.wait(lambda: shown_problem(page) == ids[2])
    page.press("p")  # the focus is still in the explorer, though what it was on is gone
    page.wait(lambda: shown_problem(page) == ids[1])
    page.run("[...document.querySelectorAll('.head button')].find(b => b.textContent === 'Next').focus()")
    page.press("Enter")
    page.wait(lambda: shown_problem(page) == ids[2])
    page.wait("document.activeElement.textContent === 'Next'")
    focus(page, "[role=listbox]")
    page.press("End")
    page.wait(lambda: shown_problem(page) == ids[-1])
    option = page.run("document.querySelector('[role=listbox]').getAttribute('aria-activedescendant')")
    assert page.run(f"document.getElementById({option!r}).getAttribute('aria-selected')") == "true"
    focus(page, "#explorer-app [name=text]")
    page.press("p")  # a letter to search for, no command
    assert page.run("document.querySelector('#explorer-app [name=text]').value") == "p"


def test_a_choice_leads_to_its_response_and_to_its_rewards(page: Page) -> None:
    find = (
        "[...document.querySelectorAll('[aria-label=Choices] tbody tr')].find(r => r.cells[0].textContent === 'ce-2')"
    )
    page.run(f"{find}.cells[0].querySelector('button').focus()")
    page.press("Enter")
    page.wait("document.querySelector('.current')?.cells[0].textContent === 'ce-2'")
    page.wait("document.activeElement.textContent === 'ce-2'")
    assert page.run("document.querySelector('[name=chooser]').selectedOptions[0].textContent") == "ce-2"
    page.run(f"{find.replace('ce-2', 'log-likelihood')}.cells[3].querySelector('button').focus()")
    sample = page.run("document.activeElement.textContent").removeprefix("sample ")
    page.press("Enter")
    page.wait(f"document.activeElement.parentNode.dataset.sample === '{sample}'")
    assert page.run("document.activeElement.parentNode.open")
    page.wait("document.activeElement.parentNode.querySelectorAll('.step').length === 2")
    assert "log-likelihood" in page.run("document.activeElement.textContent")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_figures_are_drawn_on_the_page_s_colour(chromium: Browser, folder: Path, tmp_path: Path, scheme: str) -> None:
    page = chromium.open(folder / "report.html", scheme=scheme)
    page.wait("[...document.images].every(i => i.complete)")
    x, y, width, height = page.run(
        "(() => { document.images[0].scrollIntoView(); const b = document.images[0].getBoundingClientRect();"
        " return [b.x, b.y, b.width, b.height].map(Math.round) })()"
    )
    page.screenshot(tmp_path / "page.png")
    shown = np.asarray(Image.open(tmp_path / "page.png").convert("RGB")).astype(int)
    figure, beside = shown[y + 4 : y + height - 4, x + 4 : x + width - 4], shown[y + height // 2, 8]
    behind = (np.abs(figure - beside).max(axis=-1) <= 2).mean()
    assert behind > 0.6
    ink = figure.mean(axis=-1)
    assert (ink.min() < 80 and beside.min() == 255) if scheme == "light" else (ink.max() > 180 and beside.max() < 40)
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_is_legible_and_fits_at_every_width(chromium: Browser, folder: Path, scheme: str) -> None:
    for width in (400, 1400):
        page = chromium.open(folder / "report.html", width, 900, scheme)
        page.wait(READY)
        page.run("document.querySelectorAll('details').forEach(d => { d.open = true })")
        assert page.run("document.documentElement.scrollWidth") <= width
        ratio, where = page.run(CONTRAST)
        assert ratio >= 4.5, where
        darkness = page.run("getComputedStyle(document.body).backgroundColor")
        assert (darkness == "rgb(255, 255, 255)") == (scheme == "light")
        assert page.run("[...document.images].every(i => i.complete && i.naturalWidth > 0)")
        assert page.complaints() == []
        page.close()


def test_headings_landmarks_and_names_are_there_for_screen_readers(page: Page) -> None:
    levels = page.run("[...document.querySelectorAll('h1, h2, h3, h4')].map(h => Number(h.tagName[1]))")
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(b <= a + 1 for a, b in pairwise(levels))
    assert page.run("['main', 'nav', 'header'].every(t => document.querySelector(t))")
    links = page.run("[...document.querySelectorAll('nav a')].every(a => document.getElementById(a.hash.slice(1)))")
    assert links
    tree = page.call("Accessibility.getFullAXTree")["nodes"]
    wanted = {"button", "combobox", "listbox", "option", "slider", "searchbox", "checkbox", "image", "region", "link"}
    nameless = [
        node["role"]["value"]
        for node in tree
        if not node["ignored"] and node["role"]["value"] in wanted and not node.get("name", {}).get("value")
    ]
    assert nameless == []
    stops = "[...document.querySelectorAll('[tabindex=\"0\"]')]"
    assert page.run(f"{stops}.every(e => e.getAttribute('aria-label') || e.getAttribute('aria-labelledby'))")
    assert {"listbox", "slider", "navigation", "main"} <= {n["role"]["value"] for n in tree if not n["ignored"]}


# --- hostile text ------------------------------------------------------------------------------------------

MODEL = "<img src=x onerror=window.hacked=1>"


def test_hostile_text_everywhere_is_text(chromium: Browser, tmp_path: Path) -> None:
    """In problems, answers, subjects, ids, responses, extracted answers, reasons, and a reward model's name."""
    folder = write_results(tmp_path / "results", {MODEL: {"token_passes": {}}, "plain": {"token_passes": {}}})
    plant(folder)
    write_report(folder)
    results = load_results(folder)

    page = chromium.open(folder / "report.html")
    page.wait(READY)
    toggle_source(page)
    for row, problem in enumerate(results.problems.to_dict("records")):
        page.wait(lambda wanted=problem["problem_id"]: shown_problem(page) == wanted)
        assert page.run("document.querySelector('.statement').textContent") == problem["problem"]
        assert page.run("document.querySelector('.gold').textContent") == problem["answer"]
        page.run("document.querySelectorAll('.response').forEach(r => { r.open = true })")
        page.wait("[...document.querySelectorAll('.response .body')].every(b => b.childNodes.length)")
        texts = page.run(
            "[...document.querySelectorAll('.response')].map(r => [Number(r.dataset.sample),"
            " [...r.querySelectorAll('.body .text')].map(t => t.textContent).join('')])"
        )
        stored = results.rows(Response, "responses", GENERATORS[0])[problem["problem_id"]].to_pandas()
        for sample, text in texts:
            (whole,) = stored.loc[stored["sample"] == sample, "text"]
            assert re.sub(r"\s|\ufeff", "", text).replace("(empty)", "") in re.sub(r"\s|\ufeff", "", whole), row
        focus(page, "[role=listbox]")
        page.press("ArrowDown")
    assert page.run("typeof window.hacked") == "undefined"
    assert page.complaints() == []
    assert page.requests() == [(folder / "report.html").resolve().as_uri()]
    allowed = page.run(
        "document.querySelectorAll('iframe, link, base, main script, main img:not([src^=\"data:\"])').length"
    )
    assert allowed == 0
    # Text from outside reaches the page only through the script's blocks or escaped, so no element is from it.
    assert page.run(
        "[...document.querySelectorAll('*')].every(e => e.getAttributeNames().every(n => !n.startsWith('on')))"
    )
    page.close()


def test_the_policy_stops_what_slips_through(chromium: Browser, folder: Path, tmp_path: Path) -> None:
    """Markup that got into the page all the same would neither run nor reach out."""
    text = (folder / "report.html").read_text()
    planted = "<script>window.hacked = 1</script><img src='https://example.org/x.png' onerror='window.hacked = 1'>"
    planted += "<style>body { display: none }</style><p id='late'>here</p>"
    (tmp_path / "report.html").write_text(text.replace("<main>", f"<main>{planted}", 1))
    page = chromium.open(tmp_path / "report.html")
    page.wait(READY)
    assert page.run("!!document.getElementById('late')")
    assert page.run("typeof window.hacked") == "undefined"
    assert page.run("getComputedStyle(document.body).display") != "none"
    responses = [e for e in page.events if e["method"] == "Network.responseReceived"]
    assert [
        e["params"]["response"]["url"] for e in responses if e["params"]["response"]["url"].startswith("http")
    ] == []
    assert any("Content Security Policy" in complaint for complaint in page.complaints())
    page.close()


def test_without_reward_models_the_explorer_shows_the_votes(chromium: Browser, tmp_path: Path) -> None:
    folder = write_results(tmp_path, reward_models={})
    write_report(folder)
    page = chromium.open(folder / "report.html")
    page.wait(READY)
    rows = page.run("[...document.querySelectorAll('[aria-label=Choices] tbody th')].map(c => c.textContent)")
    assert rows == ["majority"]
    assert page.run("document.querySelector('[name=chooser]').closest('label').hidden")
    page.run("document.querySelector('.response summary').click()")
    page.wait("document.querySelector('.response .text')?.textContent.startsWith('Step 1')")
    assert page.complaints() == []
    page.close()
