"use strict";
// Try a model: ask this server, and nobody else, and show its answer.

const at = (id) => document.getElementById(id);
const SAMPLES = {
  classify: ["Me encantó: volveré sin falta.", ""],
  tag: ["Begoña Núñez, de Zaragoza, trabaja en la Universidad de León desde 2019.", ""],
  span: ["¿Dónde trabaja Begoña?", "Begoña Núñez trabaja en la Universidad de León desde 2019."],
};
let models = {};

function headers() {
  const token = at("token").value;
  return token ? { Authorization: `Bearer ${token}` } : {};
}

async function loadModels() {
  const response = await fetch("v1/models", { headers: headers() });
  at("token-row").hidden = response.status !== 401 && !at("token").value;
  if (!response.ok) return;
  const list = (await response.json()).models;
  models = Object.fromEntries(list.map((model) => [model.name, model]));
  at("model").replaceChildren(...list.map((model) => new Option(model.name, model.name)));
  choose();
}

function choose() {
  const model = models[at("model").value];
  if (!model) return;
  const question = model.task === "span";
  at("about").textContent = question ? "answers questions" : `${model.task}, ${model.labels.length} labels`;
  at("text-label").textContent = question ? "Question" : "Text";
  at("second-row").hidden = model.task === "tag";
  at("second-label").textContent = question ? "Context" : "Second text (for models of pairs)";
  [at("text").value, at("second").value] = SAMPLES[model.task] || ["", ""];
  at("answer").replaceChildren();
  at("time").textContent = "";
  at("form").requestSubmit(); // the sample's answer shows at once what the model does
}

function body(task) {
  const text = at("text").value;
  const second = at("second").value;
  if (task === "span") return { question: text, context: second };
  return task === "classify" && second ? { text, pair: second } : { text };
}

async function ask(event) {
  event.preventDefault();
  const model = models[at("model").value];
  if (!model) return loadModels();
  const sent = body(model.task);
  const started = performance.now();
  const response = await fetch(`v1/models/${encodeURIComponent(model.name)}/predict`, {
    method: "POST",
    headers: { "Content-Type": "application/json", ...headers() },
    body: JSON.stringify(sent),
  });
  const answer = await response.json();
  at("time").textContent = `${(performance.now() - started).toFixed(1)} ms`;
  at("answer").replaceChildren(...(response.ok ? draw(model.task, sent, answer) : [failure(answer)]));
}

function draw(task, sent, answer) {
  if (task === "tag") return [marked(answer.text, answer.spans)];
  if (task === "classify") return [bars(answer.probabilities)];
  const none = answer.answer === "";
  const span = { start: answer.start, end: answer.end, label: "answer", probability: answer.probability };
  const line = element("p", "first", none ? "No answer in this context." : answer.answer);
  return [line, bars({ answer: answer.probability, "no answer": answer.null_probability }),
    marked(sent.context, none ? [] : [span])];
}

// Offsets count code points; JavaScript counts half of an emoji as one.
function marked(text, spans) {
  const points = Array.from(text);
  const kinds = [...new Set(spans.map((span) => span.label))];
  const box = element("p", "marked");
  let place = 0;
  for (const span of spans) {
    box.append(points.slice(place, span.start).join(""));
    const mark = element("mark", `k${kinds.indexOf(span.label) % 5}`, points.slice(span.start, span.end).join(""));
    mark.append(element("small", "", span.label));
    mark.title = `${span.label}, ${(100 * span.probability).toFixed(1)} %`;
    box.append(mark);
    place = span.end;
  }
  box.append(points.slice(place).join(""));
  return box;
}

function bars(probabilities) {
  const box = element("div", "bars");
  const ordered = Object.entries(probabilities).sort((a, b) => b[1] - a[1]);
  ordered.forEach(([label, share], i) => {
    const bar = element("progress");
    bar.value = share;
    bar.setAttribute("aria-label", label);
    box.append(element("span", i ? "" : "first", label), bar,
      element("span", "number", `${(100 * share).toFixed(1)} %`));
  });
  return box;
}

function failure(problem) {
  const box = element("p", "error", problem.detail || "The server gave no answer.");
  box.setAttribute("role", "alert");
  return box;
}

function element(tag, kind = "", text = "") {
  const made = document.createElement(tag);
  if (kind) made.className = kind;
  if (text) made.textContent = text;
  return made;
}

at("form").addEventListener("submit", ask);
at("model").addEventListener("change", choose);
at("token").addEventListener("change", loadModels);
document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) at("form").requestSubmit();
});
loadModels();
