// A model exported by `destila export --kinds web`, in the browser: the answers of `destila predict`.
//
//     import { load } from "./destila.js";
//     const model = await load("./");              // the folder, by its address
//     await model.predict("Begoña vive en León");  // {text, spans: [{start, end, label, ...}]}
//
// Offsets count code points, as Python does, not the halves of an emoji. Everything comes from the
// folder; no other host is asked. What the model is lies in web.json, written by the export.

import * as ort from "./runtime/ort.wasm.bundle.min.mjs";
import { Tokenizer } from "./runtime/tokenizers.min.mjs";

ort.env.wasm.numThreads = 1; // several need headers that a plain file server does not send
ort.env.wasm.wasmPaths = { wasm: new URL("./runtime/ort-wasm-simd-threaded.wasm", import.meta.url).href };

export async function load(url) {
  const base = new URL(url, globalThis.document?.baseURI ?? import.meta.url);
  const read = async (name) => {
    const response = await fetch(new URL(name, base));
    if (!response.ok) throw new Error(`${response.url}: ${response.status} ${response.statusText}`);
    return response;
  };
  const [about, spec, graph] = await Promise.all([
    read("web.json").then((r) => r.json()),
    read("tokenizer.json").then((r) => r.json()),
    read("model.onnx").then((r) => r.arrayBuffer()),
  ]);
  const session = await ort.InferenceSession.create(new Uint8Array(graph), { enableMemPattern: false });
  return new Model(about, spec, session);
}

export class Model {
  constructor(about, spec, session) {
    this.about = about;
    this.session = session;
    this.tokenizer = new Tokenizer(spec, {});
    // Words are read as the start of a word, which in some families takes another splitter.
    const ofWords = about.word_pre_tokenizer;
    this.words = ofWords ? new Tokenizer({ ...spec, pre_tokenizer: ofWords }, {}) : this.tokenizer;
    this.byteLevel = JSON.stringify(spec.pre_tokenizer ?? "").includes('"ByteLevel"');
    this.known = new Map(); // ids of words
    this.queue = Promise.resolve();
  }

  // One text or an object (`text`, `pair`, `words`, `question`, `context`) -> one object; a list -> a list.
  async predict(asked) {
    if (Array.isArray(asked)) {
      const answers = [];
      for (const [i, each] of asked.entries()) answers.push(await this.oneOfMany(each, i));
      return answers;
    }
    return this.one(asked, 0);
  }

  // A text that cannot be read costs itself alone: its answer says why.
  async oneOfMany(asked, number) {
    try {
      return await this.one(asked, number);
    } catch (error) {
      if (!(error instanceof RangeError || error instanceof TypeError)) throw error;
      return { id: String(asked?.id ?? number), error: error.message };
    }
  }

  async one(asked, number) {
    const row = typeof asked === "string" ? { text: asked } : asked;
    const answer = { classify, tag, span }[this.about.task];
    return { id: String(row.id ?? number), ...(await answer(this, row)) };
  }

  // Logits of one window: rows of a matrix, or one row.
  async run(ids, types) {
    const feeds = { input_ids: ids, type_ids: types, mask: ids.map(() => 1) };
    const inputs = Object.fromEntries(this.session.inputNames.map((name) => [
      name, new ort.Tensor("int64", BigInt64Array.from(feeds[name], BigInt), [1, ids.length])]));
    // A session takes one call at a time.
    const result = this.queue.then(() => this.session.run(inputs));
    this.queue = result.catch(() => {});
    const { data, dims } = (await result)[this.session.outputNames[0]];
    const width = dims.at(-1);
    return Array.from({ length: data.length / width }, (_, i) => data.slice(i * width, (i + 1) * width));
  }

  // Texts between the special tokens of the model.
  frame(first, second) {
    const { before, between, after, types } = second ? this.about.pair : this.about.single;
    const parts = [before, first, between, second ?? [], after];
    return [parts.flat(), parts.flatMap((part, i) => part.map(() => types[i]))];
  }

