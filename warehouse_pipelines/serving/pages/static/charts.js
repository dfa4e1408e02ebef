// Draws each <figure class="chart"> from the table within it, which stays for screen readers and where no script runs.
// The first column is what is across: a time if its cell has <time datetime>, else a label. Others are series of numbers,
// taken from data-value where the cell says it in words. The head of a series may name its colour in data-shade. Bars of
// the kind "stacked" stand on each other.
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
    const heads = [...figure.querySelectorAll("thead th")];
    const names = heads.map((cell) => cell.textContent.trim());
    const short = new Intl.NumberFormat("en", { notation: "compact" });
    const times = rows.map(([first]) => first.querySelector("time")?.dateTime);
    const byTime = times.every(Boolean);
    const labels = rows.map(([first]) => first.textContent.trim());
    const across = byTime ? times.map((at) => Date.parse(at) / 1000) : rows.map((_, place) => place);
    const stacked = figure.dataset.kind === "stacked";
    let series = names.slice(1).map((_, place) => rows.map((row) => value(row[place + 1])));
    if (stacked) series = series.map((_, place) => rows.map((_, row) => series.slice(0, place + 1).reduce((sum, one) => sum + one[row], 0)));
    const shown = series.map((values, place) => ({ values, name: names[place + 1], shade: resolved(heads[place + 1].dataset.shade ?? `series-${place % 4}`) }));
    if (stacked) shown.reverse();  // the lower ones are drawn over the sums
    const order = across.map((_, place) => place).sort((one, other) => across[one] - across[other]);
    const sorted = (list) => order.map((place) => list[place]);
    const [text, line] = [resolved("text"), resolved("line")];
    const bars = stacked || figure.dataset.kind === "bars" ? uPlot.paths.bars({ size: [0.7, 60] }) : undefined;
    const dense = !byTime && figure.clientWidth / rows.length < 7 * Math.max(...labels.map((label) => Math.min(label.length, 14)));
    const axis = { stroke: text, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1 } };
    const options = {
      width: figure.clientWidth,
      height: dense ? 244 : 180,
      scales: byTime ? {} : { x: { time: false, range: [-0.6, rows.length - 0.4] } },
      axes: [
        byTime ? axis : {
          ...axis, grid: { show: false }, splits: () => across, values: () => labels.map((label) => label.slice(0, 14)),
          rotate: dense ? -90 : 0, size: dense ? 104 : 40,
        },
        { ...axis, size: 48, values: (_, splits) => splits.map((split) => short.format(split)) },
      ],
      series: [
        byTime ? {} : { value: (_, at) => labels[at] ?? "" },
        ...shown.map(({ name, shade }) => ({
          label: name, stroke: shade, width: bars ? 0 : 2, paths: bars, fill: bars ? shade : undefined,
          points: { show: false },
        })),
      ],
      legend: { show: series.length > 1, live: false },
    };
    const place = document.createElement("div");
    place.setAttribute("aria-hidden", "true");
    figure.querySelector("figcaption").after(place);
    figure.drawn = new uPlot(options, [sorted(across), ...shown.map(({ values }) => sorted(values))], place);
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
