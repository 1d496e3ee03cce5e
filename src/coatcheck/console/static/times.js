// Times in the reader's zone and words. Without it pages tell them in UTC.
(() => {
  "use strict";
  const all = (selector, within = document) => [
    ...(within.matches?.(selector) ? [within] : []),
    ...within.querySelectorAll(selector),
  ];
  const full = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
  const exact = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "long" });
  const toSecond = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });
  const whole = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });
  const relative = new Intl.RelativeTimeFormat(undefined, { numeric: "auto" });
  const units = [["year", 31536000], ["month", 2592000], ["day", 86400], ["hour", 3600], ["minute", 60]];

  function ago(moment) {
    const seconds = (moment - Date.now()) / 1000;
    for (const [unit, size] of units)
      if (Math.abs(seconds) >= size) return relative.format(Math.round(seconds / size), unit);
    return seconds > 1 ? relative.format(Math.trunc(seconds), "second") : "just now";
  }

  function tellTime(element) {
    const moment = new Date(element.dateTime);
    if (Number.isNaN(moment.getTime()) || element.dataset.when === "clock") return;
    const text = element.dataset.when === "full" ? full.format(moment) : ago(moment);
    if (element.textContent !== text) element.textContent = text;
    if (!element.title) element.title = exact.format(moment);
  }

  // Times of rows that follow one another: the day is told where it is another than in the row before.
  function tellClocks(within) {
    let before = "";
    for (const element of all('time[data-when="clock"]', within)) {
      const moment = new Date(element.dateTime);
      if (Number.isNaN(moment.getTime())) continue;
      const date = whole.format(moment);
      element.textContent = (date === before ? "" : `${date}, `) + toSecond.format(moment);
      element.title = `${ago(moment)}, ${exact.format(moment)}`;
      before = date;
    }
  }

  // ---------- Beginning, and again for every piece that htmx puts in ----------
  function tellTimes(within) {
    all("time[data-when]", within).forEach(tellTime);
    tellClocks(within);
  }

  document.addEventListener("htmx:load", (event) => tellTimes(event.detail.elt));
  setInterval(() => all('time[data-when="ago"]').forEach(tellTime), 20000);
  tellTimes(document);
})();