  room(pair) {
    const { before, between, after } = pair ? this.about.pair : this.about.single;
    return this.about.max_length - before.length - between.length - after.length;
  }

  // Rare blanks that would join words are exchanged one for one, and halves of emoji.
  plain(text) {
    const { blanks } = this.about;
    return Array.from(text, (c) => blanks[c] ?? c).join("");
  }

  ids(text) {
    return text ? this.tokenizer.encode(this.plain(text), { add_special_tokens: false }).ids : [];
  }

  idsOfWord(word) {
    if (!this.known.has(word)) {
      const { ids } = this.words.encode(this.plain(word), { add_special_tokens: false });
      if (this.known.size > 50000) this.known.clear();
      this.known.set(word, ids.length ? ids : [this.about.unk]);
    }
    return this.known.get(word);
  }
}

// --- texts

const BLANK = "\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000";
const IS_BLANK = new RegExp(`[${BLANK}]`, "u");

function string(row, key) {
  if (typeof row[key] !== "string") throw new TypeError(`no string under '${key}': ${JSON.stringify(row).slice(0, 80)}`);
  return row[key].replace(/\p{Surrogate}/gu, "\ufffd");
}

// Matches of a pattern as [start, end] in code points.
function matches(text, pattern) {
  const places = [];
  let unit = 0, point = 0;
  const at = (index) => {
    for (; unit < index; point++) unit += text.codePointAt(unit) > 0xffff ? 2 : 1;
    return point;
  };
  for (const match of text.matchAll(pattern)) {
    const start = at(match.index);
    places.push([start, at(match.index + match[0].length)]);
  }
  return places;
}

// The splitter of raw text into words; see destila/tokenizer/split_words.py.
const WORDS = (() => {
  const w = "\\p{L}\\p{N}_", letter = "[\\p{L}\\p{Nl}\\p{No}]", mark = "[\\u0300-\\u036f]";
  const shade = "[\\ufe0e\\ufe0f\\u20e3\\u{1f3fb}-\\u{1f3ff}]";
  const short = "sr|sra|srta|sres|sras|dr|dra|dres|d|dña|ud|uds|vd|vds|prof|profa|lic|ing|arq|gral|cnel|cap|" +
    "tte|sto|sta|pág|págs|núm|núms|nº|art|arts|caps|vol|vols|fig|figs|ed|eds|etc|aprox|av|avda|" +
    "tel|tfno|depto|dpto|prov|admón|cía|gob|hnos|máx|mín|min|seg|cf|vs|ej|ss";
  const anyCase = short.replace(/\p{L}/gu, (c) => `[${c.toLowerCase()}${c.toUpperCase()}]`);
  return new RegExp([
    `(?:https?://|www\\.)[^${BLANK}<>"«»“”]*[^${BLANK}<>"«»“”.,;:!?¡¿)\\]…'’]`,
    `[${w}.+\\-]{0,64}[${w}]@[${w}\\-]+(?:\\.[${w}\\-]*[${w}])+`,
    `[@#][${w}]+`,
    `\\p{Nd}+(?:[.,:/’'\\-]\\p{Nd}+)*(?:\\.?[ºª°])?(?![${w}])`,
    `(?:${letter}{1,2}\\.){2,}`,
    `(?<![${w}])(?:${anyCase})\\.(?![${w}])`,
    `(?<![${w}])[A-ZÁÉÍÓÚÑÜ]\\.(?=[${BLANK}]*[A-ZÁÉÍÓÚÑÜ])`,
    `[${w}](?:[${w}]|${mark})*(?:[\\-‐'’·](?:[${w}]|${mark})+)*`,
    "\\.{2,}|-{2,}",
    "[\\u{1f1e6}-\\u{1f1ff}]{2}",
    `[^${w}${BLANK}]${mark}*${shade}*(?:\\u200d[^${w}${BLANK}]${shade}*)*`,
  ].join("|"), "gu");
})();

// --- windows over units; see destila/tasks/units.py

