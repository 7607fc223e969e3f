"use strict";

const byId = (id) => document.getElementById(id);

// A JSON answer; throws the server's own sentence when it refuses.
async function ask(path, options = {}) {
  const key = byId("key").value.trim();
  const headers = key ? { "X-API-Key": key } : {};
  const answer = await fetch(path, { ...options, headers, cache: "no-store" });
  const text = await answer.text();
  if (answer.ok) return text;
  let message = `HTTP ${answer.status}`;
  try {
    message = JSON.parse(text).error ?? message;
  } catch {
    // not ours: a proxy's page, say
  }
  throw new Error(message);
}

async function showHealth() {
  const health = byId("health");
  try {
    const answer = await fetch("/v2/health/ready", { cache: "no-store" });
    const { state } = await answer.json();
    health.textContent = state;
    health.className = answer.ok ? state : "bad";
  } catch {
    health.textContent = "unreachable";
    health.className = "bad";
  }
}

function fillTable(table, specs) {
  for (const spec of specs) {
    const row = table.tBodies[0].insertRow();
    const optional = spec.optional ? " (optional)" : "";
    const shape = spec.shape ? `[${spec.shape.join(", ")}]` : "any";
    for (const text of [spec.name + optional, spec.datatype ?? spec.kind ?? "any", shape]) {
      row.insertCell().textContent = text;
    }
  }
}

const zeros = { BOOL: false, BYTES: "" };

// A request that can be sent as it is: zeros, free dimensions 1.
function example(inputs) {
  const given = inputs.filter((spec) => !spec.optional).map((spec) => {
    const datatype = spec.datatype ?? "FP32";
    const shape = (spec.shape ?? [1]).map((extent) => Math.max(extent, 1));
    const size = shape.reduce((all, extent) => all * extent, 1);
    const length = Math.min(size, 100000) * (datatype.startsWith("COMPLEX") ? 2 : 1);
    return { name: spec.name, datatype, shape, data: Array(length).fill(zeros[datatype] ?? 0) };
  });
  const lines = given.map((input) => `    ${JSON.stringify(input)}`);
  return `{\n  "inputs": [\n${lines.join(",\n")}\n  ]\n}`;
}

async function run(event, path, section) {
  event.preventDefault();
  const button = section.querySelector("button");
  const output = section.querySelector("output");
  const took = section.querySelector(".took");
  const start = performance.now();
  button.disabled = true;
  try {
    const text = await ask(path, { method: "POST", body: section.querySelector("textarea").value });
    output.textContent = text;
    output.className = "";
    took.textContent = `${(performance.now() - start).toFixed(1)} ms`;
  } catch (error) {
    output.textContent = error.message;
    output.className = "bad";
    took.textContent = "";
  } finally {
    button.disabled = false;
  }
}

async function showModel(name) {
  const path = `/v2/models/${encodeURIComponent(name)}`;
  const model = JSON.parse(await ask(path));
  const section = byId("model-template").content.cloneNode(true).firstElementChild;
  section.querySelector("h2").textContent = model.name;
  const aliases = model.aliases?.length ? ` · ${model.aliases.map((a) => `@${a}`).join(", ")}` : "";
  const stateful = model.stateful ? " · stateful" : "";
  section.querySelector(".versions").textContent =
    `version ${model.versions.join(", ")}${aliases} · ${model.platform}${stateful}`;
  fillTable(section.querySelector(".inputs"), model.inputs);
  fillTable(section.querySelector(".outputs"), model.outputs);
  section.querySelector("textarea").value = example(model.inputs);
  section.querySelector("form").addEventListener("submit", (e) => run(e, `${path}/infer`, section));
  byId("models").append(section);
}

async function showModels() {
  const problem = byId("problem");
  problem.hidden = true;
  byId("models").replaceChildren();
  try {
    const { models } = JSON.parse(await ask("/v2/models"));
    for (const name of models) await showModel(name);
    if (models.length === 0) throw new Error("This key is for none of the models served here.");
  } catch (error) {
    problem.textContent = error.message;
    problem.hidden = false;
  }
}

byId("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  showModels();
});
showHealth();
setInterval(showHealth, 5000);
// A server without API keys shows its models at once.
fetch("/v2/models", { cache: "no-store" }).then((answer) => answer.ok && showModels());
