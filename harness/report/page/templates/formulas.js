// Texts with their formulas set as MathML, from the blocks that harness/report/page/mathematics.py made. Each has its LaTeX
// for a tooltip; where there is no MathML, the text stays as it was written.

const TOKENS = { i: "mi", n: "mn", o: "mo", t: "mtext" };
const TOKEN_TAGS = new Set(Object.values(TOKENS));

/** An element of a formula: see `to_mathml` in harness/report/page/mathml.py. */
function formulaNode(node) {
  if (typeof node === "string") return mathml(TOKENS[node[0]], {}, node.slice(1));
  const [tag, attributes, ...children] = node;
  return mathml(tag, attributes, ...(TOKEN_TAGS.has(tag) ? children : children.map(formulaNode)));
}

function formulaView(source, [, display, ...nodes]) {
  const math = mathml("math", { display: display ? "block" : "inline" }, ...nodes.map(formulaNode));
  return h("span", { class: display ? "formula display" : "formula", title: source }, math);
}

/**
 * Sets texts of a block. `mathematics` is what was packed for it, null where it has no formulas or where their source is
 * wanted.
 */
function typesetter(mathematics) {
  const { formulas, texts, answers } = mathematics ?? { formulas: [], texts: [], answers: {} };

  /** Nodes for the code points from `from` to `to` of a text. A formula that is not wholly there stays source. */
  function set(characters, places, from, to) {
    const nodes = [];
    let [at, end] = [from, 0];
    for (let i = 0; i < places.length; i += 2) {
      const formula = formulas[places[i + 1]];
      const start = end + places[i];
      end = start + formula[0];
      if (start < at || end > to) continue;
      nodes.push(characters.slice(at, start).join(""), formulaView(characters.slice(start, end).join(""), formula));
      at = end;
    }
    return [...nodes, characters.slice(at, to).join("")].filter((node) => node !== "");
  }

  return {
    /** The text in a row, or a part of it. */
    text(row, characters, from = 0, to = characters.length) {
      return set(characters, texts[row] ?? [], from, to);
    },
    answer(text) {
      const characters = [...text];
      return set(characters, Object.hasOwn(answers, text) ? answers[text] : [], 0, characters.length);
    },
  };
}
