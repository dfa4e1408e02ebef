// Draws each <figure class="chart"> from the table within it, which stays for screen readers and where no script runs.
// The first column is what is across: a time if its cell has <time datetime>, else a label. Others are series of numbers,
// taken from data-value where the cell says it in words.
(() => {
  "use strict";
  const resolved = (name) => {
    const probe = document.createElement("span");
    probe.className = `probe ${name}`;
    document.body.append(probe);
    const found = getComputedStyle(probe).color;
    probe.remove();
    return found;
  };
  const value = (cell) => {
    const text = cell.dataset.value ?? cell.textContent.replace(/[,$%\s]/g, "");
    return text === "" ? null : Number(text);
  };

  const draw = (figure) => {
    const rows = [...figure.querySelectorAll("tbody tr")].map((row) => [...row.cells]);
    if (rows.length === 0) return;
    const names = [...figure.querySelectorAll("thead th")].map((cell) => cell.textContent.trim());
    const times = rows.map(([first]) => first.querySelector("time")?.dateTime);
    const byTime = times.every(Boolean);
    const labels = rows.map(([first]) => first.textContent.trim());
    const across = byTime ? times.map((at) => Date.parse(at) / 1000) : rows.map((_, place) => place);
    const series = names.slice(1).map((_, place) => rows.map((row) => value(row[place + 1])));
    const order = across.map((_, place) => place).sort((one, other) => across[one] - across[other]);
    const sorted = (list) => order.map((place) => list[place]);
    const [text, line] = [resolved("text"), resolved("line")];
    const bars = figure.dataset.kind === "bars" ? uPlot.paths.bars({ size: [0.7, 60] }) : undefined;
    const axis = { stroke: text, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1 } };
    const options = {
      width: figure.clientWidth,
      height: 220,
      scales: byTime ? {} : { x: { time: false, range: [-0.6, rows.length - 0.4] } },
      axes: [
        byTime ? axis : { ...axis, splits: () => across, values: () => labels.map((label) => label.slice(0, 14)) },
        { ...axis, size: 70 },
      ],
      series: [
        byTime ? {} : { value: (_, at) => labels[at] ?? "" },
        ...series.map((_, place) => ({
          label: names[place + 1], stroke: resolved(`series-${place % 4}`), width: 2, paths: bars,
          fill: bars ? resolved(`series-${place % 4}`) : undefined, points: { show: rows.length < 40 && !bars },
        })),
      ],
      legend: { show: series.length > 1 || byTime },
    };
    const place = document.createElement("div");
    place.setAttribute("aria-hidden", "true");
    figure.querySelector("figcaption").after(place);
    figure.drawn = new uPlot(options, [sorted(across), ...series.map(sorted)], place);
    figure.place = place;
  };

  const drawAll = () => {
    for (const figure of document.querySelectorAll("figure.chart")) {
      figure.drawn?.destroy();
      figure.place?.remove();
      draw(figure);
    }
  };
  let waiting;
  addEventListener("resize", () => { clearTimeout(waiting); waiting = setTimeout(drawAll, 150); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
  document.addEventListener("htmx:afterSettle", drawAll);
  drawAll();
})();
