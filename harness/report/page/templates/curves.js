// Accuracy against n, drawn from numbers: hover or arrow keys move a cursor along n, and the table below says what every
// line is worth there.

const CHART = { height: 380, top: 12, bottom: 44, left: 46 };
const MARKERS = {
  o: "M-3.5 0a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0 -7 0Z",
  s: "M-3 -3H3V3H-3Z",
  "^": "M0 -4L3.8 3H-3.8Z",
  v: "M0 4L3.8 -3H-3.8Z",
  "<": "M-4 0L3 -3.8V3.8Z",
  ">": "M4 0L-3 -3.8V3.8Z",
  D: "M0 -4.4L4.4 0L0 4.4L-4.4 0Z",
  P: "M-1.3 -4H1.3V-1.3H4V1.3H1.3V4H-1.3V1.3H-4V-1.3H-1.3Z",
  X: "M-3.9 -2.3L-2.3 -3.9L0 -1.6L2.3 -3.9L3.9 -2.3L1.6 0L3.9 2.3L2.3 3.9L0 1.6L-2.3 3.9L-3.9 2.3L-1.6 0Z",
  h: "M0 -4L3.5 -2V2L0 4L-3.5 2V-2Z",
};

function startCurves(data) {
  const root = document.getElementById("curve-chart");
  const place = root.querySelector("[name=place]");
  const strategy = root.querySelector("[name=strategy]");
  const plot = root.querySelector(".plot");
  const readout = root.querySelector(".readout");
  const rows = root.querySelector("tbody");
  const state = { at: 0, line: null, shown: new Set() };
  place.append(...data.places.map((entry, i) => h("option", { value: i }, entry.name)));
  if (!data.lines.some((line) => line.strategy)) strategy.closest("label").hidden = true;
  data.lines.forEach((line, i) => line.shown && state.shown.add(i));

  const here = () => data.places[place.value];
  /** Indices of the lines that belong to the chosen strategy and have numbers here. */
  const available = () =>
    data.lines
      .map((_, i) => i)
      .filter((i) => !data.lines[i].strategy || data.lines[i].strategy === strategy.value)
      .filter((i) => here().values[i].some((point) => point));
  const visible = () => available().filter((i) => state.shown.has(i));

  let scale;
  function draw() {
    const width = Math.max(plot.clientWidth, 260);
    const { ns, values } = here();
    const lines = visible();
    const labelled = width > 620 && lines.length <= 14;
    const longest = Math.max(0, ...lines.map((i) => data.lines[i].label.length));
    const right = labelled ? Math.min(24 + 6.6 * longest, width / 3) : 16;
    const heights = lines.flatMap((i) => values[i].filter(Boolean).map((point) => point[0]));
    const ticks = heights.length ? niceTicks(Math.min(...heights), Math.max(...heights)) : [0, 50, 100];
    const [low, high] = [ticks[0], ticks.at(-1)];
    const logs = ns.map(Math.log2);
    const span = logs.at(-1) - logs[0] || 1;
    scale = {
      width,
      right,
      x: (k) => CHART.left + ((logs[k] - logs[0]) / span) * (width - CHART.left - right),
      y: (value) => CHART.top + ((high - value) / (high - low)) * (CHART.height - CHART.top - CHART.bottom),
    };
    const axes = svg("g", { class: "axes" });
    for (const tick of ticks) {
      axes.append(
        svg("line", { x1: CHART.left, x2: width - right, y1: scale.y(tick), y2: scale.y(tick) }),
        svg("text", { x: CHART.left - 8, y: scale.y(tick) + 4, "text-anchor": "end" }, `${tick}`),
      );
    }
    const bottom = CHART.height - CHART.bottom;
    ns.forEach((n, k) => axes.append(svg("text", { x: scale.x(k), y: bottom + 18, "text-anchor": "middle" }, `${n}`)));
    axes.append(
      svg("text", { x: (CHART.left + width - right) / 2, y: bottom + 36, "text-anchor": "middle" }, "samples per problem, n"),
      svg("text", { x: 0, y: 0, transform: `translate(12 ${(CHART.top + bottom) / 2}) rotate(-90)`, "text-anchor": "middle" }, "accuracy (%)"),
    );
    const drawing = svg("svg", { viewBox: `0 0 ${width} ${CHART.height}`, width, height: CHART.height, "aria-hidden": "true" }, axes);
    const area = { x: CHART.left, y: CHART.top, width: width - CHART.left - right, height: bottom - CHART.top };
    drawing.append(svg("clipPath", { id: "plot-area" }, svg("rect", area)));
    drawing.append(svg("g", { class: "band", "clip-path": "url(#plot-area)" }), svg("line", { class: "cursor", y1: CHART.top, y2: bottom }));
    for (const i of lines) drawing.append(drawLine(i, values[i]));
    if (labelled) drawing.append(endLabels(lines, values));
    plot.replaceChildren(drawing);
    moveTo(Math.min(state.at, ns.length - 1), lines.includes(state.line) ? state.line : null);
  }

  function drawLine(i, points) {
    const line = data.lines[i];
    const there = points.map((point, k) => [point, k]).filter(([point]) => point);
    const path = there.map(([point, k], step) => `${step ? "L" : "M"}${scale.x(k).toFixed(1)} ${scale.y(point[0]).toFixed(1)}`);
    const group = svg("g", { class: lineClass(line), "data-line": i });
    if (line.color) group.style.setProperty("--color", line.color);
    group.append(svg("path", { class: "stroke", d: path.join("") }));
    if (line.marker)
      for (const [point, k] of there)
        group.append(svg("path", { class: "marker", d: MARKERS[line.marker] || MARKERS.o, transform: `translate(${scale.x(k).toFixed(1)} ${scale.y(point[0]).toFixed(1)})` }));
    return group;
  }

  function endLabels(lines, values) {
    const group = svg("g", { class: "labels" });
    const last = here().ns.length - 1;
    const ends = lines.filter((i) => values[i][last]).map((i) => ({ i, y: scale.y(values[i][last][0]) + 4 }));
    for (const { i, y } of apart(ends, 13, CHART.top + 4, CHART.height - CHART.bottom + 4)) {
      const label = svg("text", { class: lineClass(data.lines[i]), x: scale.width - scale.right + 10, y }, data.lines[i].label);
      if (data.lines[i].color) label.style.setProperty("--color", data.lines[i].color);
      group.append(label);
    }
    return group;
  }

  /** The cursor to the k-th n, and the emphasis to a line (or none). */
  function moveTo(k, line) {
    const { ns, values } = here();
    Object.assign(state, { at: k, line });
    const cursor = plot.querySelector(".cursor");
    cursor.setAttribute("x1", scale.x(k));
    cursor.setAttribute("x2", scale.x(k));
    for (const group of plot.querySelectorAll("[data-line]")) {
      group.classList.toggle("raised", Number(group.dataset.line) === line);
      group.classList.toggle("faded", line !== null && Number(group.dataset.line) !== line);
    }
    drawBand(line);
    for (const row of rows.rows) {
      const i = Number(row.dataset.line);
      row.classList.toggle("raised", i === line);
      const point = values[i][k];
      row.cells[1].textContent = point ? shown(point[0], 1) : "–";
      row.cells[2].textContent = point ? `${shown(point[1], 1)} to ${shown(point[2], 1)}` : "";
    }
    root.querySelector(".at-n").textContent = `accuracy at n = ${ns[k]}`;
    const text = line === null || !values[line][k] ? bestAt(k) : said(line, k);
    readout.textContent = `n = ${ns[k]}: ${text}`;
    plot.setAttribute("aria-valuemin", 0);
    plot.setAttribute("aria-valuemax", ns.length - 1);
    plot.setAttribute("aria-valuenow", k);
    plot.setAttribute("aria-valuetext", readout.textContent);
  }

  function said(line, k) {
    const [value, low, high] = here().values[line][k];
    return `${data.lines[line].label} ${shown(value, 1)} % (95 % interval ${shown(low, 1)} to ${shown(high, 1)})`;
  }

  function bestAt(k) {
    const { values } = here();
    const rivals = visible().filter((i) => values[i][k] && data.lines[i].baseline !== "oracle");
    if (!rivals.length) return "no line is shown";
    return `highest is ${said(rivals.reduce((a, b) => (values[b][k][0] > values[a][k][0] ? b : a)), k)}`;
  }

  function drawBand(line) {
    const group = plot.querySelector(".band");
    group.replaceChildren();
    if (line === null) return;
    const there = here().values[line].map((point, k) => [point, k]).filter(([point]) => point);
    const upper = there.map(([point, k]) => `${scale.x(k)} ${scale.y(point[2])}`);
    const lower = there.map(([point, k]) => `${scale.x(k)} ${scale.y(point[1])}`).reverse();
    const band = svg("path", { class: lineClass(data.lines[line]), d: `M${[...upper, ...lower].join("L")}Z` });
    if (data.lines[line].color) band.style.setProperty("--color", data.lines[line].color);
    group.append(band);
  }

  function listLines() {
    rows.replaceChildren(
      ...available().map((i) => {
        const line = data.lines[i];
        const box = h("input", { type: "checkbox", onchange: () => toggle(i, box.checked) });
        box.checked = state.shown.has(i);
        const swatch = svg("svg", { class: `swatch ${lineClass(line)}`, viewBox: "0 0 26 12", width: 26, height: 12, "aria-hidden": "true" });
        if (line.color) swatch.style.setProperty("--color", line.color);
        swatch.append(svg("path", { class: "stroke", d: "M1 6H25" }));
        if (line.marker) swatch.append(svg("path", { class: "marker", d: MARKERS[line.marker] || MARKERS.o, transform: "translate(13 6)" }));
        const raise = () => moveTo(state.at, state.shown.has(i) ? i : null);
        return h(
          "tr",
          { "data-line": i, onmouseenter: raise, onfocusin: raise, onmouseleave: () => moveTo(state.at, null) },
          h("th", { scope: "row" }, h("label", {}, box, swatch, line.label)),
          h("td", { class: "num" }),
          h("td", { class: "num interval" }),
        );
      }),
    );
  }

  function toggle(i, on) {
    if (on) state.shown.add(i);
    else state.shown.delete(i);
    draw();
  }

  function nearest(event) {
    const box = plot.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    const { ns, values } = here();
    const k = ns.map((_, j) => j).reduce((a, b) => (Math.abs(scale.x(b) - x) < Math.abs(scale.x(a) - x) ? b : a));
    const distance = (i) => Math.abs(scale.y(values[i][k][0]) - y);
    const near = visible().filter((i) => values[i][k] && distance(i) < 24);
    moveTo(k, near.length ? near.reduce((a, b) => (distance(b) < distance(a) ? b : a)) : null);
  }

  /** Arrows: left and right along n, up and down from line to line as they stand at this n. */
  function onKey(event) {
    const { ns, values } = here();
    const across = { ArrowLeft: -1, ArrowRight: 1, Home: -ns.length, End: ns.length }[event.key];
    const along = { ArrowUp: 1, ArrowDown: -1 }[event.key];
    if (across) moveTo(Math.min(Math.max(state.at + across, 0), ns.length - 1), state.line);
    else if (along) {
      const order = visible().filter((i) => values[i][state.at]);
      order.sort((a, b) => values[a][state.at][0] - values[b][state.at][0]);
      const next = state.line === null ? (along > 0 ? 0 : order.length - 1) : order.indexOf(state.line) + along;
      moveTo(state.at, order[next] ?? null);
    } else if (event.key === "Escape") moveTo(state.at, null);
    else return;
    event.preventDefault();
  }

  plot.addEventListener("pointermove", nearest);
  plot.addEventListener("pointerdown", nearest);
  plot.addEventListener("pointerleave", () => moveTo(state.at, null));
  plot.addEventListener("keydown", onKey);
  for (const control of [place, strategy])
    control.addEventListener("change", () => {
      carryShown();
      listLines();
      draw();
    });
  new ResizeObserver(() => plot.clientWidth && plot.clientWidth !== scale.width && draw()).observe(plot);

  /** The other strategy shows the lines of the same reward models. */
  function carryShown() {
    const labels = new Set([...state.shown].map((i) => data.lines[i].label));
    state.shown = new Set(data.lines.map((_, i) => i).filter((i) => labels.has(data.lines[i].label)));
    state.line = null;
  }

  carryShown();
  reveal(root);
  state.at = here().ns.length - 1;
  listLines();
  draw();
}

function lineClass(line) {
  return line.baseline ? `line baseline ${line.baseline}` : line.hollow ? "line hollow" : "line";
}

/** Round numbers around [low, high], within 0 and 100. */
function niceTicks(low, high) {
  const step = [1, 2, 5, 10, 20].find((size) => (high - low) / size <= 7) || 25;
  const first = Math.min(Math.max(Math.floor(low / step) * step, 0), 100 - step);
  const last = Math.min(Math.max(Math.ceil(high / step) * step, first + step), 100);
  return Array.from({ length: Math.round((last - first) / step) + 1 }, (_, k) => first + k * step);
}

/** Positions at least `gap` apart: pushed down in order, then up from the bottom edge. */
function apart(ends, gap, top, bottom) {
  const sorted = [...ends].sort((a, b) => a.y - b.y);
  sorted.forEach((end, k) => {
    end.y = Math.max(end.y, k ? sorted[k - 1].y + gap : top);
  });
  for (let k = sorted.length - 1; k >= 0; k -= 1)
    sorted[k].y = Math.min(sorted[k].y, k < sorted.length - 1 ? sorted[k + 1].y - gap : bottom);
  return sorted;
}

readBlock("curve-data").then(startCurves);
