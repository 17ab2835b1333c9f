// What the page adds to plain HTML: Airflow's choice of light or dark, copying, and words for what htmx does.
"use strict";
(() => {
  const root = document.documentElement;

  // Airflow keeps the choice of its user here, also for the page in its frame: both are of one origin.
  function dress() {
    let theme = null;
    try { theme = localStorage.getItem("theme"); } catch { /* storage is closed to this page */ }
    root.classList.toggle("dark", theme === "dark");
    root.classList.toggle("light", theme === "light");
  }
  dress();
  addEventListener("storage", dress);

  // In Airflow's frame, a browser leaves the focus where it was.
  addEventListener("DOMContentLoaded", () => document.querySelector("[autofocus]")?.focus());

  let fading;
  function say(text) {
    const told = document.getElementById("told");
    told.textContent = text;
    clearTimeout(fading);
    fading = setTimeout(() => { told.textContent = ""; }, 8000);
  }

  async function copy(button) {
    const source = document.getElementById(button.dataset.copy);
    const text = source.dataset.path ? location.origin + source.dataset.path : source.value ?? source.textContent;
    if (source.select) source.select(); else getSelection().selectAllChildren(source);
    try {
      await navigator.clipboard.writeText(text);
      say("Copied.");
    } catch {
      source.focus?.();
      say("Selected: press Ctrl+C, or Cmd+C, to copy.");
    }
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-copy]");
    if (button) copy(button);
  });

  // Further rows take the place of their link: the first of them takes the focus. A run that ends says so.
  let before = null;
  document.addEventListener("htmx:beforeSwap", ({ detail: { target } }) => {
    before = { rows: target.id === "more" && target.previousElementSibling, status: target.dataset.status };
  });
  document.addEventListener("htmx:afterSettle", () => {
    const first = before?.rows && before.rows.nextElementSibling;
    const status = document.getElementById("live")?.dataset.status;
    if (first) {
      first.querySelector("a, button, summary")?.focus();
      say(`${first.rows.length} further rows.`);
    } else if (before?.status && before.status !== status) {
      say(`The run has ended: ${status}. Load the page again to see its records.`);
    }
    before = null;
  });

  // A run in progress is asked for every few seconds: trouble is told once, until it has passed.
  let troubled = false;
  document.addEventListener("htmx:afterRequest", ({ detail }) => {
    if (!detail.successful && !troubled) say("The page could not be brought up to date. Load it again if it stays as it is.");
    troubled = !detail.successful;
  });
})();