// A unit that is longer than a window is cut to half of one.
function cut(lengths, capacity) {
  return lengths.map((length) => (length > capacity ? Math.max(1, Math.floor(capacity / 2)) : length));
}

function plan(lengths, capacity) {
  const bounds = [];
  for (let start = 0; ;) {
    let end = start;
    for (let used = 0; end < lengths.length && used + lengths[end] <= capacity; end++) used += lengths[end];
    bounds.push([start, end]);
    if (end >= lengths.length) break;
    const room = Math.min(Math.floor(0.25 * capacity), capacity - lengths[end]);
    let back = end, again = 0;
    while (back > start + 1 && again + lengths[back - 1] <= room) again += lengths[--back];
    start = back;
  }
  const cuts = [0];
  for (let i = 1; i < bounds.length; i++) cuts.push(middle(lengths, bounds[i][0], bounds[i - 1][1]));
  cuts.push(lengths.length);
  return bounds.map(([start, end], i) => ({ start, end, ownStart: cuts[i], ownEnd: cuts[i + 1] }));
}

function middle(lengths, start, end) {
  const total = lengths.slice(start, end).reduce((a, b) => a + b, 0);
  for (let position = start, seen = 0; position < end; seen += lengths[position++]) {
    if (2 * seen + lengths[position] >= total) return position;
  }
  return end;
}

// --- numbers

const rounded = (value) => Math.round(value * 1e6) / 1e6;

function softmax(row) {
  const top = Math.max(...row);
  const shares = Array.from(row, (x) => Math.exp(x - top));
  const total = shares.reduce((a, b) => a + b, 0);
  return shares.map((x) => x / total);
}

const best = (row) => row.indexOf(Math.max(...row));

function logSum(values) {
  const top = values.reduce((a, b) => Math.max(a, b), -Infinity);
  return top + Math.log(values.reduce((sum, x) => sum + Math.exp(x - top), 0));
}

// --- a label for a text, or for two

async function classify(model, row) {
  const text = string(row, "text");
  const pair = row.pair === undefined || row.pair === null ? null : string(row, "pair");
  const room = model.room(pair !== null);
  let first = model.ids(text);
  let second = pair === null ? null : model.ids(pair);

  // The longer one gives way, down to half of the room.
  let m = first.length, n = second?.length ?? 0;
  if (m + n > room) {
    const half = Math.floor(m > n ? (room + 1) / 2 : room / 2);
    m = Math.min(m, Math.max(room - n, half));
    n = Math.min(n, room - m);
    first = first.slice(0, m);
    second = second?.slice(0, n) ?? null;
  }
  const [logits] = await model.run(...model.frame(first, second));
  const shares = softmax(logits);
  const { labels } = model.about;
  return {
    text, ...(pair === null ? {} : { pair }), label: labels[best(shares)],
    probabilities: Object.fromEntries(labels.map((label, i) => [label, rounded(shares[i])])),
  };
}

// --- a label for every word

async function tag(model, row) {
  let text, places;
  if (row.words === undefined) {
    text = string(row, "text");
    places = matches(text, WORDS);
  } else {
    const words = row.words.map((word) => string({ word }, "word"));
    text = words.join(" ");
    let start = 0;
    places = words.map((word) => {
      const place = [start, start + Array.from(word).length];
      start = place[1] + 1;
      return place;
    });
  }
  const points = Array.from(text);
  const surface = ([start, end]) => points.slice(start, end).join("");
  const room = model.room(false);
  const whole = places.map((place) => model.idsOfWord(surface(place)));
  const kept = cut(whole.map((ids) => ids.length), room);
  const pieces = whole.map((ids, i) => ids.slice(0, kept[i]));

  // The logits of a word are those of its first token, in the window that owns it.
  const shares = [];
  const windows = places.length ? plan(pieces.map((ids) => ids.length), room) : [];
  for (const { start, end, ownStart, ownEnd } of windows) {
    const logits = await model.run(...model.frame(pieces.slice(start, end).flat()));
    let token = model.about.single.before.length;
    for (let word = start; word < end; token += pieces[word++].length) {
      if (word >= ownStart && word < ownEnd) shares[word] = softmax(logits[token]);
    }
  }
  const { labels } = model.about;
  const spans = joined(shares.map((row) => labels[best(row)]), model.about.entities).map(([label, from, to]) => {
    const sum = shares.slice(from, to).reduce((total, row) => total + Math.max(...row), 0);
    const [start, end] = [places[from][0], places[to - 1][1]];
    return { start, end, label, text: surface([start, end]), probability: rounded(sum / (to - from)) };
  });
  return { text, spans };
}

