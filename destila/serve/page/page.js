// Try a model: ask this server, and nobody else, and show its answer.

import { asked, at, draw, failure, SAMPLE, SAMPLES } from "./answers.js";

const WORDS = { answer: "answer", none: "no answer", nothing: "No answer in this context." };
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
  [at("text").value, at("second").value] = SAMPLES[model.task] ?? SAMPLE;
  at("answer").replaceChildren();
  at("time").textContent = "";
  at("form").requestSubmit(); // the sample's answer shows at once what the model does
}

async function ask(event) {
  event.preventDefault();
  const model = models[at("model").value];
  if (!model) return loadModels();
  const question = asked(model.task, at("text").value, at("second").value);
  const started = performance.now();
  const response = await fetch(`v1/models/${encodeURIComponent(model.name)}/predict`, {
    method: "POST",
    headers: { "Content-Type": "application/json", ...headers() },
    body: JSON.stringify(question),
  });
  const answer = await response.json();
  at("time").textContent = `${(performance.now() - started).toFixed(1)} ms`;
  const shown = response.ok
    ? draw(question, answer, WORDS)
    : [failure(answer.detail || "The server gave no answer.")];
  at("answer").replaceChildren(...shown);
}

at("form").addEventListener("submit", ask);
at("model").addEventListener("change", choose);
at("token").addEventListener("change", loadModels);
document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) at("form").requestSubmit();
});
loadModels();
