// The page of an exported model: type, and see what it says. It asks nobody but its own folder.

import { asked, at, draw, failure, SAMPLE, SAMPLES } from "./answers.js";
import { load } from "./destila.js";

const WORDS = {
  answer: "respuesta",
  none: "sin respuesta",
  nothing: "No hay respuesta en este contexto.",
};

const started = performance.now();
const model = await load("./").catch((error) => {
  at("time").textContent = "";
  at("answer").replaceChildren(failure(error.message));
  throw error;
});
const { task } = model.about;
const loaded = `cargado en ${(performance.now() - started).toFixed(0)} ms`;

if (task === "span") {
  at("text-label").textContent = "Pregunta";
  at("second-label").textContent = "Contexto";
}
at("second-row").hidden = task === "tag";
[at("text").value, at("second").value] = SAMPLES[task] ?? SAMPLE;
at("ask").disabled = false;
at("form").addEventListener("submit", ask);
document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) at("form").requestSubmit();
});
at("form").requestSubmit(); // the sample's answer shows at once what the model does

async function ask(event) {
  event.preventDefault();
  const question = asked(task, at("text").value, at("second").value);
  const began = performance.now();
  try {
    const answer = await model.predict(question);
    at("time").textContent = `${(performance.now() - began).toFixed(1)} ms, ${loaded}`;
    at("answer").replaceChildren(...draw(question, answer, WORDS));
  } catch (error) {
    at("answer").replaceChildren(failure(error.message));
  }
}
