"use strict";
(() => {
  const all = (what, where = document) => [...where.querySelectorAll(what)];

  // Tables: a click on a title sorts, by whole numbers where there are any; what has no value comes last.
  const valueOf = (cell) =>
    cell.dataset.value !== undefined ? Number(cell.dataset.value) : cell.textContent.trim();
  const compare = (a, b) =>
    typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), "en", { numeric: true });
  function sortBy(table, column, direction) {
    const body = table.tBodies[0];
    const rows = [...body.rows].map((row) => ({ row, value: valueOf(row.cells[column]) }));
    const missing = ({ value }) => value === "-" || value === "";
    rows.sort((a, b) => missing(a) - missing(b) || direction * compare(a.value, b.value));
    body.append(...rows.map(({ row }) => row));
  }
  for (const table of all("table.sortable")) {
    const titles = [...table.tHead.rows[0].cells];
    titles.forEach((title, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...title.childNodes);
      title.append(button);
      button.addEventListener("click", () => {
        const numbers = title.classList.contains("number");
        const before = title.getAttribute("aria-sort");
        const down = before ? before === "ascending" : numbers;
        titles.forEach((other) => other.removeAttribute("aria-sort"));
        title.setAttribute("aria-sort", down ? "descending" : "ascending");
        sortBy(table, column, down ? -1 : 1);
      });
    });
  }

  // Sliders: between two stops both frames are seen, the upper one as strongly as the slider says.
  for (const slider of all("[data-slider]")) {
    const input = slider.querySelector("input");
    const stops = all("[data-stop]", slider);
    const show = () => {
      const at = Number(input.value);
      const below = Math.floor(at);
      for (const frames of all(`[data-frames="${slider.dataset.slider}"]`)) {
        all(".frame", frames).forEach((frame, i) => {
          frame.classList.toggle("off", i !== below && (i !== below + 1 || at === below));
          frame.style.opacity = i === below + 1 ? at - below : 1;
        });
      }
      stops.forEach((stop) => stop.setAttribute("aria-pressed", Number(stop.dataset.stop) === at));
      input.setAttribute("aria-valuetext", stops[Math.round(at)].textContent);
    };
    input.addEventListener("input", show);
    stops.forEach((stop) =>
      stop.addEventListener("click", () => {
        input.value = stop.dataset.stop;
        show();
      })
    );
    show();
  }

  // An order of cards: each names its place in every order, data-order-NAME; without one it is left out.
  for (const choice of all("[data-orders]")) {
    const cards = document.getElementById(choice.dataset.orders);
    const buttons = all("button", choice);
    const order = (button) => {
      const key = `order${button.value}`;
      const shown = [...cards.children];
      shown.forEach((card) => (card.hidden = card.dataset[key] === undefined));
      shown.sort((a, b) => Number(a.dataset[key] ?? 1e9) - Number(b.dataset[key] ?? 1e9));
      cards.append(...shown);
      buttons.forEach((other) => other.setAttribute("aria-pressed", other === button));
    };
    buttons.forEach((button) => button.addEventListener("click", () => order(button)));
    if (buttons.length) order(buttons[0]);
  }

  // Plots: the series nearest to the pointer shows its value; with the keyboard, the arrows go along them.
  const tip = document.getElementById("tip");
  const text = (value) => String(Number(Number(value).toPrecision(6)));
  for (const plot of all(".plot")) {
    const svg = plot.querySelector("svg");
    const data = JSON.parse(plot.querySelector(".hover").textContent);
    if (!data.series.length) continue;
    const along = (value, range, from, to, log) => {
      const f = log ? Math.log10 : (x) => x;
      return from + ((f(value) - f(range[0])) / (f(range[1]) - f(range[0]))) * (to - from);
    };
    const place = (series, i) => {
      const { box, x, y, log } = data.axes[series.axes];
      return [along(series.x[i], x, box[0], box[2], log[0]), along(series.y[i], y, box[3], box[1], log[1])];
    };
    const show = (series, i) => {
      const { names, percent } = data.axes[series.axes];
      svg.classList.add("pointed");
      all(".series", svg).forEach((g) => g.classList.toggle("on", Number(g.dataset.series) === series.key));
      const value = percent ? `${text(100 * series.y[i])} %` : text(series.y[i]);
      tip.textContent = `${series.label}\n${names[0]} ${text(series.x[i])}\n${names[1].replace(/,? ?%$/, "")} ${value}`;
      tip.hidden = false;
      const at = new DOMPoint(...place(series, i)).matrixTransform(svg.getScreenCTM());
      tip.style.left = `${Math.min(at.x + 14, innerWidth - tip.offsetWidth - 8)}px`;
      tip.style.top = `${Math.max(at.y - tip.offsetHeight - 10, 4)}px`;
    };
    const hide = () => {
      svg.classList.remove("pointed");
      tip.hidden = true;
    };
    svg.addEventListener("pointermove", (event) => {
      const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
      let best = [25, null, 0];
      for (const series of data.series) {
        const { box } = data.axes[series.axes];
        if (at.x < box[0] - 5 || at.x > box[2] + 5 || at.y < box[1] - 5 || at.y > box[3] + 5) continue;
        for (let i = 0; i < series.x.length; i++) {
          const [x, y] = place(series, i);
          const far = Math.hypot(x - at.x, y - at.y);
          if (far < best[0]) best = [far, series, i];
        }
      }
      best[1] ? show(best[1], best[2]) : hide();
    });
    svg.addEventListener("pointerleave", hide);
    plot.addEventListener("blur", hide);
    const cursor = { series: 0, point: -1 };
    plot.addEventListener("keydown", (event) => {
      const step = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] }[event.key];
      if (event.key === "Escape") hide();
      if (!step || event.target !== plot) return;
      event.preventDefault();
      const count = data.series.length;
      if (cursor.point < 0) cursor.point = 0; // the first key shows where it begins
      else {
        cursor.series = (cursor.series + step[0] + count) % count;
        cursor.point += step[1];
      }
      const series = data.series[cursor.series];
      cursor.point = Math.min(Math.max(cursor.point, 0), series.x.length - 1);
      if (series.x.length) show(series, cursor.point);
    });
  }
})();
