// The steps of a response with their rewards, tinted by rank: one reward model's as a list, two reward models' beside each
// other as a table. Two models may read other steps; the table then cuts the text at the ends of both.

const DECIDES = { min: (rewards) => rewards.indexOf(Math.min(...rewards)), last: (rewards) => rewards.length - 1 };
const DECIDING = { min: "lowest", last: "last" };

/** Makes views of steps. `place` says which generator is selected. */
function stepViews(index, place) {
  const { choosers } = index;

  /** Low ranks among all of the generator's steps in one colour, high ones in the other, the middle clear. */
  function tinted(element, reward, c) {
    const percentiles = index.percentiles[place()][choosers[c].model];
    const below = percentiles.filter((value) => value < reward).length;
    const upTo = percentiles.filter((value) => value <= reward).length;
    const rank = (below + upTo) / 2 / percentiles.length;
    element.classList.add(rank < 0.5 ? "low" : "high");
    element.style.setProperty("--strength", `${Math.round(Math.abs(rank - 0.5) * 200)}%`);
    element.title = `reward ${shortNumber(reward)}, above ${Math.round(100 * rank)} % of all steps`;
    return element;
  }

  /** A cell per step, so that a folded response shows where its rewards fall. */
  function strip({ c, rewards }) {
    return h("span", { class: "strip", "aria-hidden": "true" }, ...rewards.map((reward) => tinted(h("span"), reward, c)));
  }

  /** The chooser `c` with the rewards of its model for a response and the offsets that bound the steps (null where unknown). */
  function stepsBy(c, block, k) {
    const { ends, rewards } = block.models[choosers[c].model] ?? { rewards: [] };
    const own = rewards[k] ?? [];
    const at = own.length ? block.ends[ends][k] : null;
    if (at?.length === own.length) return { c, rewards: own, bounds: [0, ...at] };
    return { c, rewards: own, bounds: at?.length === own.length + 1 ? at : null };
  }

  /**
   * A response's text with the steps of the choosers, each of which is from `stepsBy` and has its `score` for people;
   * `set(from, to)` makes nodes of a part of the text.
   */
  function stepsView(characters, columns, set) {
    // A long text is shortened here, so that steps may end beyond it.
    const within = (at) => Math.min(at, characters.length);
    const cut = columns.filter((column) => column.bounds).map((column) => ({ ...column, bounds: column.bounds.map(within) }));
    const [first, last] = [Math.min(...cut.map(({ bounds }) => bounds[0])), Math.max(...cut.map(({ bounds }) => bounds.at(-1)))];
    const steps = cut.length === 1 ? list(characters, cut[0], set) : besides(characters, cut, set);
    // What no model did not read, before the steps and after them: it reads a part, or the response is too long for it.
    const text = cut.length ? [part(set, 0, first), steps, part(set, last, characters.length)] : [part(set, 0, characters.length)];
    const uncut = columns.filter((column) => column.rewards.length && !column.bounds);
    return [...text, ...uncut.map((column) => rewardsOnly(column, columns.length > 1))].filter(Boolean);
  }

  function part(set, from, to) {
    return from < to ? h("div", { class: "text" }, ...set(from, to)) : null;
  }

  function rewardsOnly({ c, rewards }, named) {
    const cells = rewards.map((reward) => tinted(h("span", { class: "key" }, shortNumber(reward)), reward, c));
    const whose = named ? ` of ${choosers[c].label}` : "";
    return h("p", { class: "note" }, `Step rewards${whose}: `, ...cells.flatMap((cell) => [cell, " "]), "(the recorded steps do not rebuild the text)");
  }

  /** The nodes of a step, without the spaces around it. */
  function stepNodes(characters, from, to, set) {
    while (from < to && !characters[from].trim()) from += 1;
    while (from < to && !characters[to - 1].trim()) to -= 1;
    return from < to ? set(from, to) : ["(empty)"];
  }

  function list(characters, { c, rewards, bounds }, set) {
    const steps = rewards.map((reward, i) =>
      tinted(
        h(
          "li",
          { class: "step" },
          h("span", { class: "reward" }, shortNumber(reward)),
          h("span", { class: "text" }, ...stepNodes(characters, bounds[i], bounds[i + 1], set)),
        ),
        reward,
        c,
      ),
    );
    return h("ol", { class: "steps" }, ...steps);
  }

  /** A column of rewards for each chooser, then the text; a cell is as high as its step. */
  function besides(characters, columns, set) {
    const bounds = columns.map((column) => column.bounds.map((at) => skipSpace(characters, at)));
    const { cuts, slots } = merged(bounds);
    const rows = cuts.slice(1).map((to, row) => {
      const cells = columns.map((column, i) => rewardCell(column, slots[i], row, cuts.length - 1));
      return h("tr", { class: "step" }, ...cells, h("td", { class: "text" }, ...stepNodes(characters, cuts[row], to, set)));
    });
    const heads = columns.map(({ c, score }) => h("th", { scope: "col", class: "num" }, choosers[c].label, h("small", {}, score)));
    const label = `Steps with the rewards of ${columns.map(({ c }) => choosers[c].label).join(" and ")}`;
    const body = h("table", { class: "beside" }, h("thead", {}, h("tr", {}, ...heads, h("th", { scope: "col" }, "step"))), h("tbody", {}, ...rows));
    return h("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": label }, body);
  }

  /** The cell that begins in a row; null in the other rows of a step. What a model has not read has an empty one. */
  function rewardCell({ c, rewards }, slots, row, rowCount) {
    const i = slots.indexOf(row);
    if (row === 0 && slots[0] > 0) return h("td", { rowspan: slots[0] }, unread());
    if (i < 0) return null;
    if (i === rewards.length) return h("td", { rowspan: rowCount - row }, unread());
    const { aggregation } = choosers[c];
    const mark = DECIDES[aggregation]?.(rewards) === i ? h("small", { class: "mark" }, ` ${DECIDING[aggregation]}`) : null;
    const cell = h("td", { class: mark ? "reward decides" : "reward", rowspan: slots[i + 1] - row }, shortNumber(rewards[i]), mark);
    return tinted(cell, rewards[i], c);
  }

  function unread() {
    return h("span", { class: "note" }, "not read");
  }

  return { stepsBy, stepsView, strip };
}

/** Models that end a step before or after a line break would else cut the text twice. */
function skipSpace(characters, at) {
  while (at < characters.length && !characters[at].trim()) at += 1;
  return at;
}

/**
 * The bounds of several cuttings as one: `cuts`, and for each cutting the places of its own bounds among them. A bound that
 * one cutting has twice, for an empty step, is there twice.
 */
function merged(cuttings) {
  const counts = new Map();
  const occurrences = cuttings.map((bounds) => bounds.map((at, i) => i - bounds.indexOf(at)));
  cuttings.forEach((bounds, c) => bounds.forEach((at, i) => counts.set(at, Math.max(counts.get(at) ?? 0, occurrences[c][i] + 1))));
  const cuts = [...counts.keys()].sort((a, b) => a - b).flatMap((at) => Array(counts.get(at)).fill(at));
  return { cuts, slots: cuttings.map((bounds, c) => bounds.map((at, i) => cuts.indexOf(at) + occurrences[c][i])) };
}
