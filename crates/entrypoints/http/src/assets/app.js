// The pages' one script. Every page works without it; with it, nobody has to reload, and names are checked as they are typed.
const find = (selector, root = document) => root.querySelector(selector);
const main = find("main");
const HTML = { headers: { accept: "text/html" } };
const JSON_TYPE = { "content-type": "application/json", accept: "application/json" };

// Says something to those who do not see the page.
const say = (text) => { find("#news").textContent = text; };

// Says what went wrong, to everybody.
const complain = (text) => {
  const alert = find("#trouble");
  alert.textContent = text;
  alert.hidden = !text;
};

const sentence = (text) => text ? `${text[0].toUpperCase()}${text.slice(1).replace(/\.$/, "")}.`.replaceAll("`", "") : "";
const span = (millis) => millis < 1 ? "<1 ms" : millis < 1000 ? `${millis} ms` : `${(millis / 1000).toFixed(1)} s`;

// Leads to what is new: those who see it to its beginning, the others to where it can be read.
const arrive = () => {
  scrollTo(0, 0);
  main.focus({ preventScroll: true });
};

// What goes on as long as what is shown: ended when something else is.
let leave = () => {};

// Shows the page of `path` in place of what is shown.
async function show(path) {
  const answer = await fetch(path, HTML);
  // What passes by itself is not worth losing the page for.
  if (answer.status >= 500) throw new Error(answer.statusText);
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const { activeElement: focused } = document;
  const row = focused.closest("tr")?.id;
  leave();
  document.title = page.title;
  main.replaceChildren(...find("main", page).childNodes);
  if (row) (find(`[data-path="${focused.dataset.path}"]`) ?? find(`#${row} button`) ?? main).focus();
  begin();
}

function begin() {
  leave = () => {};
  const form = find("#signup");
  const progress = find(".progress");
  if (form) signUp(form);
  if (progress?.dataset.rest === "false") follow(progress);
  if (find("tr[data-moving]")) {
    const timer = setTimeout(() => show(location.href).catch(() => {}), 1000);
    leave = () => clearTimeout(timer);
  }
  for (const button of document.querySelectorAll("[data-copy]")) button.hidden = !navigator.clipboard;
}

// The sign-up form.
function signUp(form) {
  const name = form.elements.subdomain;
  const hint = find("#subdomain-hint");
  const rules = hint.textContent;
  let timer, asked = 0, sent = "", key = "";

  const mark = (field, text, better) => {
    const input = form.elements[field];
    const error = find(`#${field}-error`);
    if (!input || !error) return complain(text);
    input.toggleAttribute("aria-invalid", Boolean(text));
    if (text) input.setAttribute("aria-invalid", "true");
    error.textContent = text;
    if (better) {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "link";
      button.textContent = `Use ${better}`;
      button.addEventListener("click", () => {
        input.value = better;
        input.focus();
        check();
      });
      error.append(" ", button);
    }
  };

  // By the server's rules, so that there is one set of them.
  async function check() {
    const number = ++asked;
    hint.textContent = rules;
    if (!name.value) return mark("subdomain", "");
    try {
      const verdict = await (await fetch(`/names/${encodeURIComponent(name.value)}`)).json();
      // An earlier question's answer that comes late says nothing.
      if (number !== asked) return;
      mark("subdomain", sentence(verdict.error ?? ""), verdict.suggestion);
      if (verdict.address) hint.textContent = `It will be at ${verdict.address}`;
    } catch { /* The server says it when the form is sent. */ }
  }

  name.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(check, 150);
  });
  leave = () => clearTimeout(timer);

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    clearTimeout(timer);
    asked++;
    complain("");
    const { subdomain, admin_email, company_name } = Object.fromEntries(new FormData(form));
    const body = JSON.stringify({ subdomain, admin_email, company_name });
    // The same fields again are the same request: pressing twice, or after a broken line, does nothing twice.
    if (body !== sent) {
      sent = body;
      key = Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
    }
    const button = find("button[type=submit]", form);
    button.disabled = true;
    try {
      const answer = await fetch("/provision", { method: "POST", headers: { ...JSON_TYPE, "idempotency-key": key }, body });
      const said = await answer.json();
      if (answer.ok && said.status_url) {
        const path = new URL(said.status_url).pathname;
        history.pushState({}, "", path);
        await show(path);
        say(said.message);
        arrive();
        return;
      }
      const errors = said.errors ?? [];
      for (const field of ["subdomain", "admin_email", "company_name"]) mark(field, "");
      for (const { field, detail, hint } of errors) mark(field, `${sentence(detail)} ${sentence(hint)}`);
      if (!errors.length) complain(`${sentence(said.detail ?? said.message)} ${sentence(said.hint)}`);
      find("[aria-invalid=true]", form)?.focus();
    } catch {
      complain("The server did not answer. Try again: nothing is done twice.");
    } finally {
      button.disabled = false;
    }
  });
}

