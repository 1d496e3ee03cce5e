// What the pages gain from script: copying, colours, charts, searching in choices, parts that refresh themselves.
// Every page works without it. Nothing here makes markup out of text: `textContent` and attributes only.
(() => {
  "use strict";
  const root = document.documentElement;
  const all = (selector, within = document) => [
    ...(within.matches?.(selector) ? [within] : []),
    ...within.querySelectorAll(selector),
  ];

  // ---------- Copying ----------
  async function copyText(text) {
    if (navigator.clipboard && window.isSecureContext) return navigator.clipboard.writeText(text);
    // A page over plain http has no clipboard of its own: copy from a field, in the dialogue that is open if one is.
    const field = document.createElement("textarea");
    field.value = text;
    field.className = "unseen";
    (document.querySelector("dialog[open]") || document.body).append(field);
    field.select();
    const done = document.execCommand("copy");
    field.remove();
    if (!done) throw new Error("refused");
  }

  async function copy(button) {
    const word = button.querySelector("[data-copy-word]");
    const label = (button.dataset.label ??= button.getAttribute("aria-label"));
    let said = "Copied";
    try {
      await copyText(button.dataset.copy);
      button.classList.add("copy-done");
    } catch {
      said = "Not copied";
    }
    button.focus();
    button.setAttribute("aria-label", said);
    button.title = said;
    if (word) word.textContent = said;
    tell(said);
    clearTimeout(button.back);
    button.back = setTimeout(() => {
      button.classList.remove("copy-done");
      button.setAttribute("aria-label", label);
      button.title = label;
      if (word) word.textContent = label;
    }, 1800);
  }

  // ---------- Saying something to screen readers ----------
  let voice;
  function tell(text) {
    if (!voice) {
      voice = document.createElement("div");
      voice.className = "unseen";
      voice.setAttribute("role", "status");
    }
    (document.querySelector("dialog[open]") || document.body).append(voice);
    voice.textContent = "";
    setTimeout(() => (voice.textContent = text), 50);
  }

  // ---------- Colours ----------
  const stored = () => {
    try {
      return localStorage.getItem("coatcheck-theme") || "system";
    } catch {
      return root.dataset.theme || "system";
    }
  };

  function showTheme() {
    const chosen = stored();
    for (const button of all("[data-theme-set]"))
      button.setAttribute("aria-pressed", String(button.dataset.themeSet === chosen));
  }

  function setTheme(chosen) {
    if (chosen === "system") delete root.dataset.theme;
    else root.dataset.theme = chosen;
    try {
      if (chosen === "system") localStorage.removeItem("coatcheck-theme");
      else localStorage.setItem("coatcheck-theme", chosen);
    } catch {
      // Storage may be refused; then the choice holds for this page.
    }
    showTheme();
    redraw();
  }

  // ---------- Charts ----------
  const charts = new Map(); // figure -> the uPlot drawn in it

  function readTable(figure) {
    const rows = all("tbody tr", figure);
    const width = all("thead th", figure).length;
    const columns = Array.from({ length: width }, () => []);
    for (const row of rows) {
      columns[0].push(new Date(row.querySelector("time").dateTime).getTime() / 1000);
      [...row.cells].slice(1).forEach((cell, index) => {
        const text = cell.textContent.trim();
        columns[index + 1]?.push(text === "" ? null : Number(text));
      });
    }
    return columns;
  }

  const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  const day = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
  const full = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

  // One line: hours, and the day instead where a day begins or where each step is a day.
  function axisTimes(_plot, ticks, _axis, _space, step) {
    return ticks.map((tick) => {
      const moment = new Date(tick * 1000);
      return step >= 86400 || (moment.getHours() === 0 && moment.getMinutes() === 0) ? day.format(moment) : clock.format(moment);
    });
  }

  const amount = new Intl.NumberFormat(undefined, { maximumFractionDigits: 1 });
  const short = new Intl.NumberFormat(undefined, { maximumFractionDigits: 1, notation: "compact" });

  function mixed(color, part) {
    return color.startsWith("rgb(") ? color.replace("rgb(", "rgba(").replace(")", `, ${part})`) : color;
  }

  function tip(figure, labels, unit) {
    const box = document.createElement("div");
    box.className = "chart-tip";
    box.hidden = true;
    const moment = document.createElement("b");
    box.append(moment);
    const numbers = labels.map((label, index) => {
      const line = document.createElement("span");
      const mark = figure.querySelectorAll("[data-mark]")[index].cloneNode();
      const number = document.createElement("em");
      line.append(mark, label, number);
      box.append(line);
      return number;
    });
    return {
      hooks: {
        init: (plot) => plot.over.append(box),
        setCursor: (plot) => {
          const at = plot.cursor.idx;
          box.hidden = at === null || at === undefined || plot.cursor.left < 0;
          if (box.hidden) return;
          moment.textContent = full.format(new Date(plot.data[0][at] * 1000));
          numbers.forEach((number, index) => {
            const value = plot.data[index + 1][at];
            number.textContent = value === null || value === undefined ? "–" : amount.format(value) + (unit ? ` ${unit}` : "");
          });
          const left = plot.valToPos(plot.data[0][at], "x");
          const room = plot.over.clientWidth - box.offsetWidth;
          box.style.left = `${Math.max(0, Math.min(room, left + (left > room / 2 ? -box.offsetWidth - 12 : 12)))}px`;
        },
      },
    };
  }

  function draw(figure) {
    const place = figure.querySelector("[data-plot]");
    if (!place || typeof uPlot === "undefined") return;
    charts.get(figure)?.destroy();
    const width = place.clientWidth;
    if (!width) return;
    const columns = readTable(figure);
    const style = getComputedStyle(root.querySelector(".chart-title"));
    const quiet = getComputedStyle(figure.querySelector(".chart-table > summary")).color;
    const grid = mixed(quiet, 0.16);
    const font = `12px ${style.fontFamily}`;
    const marks = all("[data-mark]", figure);
    const colors = marks.map((mark) => getComputedStyle(mark).color);
    const labels = marks.map((mark) => mark.parentElement.textContent.trim());
    const unit = figure.dataset.unit;
    const kind = figure.dataset.chart;
    const bars = kind === "bars";
    const side = bars && columns[0].length > 1 ? (columns[0][1] - columns[0][0]) / 2 : columns[0].length > 1 ? 0 : 1800;
    const series = labels.map((label, index) => ({
      label,
      stroke: colors[index],
      width: bars ? 0 : 1.75,
      fill: bars ? mixed(colors[index], 0.85) : kind === "area" ? mixed(colors[index], 0.12) : undefined,
      // Bars stand before one another: each is narrower than the one behind it, so that none is hidden, and
      // no two are told apart by their colours alone.
      paths: bars ? uPlot.paths.bars({ size: [0.7 * 0.6 ** index, 28 * 0.6 ** index], radius: 0.15 }) : undefined,
      points: { show: columns[0].length === 1, size: 6 },
    }));
    const axis = { stroke: quiet, font, grid: { stroke: grid, width: 1 }, ticks: { show: false } };
    charts.set(
      figure,
      new uPlot(
        {
          width,
          height: place.clientHeight,
          legend: { show: false },
          padding: [8, 18, 0, 0],
          cursor: { y: false, drag: { x: false, y: false }, points: { size: 7 } },
          scales: { x: { range: (_plot, first, last) => [first - side, last + side] }, y: { range: (_plot, low, high) => [Math.min(0, low ?? 0), (high || 1) * 1.08] } },
          axes: [
            { ...axis, grid: { show: false }, space: 64, size: 24, values: axisTimes },
            { ...axis, size: 48, space: 36, values: (_plot, ticks) => ticks.map((tick) => short.format(tick) + (unit === "%" ? "%" : "")) },
          ],
          series: [{}, ...series],
          plugins: [tip(figure, labels, unit)],
        },
        columns,
        place,
      ),
    );
  }

  function redraw() {
    for (const figure of charts.keys()) {
      if (figure.isConnected) draw(figure);
      else {
        charts.get(figure).destroy();
        charts.delete(figure);
      }
    }
  }

  const widths = new ResizeObserver((entries) => {
    for (const entry of entries) {
      const figure = entry.target.closest("[data-chart]");
      const plot = charts.get(figure);
      if (!plot) draw(figure);
      else if (plot.width !== entry.target.clientWidth)
        plot.setSize({ width: entry.target.clientWidth, height: entry.target.clientHeight });
    }
  });

  // ---------- Choices ----------
  function countChoices(box) {
    const boxes = all('input[type="checkbox"]', box);
    const taken = boxes.filter((tick) => tick.checked).length;
    box.querySelector("[data-choices-count]").textContent = `${taken} of ${boxes.length}`;
  }

  function filterChoices(box, text) {
    const wanted = text.trim().toLowerCase();
    for (const choice of all(".choice", box)) choice.hidden = !choice.textContent.toLowerCase().includes(wanted);
  }

  function setChoices(box, on) {
    for (const tick of all(".choice:not([hidden]) input", box)) tick.checked = on;
    box.dispatchEvent(new Event("change", { bubbles: true }));
  }

  // ---------- What is sent ----------
  function beBusy(form, button) {
    if (form.getAttribute("method") !== "post") return; // not `form.method`: a field may be called that
    const sent = button ?? form.querySelector("button:not([type=button])");
    // Disabled after the browser has read the form, or the button's own name would not be sent.
    setTimeout(() => {
      for (const each of all("button:not([type=button])", form)) each.disabled = true;
      if (!sent) return;
      sent.setAttribute("aria-busy", "true");
      if (sent.dataset.busy) {
        sent.dataset.was = sent.textContent;
        sent.lastChild.textContent = sent.dataset.busy;
      }
    }, 0);
  }

  function rest(within) {
    for (const button of all('button[aria-busy="true"]', within)) {
      button.removeAttribute("aria-busy");
      if (button.dataset.was) button.lastChild.textContent = button.dataset.was;
      delete button.dataset.was;
      for (const each of all("button", button.form ?? button)) each.disabled = false;
    }
  }

  // ---------- Parts that refresh themselves ----------
  // Whether a field is otherwise than the page had it. Of a list with nothing marked, the first is chosen.
  function isChanged(field) {
    if (field.type === "checkbox" || field.type === "radio") return field.checked !== field.defaultChecked;
    if (!field.options) return field.value !== field.defaultValue;
    const options = [...field.options];
    const first = !field.multiple && !options.some((one) => one.defaultSelected) && options.find((one) => !one.disabled);
    return options.some((one) => one.selected !== (one.defaultSelected || one === first));
  }

  // A part with `data-even-hidden` goes on while nobody sees it: what it tells of would end without it.
  function inUse(part) {
    const chosen = document.getSelection();
    const marked = chosen && !chosen.isCollapsed && part.contains(chosen.anchorNode);
    if ((document.hidden || marked) && !("evenHidden" in part.dataset)) return true;
    return (
      part.querySelector("dialog[open], details[open], input:focus, select:focus, textarea:focus") ||
      all("input, select, textarea", part).some(isChanged)
    );
  }

  const paused = (part) => document.querySelector(`[data-pause="${CSS.escape(part.id)}"][aria-pressed="true"]`);

  // ---------- Beginning, and again for every piece that htmx puts in ----------
  function dress(within) {
    all("[data-choices]", within).forEach(countChoices);
    for (const plot of all("[data-plot]", within)) widths.observe(plot);
    for (const box of all(".table-box, .tabs", within))
      if (box.scrollWidth > box.clientWidth || box.scrollHeight > box.clientHeight) box.tabIndex = 0;
    showTheme();
  }

  document.addEventListener("click", (event) => {
    const on = (selector) => event.target.closest(selector);
    for (const menu of all("details.menu[open], details.top-menu[open]"))
      if (!menu.contains(event.target)) menu.open = false;
    const copied = on("[data-copy]");
    const theme = on("[data-theme-set]");
    const pause = on("[data-pause]");
    const every = on("[data-choices-all], [data-choices-none]");
    if (copied) copy(copied);
    if (on("[data-print]")) window.print();
    if (theme) setTheme(theme.dataset.themeSet);
    if (pause) pause.setAttribute("aria-pressed", String(pause.getAttribute("aria-pressed") !== "true"));
    if (every) setChoices(every.closest("[data-choices]"), "choicesAll" in every.dataset);
    const opener = on("button[commandfor]");
    if (opener && !("commandForElement" in HTMLButtonElement.prototype)) {
      const dialog = document.getElementById(opener.getAttribute("commandfor"));
      if (opener.getAttribute("command") === "show-modal") dialog?.showModal();
      else dialog?.close();
    }
    if (event.target instanceof HTMLDialogElement) {
      const box = event.target.getBoundingClientRect();
      const inside = event.clientX >= box.left && event.clientX <= box.right && event.clientY >= box.top && event.clientY <= box.bottom;
      // Outside is its backdrop; but what was typed is not thrown away by a slip of the hand.
      if (!inside && event.detail && !event.target.querySelector("input:not([type=hidden]), textarea, select")) event.target.close();
    }
  });

  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      const open = event.target.closest?.("details.menu[open], details.top-menu[open]");
      if (open) {
        open.open = false;
        open.querySelector("summary").focus();
      }
      return;
    }
    const typing = event.target.closest?.("input, textarea, select, [contenteditable]");
    if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !document.querySelector("dialog[open]")) {
      const search = document.querySelector('.filters input[type="search"]');
      if (search) {
        event.preventDefault();
        search.focus();
        search.select();
      }
    }
  });

  document.addEventListener("input", (event) => {
    if (event.target.matches("[data-choices-filter]"))
      filterChoices(event.target.closest("[data-choices]"), event.target.value);
  });

  document.addEventListener("change", (event) => {
    const choices = event.target.closest("[data-choices]");
    if (choices) countChoices(choices);
    const ticked = event.target.dataset.tickAll;
    if (ticked) for (const tick of all(`input[name="${CSS.escape(ticked)}"]`, event.target.form)) tick.checked = event.target.checked;
  });

  document.addEventListener("submit", (event) => {
    if (!event.defaultPrevented) beBusy(event.target, event.submitter);
  });

  // A search in choices is no part of the form: Enter in it sends nothing.
  document.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && event.target.matches?.("[data-choices-filter]")) event.preventDefault();
  });

  window.addEventListener("pageshow", () => rest(document));
  document.addEventListener("htmx:configRequest", (event) => {
    const { elt, parameters, headers } = event.detail;
    if (elt.matches("[data-live]")) headers["X-Poll"] = "1"; // nobody stays signed in by what pages ask by themselves
    if (!elt.matches("form.filters")) return;
    for (const name of Object.keys(parameters)) if (parameters[name] === "") delete parameters[name];
  });
  const held = (part) => part.matches("[data-live]") && (inUse(part) || paused(part));
  document.addEventListener("htmx:beforeRequest", (event) => {
    if (held(event.detail.elt)) event.preventDefault();
  });
  // Somebody may have begun to use the part while the answer was on its way.
  document.addEventListener("htmx:beforeSwap", (event) => {
    if (held(event.detail.requestConfig.elt)) event.detail.shouldSwap = false;
  });
  document.addEventListener("htmx:load", (event) => dress(event.detail.elt));
  document.addEventListener("htmx:afterSwap", (event) => {
    redraw();
    document.getElementById(event.detail.requestConfig?.elt?.dataset.opens || "")?.showModal();
  });
  document.addEventListener("htmx:afterRequest", (event) => rest(event.detail.elt));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  dress(document);
})();
