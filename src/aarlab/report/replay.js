// Draws debates of report/replay.py: one at a time, reveal by reveal. Texts are set as text, never as markup.
"use strict";
for (const root of document.querySelectorAll(".replay")) {
  const games = JSON.parse(root.querySelector("script[type='application/json']").textContent);
  const make = (name, parent, attributes) => {
    const svg = ["svg", "rect", "text", "line"].includes(name);
    const node = svg ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
    for (const [key, value] of Object.entries(attributes || {})) node.setAttribute(key, value);
    parent.append(node);
    return node;
  };
  const bar = make("div", root, { class: "bar" });
  const pick = make("select", bar, { "aria-label": "debate" });
  games.forEach((g, i) => {
    make("option", pick, { value: i }).textContent =
      `${i + 1}: ${g.label ? g.label + ": " : ""}${g.truth} (true) against ${g.lie}, ` +
      (g.won === null ? "nobody wins" : g.won ? "the truth wins" : "the lie wins");
  });
  const play = make("button", bar, { type: "button" });
  const slider = make("input", bar, { type: "range", min: 0, step: 1, "aria-label": "reveals" });
  const whole = make("label", bar);
  const box = make("input", whole, { type: "checkbox" });
  whole.append(" the whole case");
  const words = make("p", root, { class: "words", "aria-live": "polite" });
  const stage = make("div", root, { class: "stage" });
  const colour = { truth: "#1b7f5c", lie: "#c0392b" };
  let timer = null;

  const image = (game, steps) => {
    const side = 36, rows = game.image.length, svg = make("svg", stage, {
      viewBox: `0 0 ${side * game.image[0].length} ${side * rows}`, width: 320, role: "img", "aria-label": "the image",
    });
    const by = new Map(game.steps.slice(0, steps).map((s, i) => [s.item, [s.side, i + 1]]));
    game.image.forEach((row, y) => row.forEach((value, x) => {
      const seen = by.get(y * row.length + x), grey = Math.round(255 * (1 - value));
      const fill = seen || box.checked ? `rgb(${grey},${grey},${grey})` : "#dfe6ee";
      make("rect", svg, { x: x * side + 1, y: y * side + 1, width: side - 2, height: side - 2, fill });
      if (!seen) return;
      make("rect", svg, { x: x * side + 3, y: y * side + 3, width: side - 6, height: side - 6, fill: "none",
        stroke: colour[seen[0]], "stroke-width": 4 });
      make("text", svg, { x: (x + 0.5) * side, y: (y + 0.65) * side, "text-anchor": "middle", "font-size": 15,
        "font-weight": "bold", fill: colour[seen[0]], stroke: "#fff", "stroke-width": 3, "paint-order": "stroke",
      }).textContent = seen[1];
    }));
  };
  const text = (game, steps) => {
    const by = new Map(game.steps.slice(0, steps).map((s, i) => [s.item, [s.side, i + 1]]));
    const list = make("ol", stage);
    game.sentences.forEach((sentence, i) => {
      const seen = by.get(i);
      if (!game.legal[i] || (!seen && !box.checked)) return;
      const line = make("li", list, { value: i + 1 });
      line.textContent = seen ? `${sentence} (reveal ${seen[1]}, for the ${seen[0]})` : sentence;
      if (seen) line.style.color = colour[seen[0]];
    });
  };
  const said = (game, steps) => {
    const list = make("ol", root.querySelector(".words"), { class: "said" });
    game.steps.slice(0, steps).filter((s) => s.says).forEach((step) => {
      const line = make("li", list);
      line.textContent = `For the ${step.side}. ${step.says}`;
      line.style.color = colour[step.side];
    });
  };
  const chart = (game, steps) => {
    const wide = 260, high = 120, svg = make("svg", stage, {
      viewBox: `-34 -14 ${wide + 60} ${high + 36}`, width: 320, role: "img", "aria-label": "the judge's belief in the truth",
    });
    make("line", svg, { x1: 0, x2: wide, y1: high / 2, y2: high / 2, stroke: "#999", "stroke-dasharray": "4 4" });
    for (const [label, y] of [["1", 0], [".5", high / 2], ["0", high]]) {
      make("text", svg, { x: -8, y: y + 4, "text-anchor": "end", "font-size": 12 }).textContent = label;
    }
    const beliefs = [game.before, ...game.steps.map((s) => s.belief)].slice(0, steps + 1);
    const at = (i) => [(i * wide) / game.steps.length, high * (1 - beliefs[i])];
    beliefs.forEach((belief, i) => {
      const [x, y] = at(i);
      if (i) {
        const [u, v] = at(i - 1);
        make("line", svg, { x1: u, y1: v, x2: x, y2: y, stroke: "#456", "stroke-width": 2 });
      }
      make("rect", svg, { x: x - 4, y: y - 4, width: 8, height: 8,
        fill: i ? colour[game.steps[i - 1].side] : "#456" });
    });
    make("text", svg, { x: 0, y: high + 18, "font-size": 12 }).textContent = "the judge's belief in the truth";
  };
  const draw = () => {
    const game = games[+pick.value], steps = +slider.value, step = game.steps[steps - 1];
    slider.max = game.steps.length;
    stage.replaceChildren();
    (game.image ? image : text)(game, steps);
    chart(game, steps);
    const belief = (steps ? step.belief : game.before).toFixed(2);
    words.textContent = `${game.question} True: ${game.truth}; the lie: ${game.lie}. ` + (steps
      ? `Reveal ${steps} of ${game.steps.length}, for the ${step.side}: the judge believes the truth with ${belief}.`
      : `Nothing is shown yet: the judge believes the truth with ${belief}.`);
    said(game, steps);
  };
  const stop = () => { clearInterval(timer); timer = null; play.textContent = "Play"; };
  play.addEventListener("click", () => {
    if (timer) return stop();
    if (slider.value === slider.max) { slider.value = 0; draw(); }
    play.textContent = "Stop";
    timer = setInterval(() => {
      slider.value = +slider.value + 1;
      draw();
      if (slider.value === slider.max) stop();
    }, 900);
  });
  pick.addEventListener("change", () => { stop(); slider.value = 0; draw(); });
  slider.addEventListener("input", () => { stop(); draw(); });
  box.addEventListener("change", draw);
  stop();
  slider.max = games.length ? games[0].steps.length : 0;
  slider.value = 0;
  if (games.length) draw();
}