// Words of an entity as [label, first, end]; without B- and I- every word is one.
function joined(tags, entities) {
  if (!entities) return tags.map((label, i) => [label, i, i + 1]);
  const spans = [];
  let open = null;
  for (const [i, tag] of [...tags, "O"].entries()) {
    const [prefix, kind] = tag === "O" ? ["O", ""] : [tag[0], tag.slice(2)];
    if (open && (prefix !== "I" || kind !== open[0])) {
      spans.push([...open, i]);
      open = null;
    }
    if (!open && prefix !== "O") open = [kind, i];
  }
  return spans;
}

// --- an answer in a context

async function span(model, row) {
  const question = string(row, "question" in row ? "question" : "text");
  const context = string(row, "context" in row ? "context" : "pair");
  const { window, stride, max_answer: longest, null_threshold: threshold } = model.about.span;
  const asked = model.ids(question);
  const most = model.room(true) - Math.max(1, Math.floor(model.about.max_length / 4));
  if (asked.length > most) throw new RangeError(`the question has ${asked.length} tokens, it may have ${most}: shorten it`);
  const units = matches(context, new RegExp(`[^${BLANK}]+`, "gu"));
  if (!units.length) throw new TypeError("the context is empty");
  const whole = placed(model, context);

  // The first token of every unit, and the number of tokens behind the last.
  let first = [];
  for (const [i, token] of whole.entries()) {
    while (first.length < units.length && (first.length === 0 || units[first.length][0] <= token.start)) first.push(i);
  }
  while (first.length <= units.length) first.push(whole.length);

  // What no window holds is cut.
  const room = model.room(true) - asked.length;
  const kept = cut(units.map((_, i) => first[i + 1] - first[i]), room);
  const tokens = kept.flatMap((length, i) => whole.slice(first[i], first[i] + length));
  first = [0];
  for (const length of kept) first.push(first.at(-1) + length);

  // Answers and their scores, as log-odds against "no answer in this window".
  const edges = wholeWords(context);
  const scores = new Map();
  for (const [from, to] of planned(units.length, window, stride)) {
    for (const part of plan(kept.slice(from, to), room)) {
      const inside = tokens.slice(first[from + part.start], first[from + part.end]);
      const [ids, types] = model.frame(asked, inside.map((token) => token.id));
      const logits = await model.run(ids, types);
      const lead = model.about.pair.before.length + asked.length + model.about.pair.between.length;
      for (const [key, list] of answers(inside, logits, lead, longest, edges)) {
        scores.set(key, Math.max(scores.get(key) ?? -Infinity, logSum(list)));
      }
    }
  }
  const total = logSum([...scores.values(), 0]);
  const none = Math.exp(Math.min(0, -total));
  let top = null;
  for (const [key, score] of scores) {
    if (!top || score > top.score || (score === top.score && key < top.key)) top = { key, score };
  }
  const answered = top && !(threshold !== null && -top.score > threshold);
  const [start, end] = answered ? [Math.floor(top.key / PLACES), top.key % PLACES] : [0, 0];
  return {
    answer: Array.from(context).slice(start, end).join(""), start, end,
    probability: rounded(answered ? Math.exp(top.score - total) : none), null_probability: rounded(none),
  };
}

const PLACES = 2 ** 26; // a start and an end as one number

