// One problem of the explorer: what was chosen, the answers, and the responses.
// The steps of a response are made when it is unfolded.

const VERDICT = { 1: ["✓", "right"], 0: ["✗", "wrong"], "~": ["≈", "a tie of right and wrong"], "-": ["–", "no choice"] };

/**
 * Makes views of problems. `place`, `chooser` and `second` say which generator, which reward model and which other one beside
 * it are selected; `stepFrom` goes to a neighbour, `choose` selects another reward model.
 */
function problemViews(index, { place, chooser, second, stepFrom, choose }) {
  const { problems, choosers } = index;
  const { stepsBy, stepsView, strip } = stepViews(index, place);
  const selected = () => [chooser(), second()].filter((c) => c !== null);
  let set; // the formulas of the block that is shown
  const elected = (p) => index.majority[place()][p];

  /** `statements` and `responses` are typesetters, of the problems' texts and of the block's. */
  function problemView(p, block, position, statements, responses) {
    set = responses;
    const head = h(
      "div",
      { class: "head" },
      h("h3", {}, `Problem ${problems.id[p]}`),
      h("button", { type: "button", onclick: () => stepFrom("Previous", -1) }, "Previous"),
      h("button", { type: "button", onclick: () => stepFrom("Next", 1) }, "Next"),
      h("span", { class: "note" }, [position, kind(problems, p)].filter(Boolean).join(" · ")),
    );
    const statement = [
      h("p", { class: "text statement" }, ...statements.text(p, [...problems.text[p]])),
      h("p", {}, "Gold answer: ", h("code", { class: "gold" }, ...statements.answer(problems.gold[p]))),
    ];
    if (!block) return [head, ...statement, h("p", { class: "note" }, "There are no graded responses to it.")];
    return [head, ...statement, h("div", { class: "pair" }, choicesView(p, block), answersView(block)), ...responsesView(block)];
  }

  function choicesView(p, block) {
    const byClass = new Map(block.answers.map((answer) => [answer.class, answer]));
    const winners = block.elected.map((name) => byClass.get(name));
    const rows = [
      h(
        "tr",
        { class: "rule" },
        h("th", { scope: "row" }, "majority"),
        h("td", {}, ...answerNodes(set, winners.map((answer) => answer.text))),
        verdictCell(elected(p)),
        h("td", {}, winners.length ? `${winners[0].votes} of ${block.n} votes${winners.length > 1 ? " each" : ""}` : "no votes"),
      ),
      ...choosers.map((entry, c) => choiceRow(p, block, entry, c)),
    ];
    return h(
      "div",
      {},
      h("h4", {}, `Choices among ${block.n} responses`),
      h("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": "Choices" }, table(["method", "answer", "verdict", "response"], rows)),
    );
  }

  /** A method's scores of a problem's responses, null for a response that was left unscored; null without scores. */
  function scoresBy(c, block) {
    const { chosen, scores } = block.choosers[c];
    if (!chosen || scores) return scores;
    const { rewards } = block.models[choosers[c].model];
    const scoreOf = choosers[c].aggregation === "last" ? (own) => own.at(-1) : (own) => Math.min(...own);
    return rewards.map((own) => (own.length ? scoreOf(own) : null));
  }

  function scoreText(score) {
    return score === null ? "no score" : `score ${shortNumber(score)}`;
  }

  function choiceRow(p, block, entry, c) {
    const { chosen } = block.choosers[c];
    const scores = scoresBy(c, block);
    const current = c === chooser();
    const pick = h("button", { type: "button", class: "link", "aria-pressed": `${current}`, title: "Tint the steps by its rewards", onclick: () => choose(c) }, entry.label);
    const row = h("tr", { class: current ? "current" : null }, h("th", { scope: "row" }, pick));
    if (!chosen) {
      row.append(h("td", {}), verdictCell("-"), h("td", {}, "not scored"));
      return row;
    }
    const there = chosen.map((sample) => block.samples.indexOf(sample)).filter((k) => k >= 0);
    const links = there.slice(0, 3).flatMap((k, at) => [at ? ", " : "", h("button", { type: "button", class: "link", onclick: () => goTo(block.samples[k]) }, `sample ${block.samples[k]}`)]);
    const more = chosen.length > 1 ? ` (${chosen.length} tie)` : "";
    row.append(
      h("td", {}, ...answerNodes(set, [...new Set(there.map((k) => block.extracted[k]))].slice(0, 3))),
      verdictCell(entry.outcomes[place()][p]),
      h("td", {}, ...links, `${more}, ${scoreText(scores[there[0]])}`),
    );
    return row;
  }

  function answersView(block) {
    const most = 8;
    const rows = block.answers.slice(0, most).map((answer) => {
      const bar = h("span", { class: "bar" });
      bar.style.width = `${(6 * answer.votes) / block.n}rem`;
      return h("tr", {}, h("td", {}, ...answerNodes(set, [answer.text])), verdictCell(answer.right ? "1" : "0"), h("td", { class: "num" }, `${answer.votes}`), h("td", {}, bar));
    });
    const others = block.answers.slice(most);
    const silent = block.n - block.answers.reduce((sum, answer) => sum + answer.votes, 0);
    const rest = [
      others.length ? `${others.length} more answers with ${others.reduce((sum, answer) => sum + answer.votes, 0)} votes` : "",
      silent ? `${silent} responses without an answer` : "",
    ].filter(Boolean);
    return h(
      "div",
      {},
      h("h4", {}, `Answers: ${block.nRight} of ${block.n} responses right`),
      h("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": "Answers" }, table(["answer", "verdict", "votes", ""], rows)),
      rest.length ? h("p", { class: "note" }, `${rest.join("; ")}.`) : null,
    );
  }

  function responsesView(block) {
    const order = h("select", {}, ...[["score", "score"], ["votes", "votes"], ["sample", "sample number"]].map(([value, label]) => h("option", { value }, label)));
    const verdict = h("select", {}, ...[["", "all"], ["1", "right"], ["0", "wrong"]].map(([value, label]) => h("option", { value }, label)));
    if (chooser() === null) order.value = "votes";
    const items = h("div", { class: "responses" });
    const votes = new Map(block.answers.map((answer) => [answer.class, answer.votes]));
    const score = chooser() === null ? null : scoresBy(chooser(), block);
    const chosen = chooser() === null ? [] : block.choosers[chooser()].chosen || [];
    const rank = {
      score: (k) => (!score ? 0 : score[k] === null ? Infinity : -score[k]),
      votes: (k) => -(votes.get(block.classes[k]) || 0),
      sample: () => 0,
    };
    const fillItems = () => {
      const rows = block.samples.map((_, k) => k).filter((k) => !verdict.value || block.correct[k] === verdict.value);
      // Scores are rounded here: a choice comes before what looks equal to it.
      const first = (k) => (chosen.includes(block.samples[k]) ? 0 : 1);
      rows.sort((a, b) => rank[order.value](a) - rank[order.value](b) || first(a) - first(b) || a - b);
      items.replaceChildren(...rows.map((k) => responseView(block, k, votes, score)));
    };
    order.addEventListener("input", fillItems);
    verdict.addEventListener("input", fillItems);
    fillItems();
    const count = block.samples.length < block.n ? `${block.samples.length} of ${block.n} responses` : `${block.n} responses`;
    return [
      h("div", { class: "head" }, h("h4", {}, count), h("label", {}, "sorted by ", order), h("label", {}, "showing ", verdict)),
      items,
    ];
  }

  function responseView(block, k, votes, scores) {
    const columns = selected().map((c) => ({ ...stepsBy(c, block, k), score: scoreText(scoresBy(c, block)?.[k] ?? null) }));
    const own = chooser() === null ? null : block.choosers[chooser()].chosen;
    const others = choosers.filter((_, c) => c !== chooser() && block.choosers[c].chosen?.includes(block.samples[k]));
    const badges = [
      own?.includes(block.samples[k]) ? `choice of ${choosers[chooser()].label}` : "",
      block.elected.includes(block.classes[k]) ? "majority's answer" : "",
      others.length ? `choice of ${others.length > 2 ? `${others.length} other reward models` : others.map((entry) => entry.label).join(", ")}` : "",
    ].filter(Boolean);
    const n = votes.get(block.classes[k]) || 0;
    const body = h("div", { class: "body" });
    const response = h(
      "details",
      { class: "response", "data-sample": block.samples[k] },
      h(
        "summary",
        {},
        h("span", { class: "name" }, `sample ${block.samples[k]}`),
        ...answerNodes(set, [block.extracted[k]]),
        h("span", { class: verdictClass(block.correct[k]) }, `${VERDICT[block.correct[k]][0]} ${VERDICT[block.correct[k]][1]}`),
        h("span", { class: "note" }, `${n} ${n === 1 ? "vote" : "votes"}${scores ? `, ${scoreText(scores[k])}` : ""}`),
        ...columns.slice(1).map(({ c, score }) => h("span", { class: "note" }, `${choosers[c].label}: ${score}`)),
        ...badges.map((text) => h("span", { class: "badge" }, text)),
        h("span", { class: "strips" }, ...columns.filter(({ rewards }) => rewards.length).map(strip)),
      ),
      body,
    );
    response.addEventListener("toggle", () => response.open && !body.childNodes.length && body.append(...bodyView(block, k, columns)));
    response.open = Boolean(own?.[0] === block.samples[k]);
    return response;
  }

  function bodyView(block, k, columns) {
    const characters = [...block.texts[k]]; // offsets count code points
    const steps = stepsView(characters, columns, (from, to) => set.text(k, characters, from, to));
    return [...steps, h("p", { class: "note" }, `Graded ${VERDICT[block.correct[k]][1]}: ${block.reasons[k]}.`)];
  }

  function goTo(sample) {
    const response = document.querySelector(`#explorer-app [data-sample="${sample}"]`);
    if (!response) return;
    response.open = true;
    response.querySelector("summary").focus();
    response.scrollIntoView({ block: "nearest" });
  }

  return problemView;
}

function kind(problems, p) {
  const level = problems.level[p] === null ? "" : `level ${problems.level[p]}`;
  return [problems.subject[p], level].filter(Boolean).join(", ");
}

function verdictClass(mark) {
  return { 1: "right", 0: "wrong" }[mark] || "tie";
}

function verdictCell(mark) {
  return h("td", { class: verdictClass(mark) }, `${VERDICT[mark][0]} ${VERDICT[mark][1]}`);
}

/** Answers as code; "no answer" in words. */
function answerNodes(set, texts) {
  return texts.flatMap((text, i) => [i ? " or " : null, text === null ? h("span", { class: "note" }, "no answer") : h("code", {}, ...set.answer(text))]);
}

function table(heads, rows) {
  return h("table", {}, h("thead", {}, h("tr", {}, ...heads.map((text) => h("th", { scope: "col" }, text)))), h("tbody", {}, ...rows));
}

/** Three digits. */
function shortNumber(value) {
  const text = value !== 0 && (Math.abs(value) < 1e-3 || Math.abs(value) >= 1e5) ? value.toExponential(2) : `${Number(value.toPrecision(3))}`;
  return text.replace("-", "−");
}
