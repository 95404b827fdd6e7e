// The explorer: a list of problems that filters, and one problem with its responses, steps tinted by a reward model.
// Responses are read from their block when a problem is opened.

function startExplorer(index) {
  const root = document.getElementById("explorer-app");
  const control = (name) => root.querySelector(`[name=${name}]`);
  const list = root.querySelector("[role=listbox]");
  const detail = root.querySelector(".problem");
  const { problems, choosers } = index;
  const state = { problem: null, found: [], turn: 0, shown: "", statements: null };

  const place = () => Number(control("generator").value);
  const chooser = () => (choosers.length ? Number(control("chooser").value) : null);
  /** The reward model that is shown beside the first one. */
  const second = () => (["", control("chooser").value].includes(control("second").value) ? null : Number(control("second").value));
  const elected = (p) => index.majority[place()][p];
  const outcome = (p) => (chooser() === null ? null : choosers[chooser()].outcomes[place()][p]);

  const problemView = problemViews(index, { place, chooser, second, stepFrom, choose });
  const position = (p) => `${state.found.indexOf(p) + 1} of ${state.found.length}`;

  const CASES = choosers.length
    ? {
        any: ["any", () => true],
        gained: ["reward model right, majority wrong", (p) => outcome(p) === "1" && elected(p) === "0"],
        lost: ["reward model wrong, majority right", (p) => outcome(p) === "0" && elected(p) === "1"],
        missed: ["both wrong, a right response exists", (p) => outcome(p) === "0" && elected(p) === "0" && index.right[place()][p] > 0],
        hopeless: ["no right response", (p) => index.right[place()][p] === 0],
        both: ["both right", (p) => outcome(p) === "1" && elected(p) === "1"],
        tied: ["right and wrong tie", (p) => outcome(p) === "~" || elected(p) === "~"],
      }
    : {
        any: ["any", () => true],
        right: ["majority right", (p) => elected(p) === "1"],
        missed: ["majority wrong, a right response exists", (p) => elected(p) === "0" && index.right[place()][p] > 0],
        hopeless: ["no right response", (p) => index.right[place()][p] === 0],
        tied: ["right and wrong tie", (p) => elected(p) === "~"],
      };

  function setUp() {
    offer("generator", index.generators.map((name, i) => [i, name]));
    offer("chooser", choosers.map((entry, i) => [i, entry.label]));
    if (choosers.length) control("chooser").value = index.start;
    offer("second", [["", "none"], ...choosers.map((entry, i) => [i, entry.label])], choosers.length < 2);
    const subjects = [...new Set(problems.subject)].filter(Boolean).sort();
    const levels = [...new Set(problems.level)].filter((level) => level !== null).sort((a, b) => a - b);
    offer("subject", [["", "any"], ...subjects.map((name) => [name, name])], subjects.length === 0);
    offer("level", [["", "any"], ...levels.map((level) => [level, `${level}`])], levels.length === 0);
    offer("case", Object.entries(CASES).map(([key, [label]]) => [key, label]));
    control("generator").closest("label").hidden = index.generators.length < 2;
    control("chooser").closest("label").hidden = choosers.length === 0;
    for (const name of ["text", "subject", "level", "case"]) control(name).addEventListener("input", filter);
    for (const name of ["generator", "chooser"])
      control(name).addEventListener("input", () => {
        filter();
        open(state.problem);
      });
    for (const name of ["second", "source"]) control(name).addEventListener("input", () => open(state.problem));
    root.querySelector("form").addEventListener("submit", (event) => event.preventDefault());
    list.addEventListener("keydown", onListKey);
    root.addEventListener("keydown", onKey);
  }

  function offer(name, options, none = false) {
    control(name).replaceChildren(...options.map(([value, label]) => h("option", { value }, label)));
    control(name).closest("label").hidden = none;
  }

  /** The list of problems that pass; a problem that no longer does gives way to the first that does. */
  function filter() {
    const wanted = control("text").value.trim().toLowerCase();
    const [subject, level] = [control("subject").value, control("level").value];
    const passes = (p) =>
      (!wanted || [problems.id[p], problems.text[p], problems.gold[p]].some((text) => text.toLowerCase().includes(wanted))) &&
      (!subject || problems.subject[p] === subject) &&
      (!level || `${problems.level[p]}` === level);
    const before = problems.id.map((_, p) => p).filter(passes);
    for (const option of control("case").options) {
      const [label, holds] = CASES[option.value];
      option.textContent = `${label} (${before.filter(holds).length})`;
    }
    state.found = before.filter(CASES[control("case").value][1]);
    root.querySelector(".count").textContent = `${state.found.length} of ${problems.id.length} problems`;
    list.replaceChildren(...state.found.map(listed));
    if (state.found.includes(state.problem)) mark();
    else open(state.found[0] ?? null);
  }

  function listed(p) {
    const marks = [[elected(p), "majority"]];
    if (chooser() !== null) marks.unshift([outcome(p), "reward model"]);
    const rate = `${index.right[place()][p]}/${index.n[place()][p]}`;
    return h(
      "li",
      {
        role: "option",
        id: `option-${p}`,
        "aria-selected": "false",
        "aria-label": [problems.id[p], kind(problems, p), ...marks.map(([m, who]) => `${who} ${VERDICT[m][1]}`), `${rate} responses right`].filter(Boolean).join(", "),
        onclick: () => open(p),
      },
      h("span", { class: "name" }, problems.id[p]),
      h("span", { class: "marks" }, ...marks.map(([m, who]) => h("span", { class: verdictClass(m), title: `${who}: ${VERDICT[m][1]}` }, VERDICT[m][0])), ` ${rate}`),
      h("span", { class: "start" }, problems.text[p].slice(0, 120)),
    );
  }

  /** Shows in the list which problem is open. */
  function mark() {
    for (const option of list.querySelectorAll("[aria-selected=true]")) option.setAttribute("aria-selected", "false");
    const option = state.problem === null ? null : document.getElementById(`option-${state.problem}`);
    list.setAttribute("aria-activedescendant", option ? option.id : "");
    if (!option) return;
    option.setAttribute("aria-selected", "true");
    scrollTo(list, option);
  }

  /** Brings a child of a scrolling box into its view, and moves nothing else. */
  function scrollTo(box, child) {
    const [from, to] = [child.offsetTop, child.offsetTop + child.offsetHeight];
    if (from < box.scrollTop) box.scrollTop = from;
    else if (to > box.scrollTop + box.clientHeight) box.scrollTop = to - box.clientHeight;
  }

  function step(by) {
    const at = state.found.indexOf(state.problem);
    const next = state.found[Math.min(Math.max(at + by, 0), state.found.length - 1)];
    return next === undefined || next === state.problem ? Promise.resolve() : open(next);
  }

  function onListKey(event) {
    const far = state.found.length;
    const by = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10, Home: -far, End: far }[event.key];
    if (!by) return;
    event.preventDefault();
    step(by);
  }

  /** n and p anywhere in the explorer, except where letters are typed. */
  function onKey(event) {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, select")) return;
    if (event.key === "n") step(1);
    else if (event.key === "p") step(-1);
  }

  async function open(p) {
    state.problem = p;
    const turn = (state.turn += 1);
    mark();
    await pageRead;
    const name = `block-${place()}-${p}`;
    state.statements ??= readBlock("mathematics"); // of all problems' texts
    const reading = p === null ? [] : [readBlock(name), state.statements, readBlock(`mathematics-${name}`)];
    const [block, ...mathematics] = await Promise.all(reading);
    if (turn !== state.turn) return; // another one was asked for meanwhile
    const focused = detail.contains(document.activeElement);
    const typesetters = mathematics.map((formulas) => typesetter(control("source").checked ? null : formulas));
    const view = p === null ? [h("p", {}, "No problem passes the filters.")] : problemView(p, block, position(p), ...typesetters);
    const unfolded = state.shown === name ? [...detail.querySelectorAll(".response[open]")].map((response) => response.dataset.sample) : [];
    state.shown = name;
    detail.replaceChildren(...view);
    for (const response of detail.querySelectorAll(".response")) response.open ||= unfolded.includes(response.dataset.sample);
    const current = detail.querySelector(".current");
    if (current) scrollTo(current.closest(".scroll"), current);
    if (focused) detail.focus();
    performance.mark("problem shown");
  }

  /** The buttons are made anew with each problem: keeps the focus on the one pressed. */
  async function stepFrom(label, by) {
    await step(by);
    [...detail.querySelectorAll(".head button")].find((button) => button.textContent === label)?.focus();
  }

  function choose(c) {
    control("chooser").value = c;
    filter();
    open(state.problem).then(() => detail.querySelector(".current button")?.focus());
  }

  setUp();
  reveal(root);
  filter();
  performance.mark("explorer ready");
}

readBlock("explorer-index").then(startExplorer);
