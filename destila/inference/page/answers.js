// How an answer is shown: entities and tags marked in the text, labels as bars, answers in context.
// The page of `destila serve` and the one of a web export share this file.

export const SAMPLES = {
  tag: ["Begoña Núñez, de Zaragoza, trabaja en la Universidad de León desde 2019.", ""],
  span: ["¿Dónde trabaja Begoña?", "Begoña Núñez trabaja en la Universidad de León desde 2019."],
};
export const SAMPLE = ["Me encantó: volveré sin falta.", ""];

export const at = (id) => document.getElementById(id);

// What a model of a task is asked about two fields of text.
export function asked(task, text, second) {
  if (task === "span") return { question: text, context: second };
  return task !== "tag" && second ? { text, pair: second } : { text };
}

// The elements that show an answer; `words` has `answer`, `none` and `nothing` in the page's language.
export function draw(question, answer, words) {
  if (answer.spans) return [marked(answer.text, answer.spans)];
  if (answer.probabilities) return [bars(answer.probabilities, answer.labels ?? [answer.label])];
  const found = answer.answer !== "";
  const chances = { [words.answer]: answer.probability, [words.none]: answer.null_probability };
  return [
    element("p", "first", found ? answer.answer : words.nothing),
    bars(chances, [found ? words.answer : words.none]),
    marked(question.context, found ? [{ ...answer, label: words.answer }] : []),
  ];
}

export function failure(message) {
  const box = element("p", "error", message);
  box.setAttribute("role", "alert");
  return box;
}

export function element(tag, kind = "", text = "") {
  const made = document.createElement(tag);
  if (kind) made.className = kind;
  if (text) made.textContent = text;
  return made;
}

// Offsets count code points; JavaScript counts half of an emoji as one.
function marked(text, spans) {
  const points = Array.from(text);
  const kinds = [...new Set(spans.map((span) => span.label))];
  const box = element("p", "marked");
  let place = 0;
  for (const { start, end, label, probability } of spans) {
    box.append(points.slice(place, start).join(""));
    const mark = element("mark", `k${kinds.indexOf(label) % 5}`, points.slice(start, end).join(""));
    mark.append(element("small", "", `\u00a0${label}`)); // the blank is for those who hear it
    mark.title = `${label}, ${percent(probability)}`;
    box.append(mark);
    place = end;
  }
  box.append(points.slice(place).join(""));
  return box;
}

// The likeliest first; the chosen ones are bold.
function bars(probabilities, chosen) {
  const box = element("div", "bars");
  const ordered = Object.entries(probabilities).sort((a, b) => b[1] - a[1]);
  for (const [label, share] of ordered) {
    const bar = element("progress");
    bar.value = share;
    bar.setAttribute("aria-label", label);
    box.append(
      element("span", chosen.includes(label) ? "first" : "", label),
      bar,
      element("span", "number", percent(share)),
    );
  }
  return box;
}

const percent = (share) => `${(100 * share).toFixed(1)} %`;