function planned(count, size, stride) {
  const last = Math.max(0, Math.ceil((count - size) / stride));
  return Array.from({ length: last + 1 }, (_, i) => [i * stride, Math.min(i * stride + size, count)]);
}

// Every pair of tokens of a window, widened to the words that it cuts: place -> log-odds.
function answers(tokens, logits, lead, longest, [left, right]) {
  const found = new Map();
  const value = (i, column) => logits[lead + i][column] - logits[0][column];
  for (const [i, from] of tokens.entries()) {
    if (from.end <= from.start) continue; // a mark of a word's start is no character
    for (let j = i; j < Math.min(i + longest, tokens.length); j++) {
      if (tokens[j].end <= tokens[j].start) continue;
      const key = left[from.start] * PLACES + right[tokens[j].end];
      if (!found.has(key)) found.set(key, []);
      found.get(key).push(value(i, 0) + value(j, 1));
    }
  }
  return found;
}

// For every place the start and the end of the word or figure that it cuts.
function wholeWords(context) {
  const size = Array.from(context).length + 1;
  const left = Array.from({ length: size }, (_, i) => i), right = left.slice();
  const piece = "[\\p{L}\\p{N}_\\u0300-\\u036f]+";
  for (const [start, end] of matches(context, new RegExp(`${piece}(?:(?<=\\p{Nd})[.,](?=\\p{Nd})${piece})*`, "gu"))) {
    for (let i = start; i < end; i++) [left[i], right[i + 1]] = [start, end];
  }
  return [left, right];
}

// --- the place of every token in its text

function placed(model, context) {
  const text = model.plain(context);
  const { ids, tokens } = model.tokenizer.encode(text, { add_special_tokens: false });
  const stream = normalised(model, text);
  const blank = (i) => stream[i] !== undefined && IS_BLANK.test(stream[i].char);
  const places = [];
  let at = 0;
  for (const [i, token] of tokens.entries()) {
    let rest = surfaceOf(token);
    if (/^[▁Ġ]/u.test(token) && blank(at)) at++;
    if (rest || ids[i] === model.about.unk) while (blank(at)) at++;
    const start = at;
    if (ids[i] === model.about.unk) at = unknownEnd(stream, at, tokens, ids, i, model.about.unk);
    else at = Math.min(stream.length, at + rest.length);
    const here = stream[start]?.start ?? Array.from(text).length;
    places.push({ id: ids[i], start: here, end: at > start ? stream[at - 1].end : here });
  }
  return places;
}

// The characters (or bytes) that the tokenizer sees, each with its place in the text: a letter and
// the accents after it are one place.
function normalised(model, text) {
  const { normalizer } = model.tokenizer;
  const stream = [];
  let start = 0;
  for (const [cluster] of text.matchAll(/[^\p{Mn}]\p{Mn}*|\p{Mn}+/gsu)) {
    const end = start + Array.from(cluster).length;
    const seen = cluster.length === 1 && IS_BLANK.test(cluster) ? cluster : normalizer ? normalizer(cluster) : cluster;
    const parts = model.byteLevel ? Array.from(new TextEncoder().encode(seen), (b) => String.fromCharCode(b)) : Array.from(seen);
    for (const char of parts) stream.push({ char, start, end });
    start = end;
  }
  return stream;
}

const surfaceOf = (token) => Array.from(token.replace(/^[▁Ġ]/u, "").replace(/^##/, ""));

// An unknown token reaches to the next one that is known, and never over a blank.
function unknownEnd(stream, at, tokens, ids, i, unk) {
  if (ids[i + 1] === unk) return Math.min(stream.length, at + 1);
  const next = i + 1 < tokens.length && !/^[▁Ġ]/u.test(tokens[i + 1]) ? surfaceOf(tokens[i + 1]) : [];
  for (let end = at + 1; end < stream.length; end++) {
    if (IS_BLANK.test(stream[end].char)) return end;
    if (next.length && next.every((char, k) => stream[end + k]?.char === char)) return end;
  }
  return stream.length;
}
