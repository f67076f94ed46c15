// The questions of the report: rows that are made a hundred at a time, details that are made when they are opened.
// Everything in the data is text of documents and people, so that it is only ever put in as text.
"use strict";

const data = JSON.parse(document.getElementById("data").textContent);
const AT_ONCE = 100;
const STATES = { all: "All", failed: "Failed", refused: "Refused", right: "Right" };
const ORDERS = {
  failures: "Failures first",
  asked: "As in the set",
  score: "Lowest score",
  rank: "Worst rank",
  words: "A to Z",
};
const STRENGTHS = { strong: "Strong match", partial: "Partial match", weak: "Weak match" };

const rows = data.rows.map(([index, id, question, kind, failure, state, rank, score], place) => ({
  index, id, question, kind: kind < 0 ? null : data.kinds[kind], failure, states: state.split(" "), rank, score, place,
}));

// Making elements

function make(tag, kind, ...inside) {
  const element = document.createElement(tag);
  if (kind) element.className = kind;
  element.append(...inside.filter((part) => part !== null && part !== ""));
  return element;
}

function isolated(text, tag = "bdi") {
  const element = make(tag, "", text);
  element.dir = "auto";
  return element;
}

function counted(count, noun) {
  return `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;
}

function sentence(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function decimals(value, digits = 3) {
  return value === null || value === undefined ? "–" : value.toFixed(digits);
}

// A text with its spans marked: quotes, gold words, and gold words in quotes.

function marked(text, quotes, golds) {
  const paragraph = isolated("", "p");
  paragraph.className = "passage";
  const edges = [...new Set([0, text.length, ...quotes.flat(), ...golds.flat()])].sort((a, b) => a - b);
  const around = (spans, start) => spans.findIndex(([from, to]) => from <= start && start < to);
  let quote = null;
  let open = -1;
  for (let at = 0; at + 1 < edges.length; at++) {
    const [start, end] = [edges[at], edges[at + 1]];
    const number = around(quotes, start);
    if (number !== open) {
      quote = number < 0 ? null : make("mark", "quote");
      if (quote) paragraph.append(quote);
      open = number;
    }
    const words = text.slice(start, end);
    (quote || paragraph).append(around(golds, start) < 0 ? words : make("mark", "gold", words));
  }
  return paragraph;
}

// Passages

function shown([rank, score, strength, relevant, [title, source, page, heading, line, row], text, quotes, golds]) {
  const named = { title: data.pool[title], source: data.pool[source], heading: data.pool[heading] };
  return { rank, score, strength, relevant, page, line, row, ...named, text: data.pool[text], quotes, golds };
}

function place({ title, source, page, heading, line, row }) {
  const parts = [];
  if (source !== title) parts.push(isolated(source));
  if (page !== null) parts.push(`page ${page}`);
  if (heading && heading !== title) parts.push(isolated(heading));
  if (line !== null && page === null) parts.push(`line ${line}`);
  if (row !== null) parts.push(`row ${row}`);
  const line_ = make("p", "place", make("b", "", isolated(title)));
  for (const part of parts) line_.append(make("span", "dot", " · "), part);
  return line_;
}

function standing({ rank, score, strength }) {
  const line = make("p", "standing");
  line.append(make("span", "", rank === null ? "not ranked" : `rank ${rank}`));
  if (score !== null) line.append(make("span", "", `score ${decimals(score)}`));
  if (strength) line.append(make("span", `strength ${strength}`, STRENGTHS[strength] || strength));
  return line;
}

function side(title, passage, none) {
  const article = make("article", "side", make("h4", "", title));
  if (!passage) article.append(make("p", "quiet", none));
  else article.append(place(passage), standing(passage), marked(passage.text, passage.quotes, passage.golds));
  return article;
}

function hit(passage) {
  const item = make("li", "hit", make("span", "number", String(passage.rank)));
  const line = standing(passage);
  line.firstChild.remove();
  if (passage.relevant !== null) {
    line.append(make("span", passage.relevant ? "answers" : "", passage.relevant ? "answers" : "does not answer"));
  }
  item.append(make("div", "", place(passage), line, marked(passage.text, passage.quotes, passage.golds)));
  return item;
}

// What opens under a question

function facts(row, details) {
  const list = make("dl", "facts");
  const add = (name, ...values) => {
    if (values.length) list.append(make("div", "", make("dt", "", name), make("dd", "", ...values)));
  };
  const lines = (texts, more) => {
    const made = (texts || []).map((text) => isolated(text, "p"));
    return more ? [...made, make("p", "quiet", `and ${more.toLocaleString("en")} more`)] : made;
  };
  const more = details.more || {};
  const sources = (details.sources || []).map(([name, grade]) => (grade === 1 ? name : `${name} (grade ${grade})`));
  add("Asked before", ...lines(details.history));
  if (details.question !== row.question) add("Question", isolated(details.question, "p"));
  if (details.searched && details.searched !== details.question) add("Searched", isolated(details.searched, "p"));
  add("Gold answer", ...(details.answerable === false ? ["nothing in the library answers"] : lines(details.answers, more.answers)));
  add(sources.length > 1 ? "Gold sources" : "Gold source", ...lines(sources, more.sources));
  if (details.pages) add(details.pages.length > 1 ? "Gold pages" : "Gold page", details.pages.join(", "));
  add("Gold passage", ...lines(details.passages, more.passages));
  add("Answer given", ...answerGiven(row, details));
  return list;
}

function answerGiven(row, details) {
  if (details.answer) return details.answer.map((text) => isolated(text, "p"));
  if (!row.states.includes("refused")) return [];
  const known = row.score !== null && details.threshold !== undefined;
  const why = known ? `: the best score ${decimals(row.score)} is under the threshold ${decimals(details.threshold)}` : "";
  return [`no passage found${why}`];
}

function ranking(documents) {
  const list = make("ol", "ranking");
  documents.forEach(([label, score, grade], place) => {
    const judged = grade === null ? "not judged" : grade > 0 ? `relevant${grade > 1 ? ` (grade ${grade})` : ""}` : "not relevant";
    const words = make("div", "", isolated(label), make("span", grade > 0 ? "answers" : "quiet", judged));
    list.append(make("li", "", make("span", "number", String(place + 1)), words, make("span", "value", decimals(score))));
  });
  return list;
}

function measured(values) {
  const line = make("p", "measured");
  (values || []).forEach((value, number) => {
    if (value !== null) line.append(make("span", "", isolated(data.measures[number]), ` ${decimals(value)}`));
  });
  return line;
}

function opened(row) {
  const details = data.details[row.index];
  if (!details) return make("p", "quiet", `Its details did not fit: questions.jsonl holds them, under the id ${row.id}.`);
  const body = make("div", "opened", facts(row, details));
  const hits = (details.hits || []).map(shown);
  if (row.failure) {
    const why = make("p", "why", make("b", "", sentence(row.failure)), ": ", isolated(details.why || data.classes[row.failure] || ""));
    body.append(why);
    if (hits.length || details.gold) {
      const none = details.answerable === false ? "Nothing in the library answers." : "The library has no passage that answers.";
      const right = side("A passage that answers", details.gold ? shown(details.gold) : null, none);
      const wrong = side("The best that does not", hits[details.wrong] || null, "None of the passages shown is wrong.");
      body.append(make("div", "sides", right, wrong));
    }
  }
  if (hits.length) body.append(make("h4", "", `All ${counted(hits.length, "passage")} shown`), make("ol", "hits", ...hits.map(hit)));
  if (details.documents) body.append(make("h4", "", "First of the ranking"), ranking(details.documents));
  body.append(make("p", "measured", make("span", "", "id ", isolated(row.id, "code"))), measured(details.measures));
  return body;
}

function item(row, grouped) {
  const state = row.failure ? "failed" : row.states[0];
  const sign = make("span", `sign ${state}`, make("span", "hidden", state === "unjudged" ? "not judged" : state));
  const words = make("span", "words", isolated(row.question));
  if (row.failure && !grouped) words.append(make("small", "", row.failure));
  const rank = row.rank === null ? "–" : row.rank ? `rank ${row.rank}` : "not found";
  const about = make("span", "about", make("span", "kind", row.kind ? isolated(row.kind) : ""));
  about.append(make("span", "rank", row.states.includes("refused") ? "refused" : rank), make("span", "value", decimals(row.score)));
  const details = make("details", "", make("summary", "", sign, words, about));
  details.addEventListener("toggle", () => {
    if (details.open && details.childElementCount === 1) details.append(opened(row));
  });
  return make("li", "", details);
}

// Finding and ordering

function folded(text) {
  return text.normalize("NFKC").toLowerCase();
}

function searchable(row) {
  if (!row.folded) {
    const { answers = [], sources = [] } = data.details[row.index] || {};
    row.folded = folded([row.id, row.question, ...answers, ...sources.map(([name]) => name)].join("\n"));
  }
  return row.folded;
}

function matching({ words, state, failure, kind }) {
  const wanted = folded(words).split(/\s+/).filter(Boolean);
  return rows.filter(
    (row) =>
      (state === "all" || row.states.includes(state)) &&
      (failure === "" || row.failure === failure) &&
      (kind === "" || row.kind === kind.slice(1)) &&
      wanted.every((word) => searchable(row).includes(word)),
  );
}

const missing = (value, otherwise) => (value === null ? otherwise : value);
const depth = ({ rank }) => (rank === 0 ? 1e12 : missing(rank, 0)); // not found is the worst, nothing to find the best
const COMPARE = {
  failures: (a, b) => a.place - b.place,
  asked: (a, b) => a.index - b.index,
  score: (a, b) => missing(a.score, Infinity) - missing(b.score, Infinity) || a.index - b.index,
  rank: (a, b) => depth(b) - depth(a) || a.index - b.index,
  words: (a, b) => a.question.localeCompare(b.question) || a.index - b.index,
};

// The list and its controls

const list = document.getElementById("list");
const status = make("p", "status");
const found = make("div", "found");
const further = make("button", "further");
let wanted = { words: "", state: "all", failure: "", kind: "", order: "failures" };
let matches = [];
let made = 0;

function columns() {
  const names = make("div", "about", make("span", "kind", "Kind"), make("span", "rank", "Answer at"), make("span", "value", "Score"));
  const line = make("div", "columns", names);
  line.setAttribute("aria-hidden", "true");
  return line;
}

function heading(failure) {
  const title = make("h3", "", failure ? sentence(failure) : "The others");
  if (failure) title.append(make("span", "count", data.failures[failure].toLocaleString("en")));
  const meaning = failure && data.classes[failure] ? make("p", "quiet", data.classes[failure]) : null;
  return make("div", "group", title, ...(meaning ? [meaning] : []));
}

function showMore() {
  const grouped = wanted.order === "failures" && data.counts.failed > 0;
  const first = made;
  for (const row of matches.slice(made, made + AT_ONCE)) {
    const before = made ? matches[made - 1] : null;
    if (!before || (grouped && before.failure !== row.failure)) {
      if (grouped) found.append(heading(row.failure));
      found.append(make("ol", "questions"));
    }
    found.lastChild.append(item(row, grouped));
    made += 1;
  }
  further.hidden = made >= matches.length;
  further.textContent = `Show ${Math.min(AT_ONCE, matches.length - made)} more`;
  return first;
}

function refresh() {
  matches = matching(wanted).sort(COMPARE[wanted.order]);
  made = 0;
  found.replaceChildren();
  showMore();
  const all = matches.length === rows.length;
  status.textContent = all ? counted(rows.length, "question") : `${counted(matches.length, "question")} of ${rows.length.toLocaleString("en")}`;
  if (!matches.length) status.textContent = "No question matches.";
}

function want(change) {
  wanted = { ...wanted, ...change };
  refresh();
}

function choice(label, options, chosen) {
  const select = make("select");
  select.setAttribute("aria-label", label);
  for (const [value, words] of options) {
    const option = make("option", "", words);
    option.value = value;
    select.append(option);
  }
  select.addEventListener("change", () => chosen(select.value));
  return make("label", "choice", make("span", "", label), select);
}

function states() {
  const group = make("fieldset", "states", make("legend", "hidden", "Show"));
  for (const [state, words] of Object.entries(STATES)) {
    const input = make("input");
    Object.assign(input, { type: "radio", name: "state", value: state, checked: state === "all" });
    input.addEventListener("change", () => want({ state }));
    group.append(make("label", "", input, make("span", "", words, " ", make("i", "", data.counts[state].toLocaleString("en")))));
  }
  return group;
}

function search() {
  const input = make("input");
  Object.assign(input, { type: "search", placeholder: "Question, answer, source or id", dir: "auto" });
  input.addEventListener("input", () => want({ words: input.value }));
  return make("label", "choice search", make("span", "", "Search"), input);
}

function controls() {
  const bar = make("div", "controls", states(), search());
  const classes = Object.keys(data.classes).filter((name) => data.failures[name]);
  const counts = classes.map((name) => [name, `${name} (${data.failures[name].toLocaleString("en")})`]);
  if (classes.length) bar.append(choice("Failure", [["", "Any"], ...counts], (failure) => want({ failure })));
  const kinds = data.kinds.map((kind) => [`=${kind}`, kind || "none"]);
  if (kinds.length > 1) bar.append(choice("Kind", [["", "Any"], ...kinds], (kind) => want({ kind })));
  bar.append(choice("Sort", Object.entries(ORDERS), (order) => want({ order })));
  return bar;
}

function legend() {
  const quote = make("span", "", make("mark", "quote", "quoted sentence"));
  return make("p", "legend", quote, make("span", "", make("mark", "gold", "gold answer")));
}

further.type = "button";
further.addEventListener("click", () => {
  const first = showMore();
  found.querySelectorAll("summary")[first]?.focus({ preventScroll: true });
});
status.setAttribute("role", "status");
list.append(controls(), make("div", "line", status, ...(data.pool.length ? [legend()] : [])), columns(), found, further);
refresh();