// The steps of the status page, as they pass.
function follow(progress) {
  const { events, path } = progress.dataset;
  const list = find("#steps");
  const source = new EventSource(events);
  let timer, going = false;

  // Once: what is shown then follows by itself, and a second page in its place would take the focus away.
  const again = async () => {
    if (going) return;
    going = true;
    try {
      await show(path);
      say(find("h1").textContent);
      if (find(".progress")?.dataset.rest === "true") arrive();
    } catch {
      going = false; // The server may be back when the next look is due.
    }
  };

  const row = ({ step, undo, title }) => {
    const key = `${step}:${undo}`;
    const known = [...list.children].find((item) => item.dataset.key === key && !item.matches(".done"));
    if (known) return known;
    // Not announced: from here on everything is taken back.
    for (const item of list.querySelectorAll(".todo")) item.remove();
    for (const item of list.querySelectorAll(".run")) item.className = "bad";
    const item = document.createElement("li");
    item.dataset.key = key;
    for (const part of ["what", "note", "took"]) item.append(Object.assign(document.createElement("span"), { className: part }));
    find(".what", item).textContent = title;
    return list.appendChild(item);
  };

  const looks = { started: "run", waits: "run", done: "done", failed: "bad" };
  const step = (event) => {
    if (!event.title) return;
    const item = row(event);
    // What failed and is not given up is tried again.
    item.className = event.what === "failed" && !event.last ? "run" : looks[event.what] ?? "run";
    find(".note", item).textContent = event.what === "waits" ? `waits for ${event.why}` : event.cause?.message ?? "";
    if (event.what === "done") find(".took", item).textContent = span(event.millis);
    if (event.what === "started") say(event.title);
  };

  source.addEventListener("step", (event) => step(JSON.parse(event.data)));
  // Another state, or another saga: the page has other words for it.
  const changed = () => {
    clearTimeout(timer);
    timer = setTimeout(again, 50);
  };
  source.addEventListener("state", changed);
  source.addEventListener("note", (event) => JSON.parse(event.data).what === "began" && changed());
  source.addEventListener("end", again);

  // Where no events come through, asking now and then does.
  const poll = setInterval(async () => {
    try {
      const status = await (await fetch(path, { headers: { accept: "application/json" } })).json();
      const moved = String(status.queue?.position ?? "") !== (progress.dataset.place ?? "");
      if (status.at_rest || moved || (source.readyState === EventSource.CLOSED && status.last_event > progress.dataset.last)) again();
    } catch { /* The next time may do better. */ }
  }, 3000);

  leave = () => {
    clearTimeout(timer);
    clearInterval(poll);
    source.close();
  };
}

// The console's buttons, and those that copy.
document.addEventListener("click", async (event) => {
  const button = event.target.closest?.("button");
  if (button?.dataset.copy) {
    await navigator.clipboard.writeText(find(`#${button.dataset.copy}`).textContent);
    say("Copied");
    button.textContent = "Copied";
  }
  if (!button?.dataset.path || button.ariaBusy) return;
  const { method, path, sure } = button.dataset;
  if (sure && !confirm(sure)) return;
  // Not disabled: that would take the focus away.
  button.ariaBusy = "true";
  complain("");
  try {
    const answer = await fetch(path, { method, headers: JSON_TYPE });
    const said = await answer.json();
    if (answer.ok) {
      await show(location.href);
      say(said.message);
    } else {
      complain(`${sentence(said.detail)} ${sentence(said.hint)}`);
    }
  } catch {
    complain("The server did not answer. Try again.");
  } finally {
    button.ariaBusy = null;
  }
});

addEventListener("popstate", () => location.reload());
begin();
