// The page of an exported model: type, and see what it says. It asks nobody but its own folder.

import { load } from "./destila.js";

const at = (id) => document.getElementById(id);
const SAMPLES = {
  classify: ["Me encantó: volveré sin falta.", ""],
  tag: ["Begoña Núñez, de Zaragoza, trabaja en la Universidad de León desde 2019.", ""],
  span: ["¿Dónde trabaja Begoña?", "Begoña Núñez trabaja en la Universidad de León desde 2019."],
};

const started = performance.now();
const model = await load("./").catch((error) => {
  at("time").textContent = "";
  at("answer").replaceChildren(failure(error));
  throw error;
});
const { task } = model.about;
const loaded = `cargado en ${(performance.now() - started).toFixed(0)} ms`;

if (task === "span") {
  at("text-label").textContent = "Pregunta";
  at("second-label").textContent = "Contexto";
}
at("second-row").hidden = task === "tag";
[at("text").value, at("second").value] = SAMPLES[task];
at("ask").disabled = false;
at("form").addEventListener("submit", ask);
document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) at("form").requestSubmit();
});
at("form").requestSubmit(); // the sample's answer shows at once what the model does

async function ask(event) {
  event.preventDefault();
  const [text, second] = [at("text").value, at("second").value];
  const asked = task === "span" ? { question: text, context: second }
    : task === "classify" && second ? { text, pair: second } : { text };
  const began = performance.now();
  try {
    const answer = await model.predict(asked);
    at("time").textContent = `${(performance.now() - began).toFixed(1)} ms, ${loaded}`;
    at("answer").replaceChildren(...draw(asked, answer));
  } catch (error) {
    at("answer").replaceChildren(failure(error));
  }
}

function draw(asked, answer) {
  if (task === "tag") return [marked(answer.text, answer.spans)];
  if (task === "classify") return [bars(answer.probabilities)];
  const none = answer.answer === "";
  const line = element("p", "first", none ? "No hay respuesta en este contexto." : answer.answer);
  return [line, bars({ respuesta: answer.probability, "sin respuesta": answer.null_probability }),
    marked(asked.context, none ? [] : [{ ...answer, label: "respuesta" }])];
}

function marked(text, spans) {
  const points = Array.from(text); // offsets count code points
  const kinds = [...new Set(spans.map((span) => span.label))];
  const box = element("p", "marked");
  let place = 0;
  for (const { start, end, label, probability } of spans) {
    box.append(points.slice(place, start).join(""));
    const mark = element("mark", `k${kinds.indexOf(label) % 5}`, points.slice(start, end).join(""));
    mark.append(element("small", "", ` ${label}`));
    mark.title = `${label}, ${(100 * probability).toFixed(1)} %`;
    box.append(mark);
    place = end;
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
    box.append(element("span", i ? "" : "first", label), bar, element("span", "number", `${(100 * share).toFixed(1)} %`));
  });
  return box;
}

function failure(error) {
  const box = element("p", "error", error.message);
  box.setAttribute("role", "alert");
  return box;
}

function element(tag, kind = "", text = "") {
  const made = document.createElement(tag);
  if (kind) made.className = kind;
  if (text) made.textContent = text;
  return made;
}
