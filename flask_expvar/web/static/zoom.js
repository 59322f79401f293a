/* A chart to zoom into: drag over a piece of it, double-click to see all again. */
(() => {
  "use strict";
  const place = document.getElementById("zoom");
  if (!place) return;
  const colour = (name) =>
    getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  let plot = null;

  const read = () => JSON.parse(document.getElementById("zoom-data").textContent);
  const rows = (data) => [data.times, ...data.lines];

  const draw = () => {
    const data = read();
    const tones = ["--fill", "--second", "--third", "--fourth"].map(colour);
    const axis = { stroke: colour("--muted"), grid: { stroke: colour("--line") } };
    // The server's time of day, as in the charts above.
    const clock = (moment) =>
      moment == null ? "–" : new Date(1000 * (moment + data.offset)).toISOString().slice(11, 19);
    if (plot) plot.destroy();
    plot = new uPlot({
      title: `Zoom: drag over a piece, double-click for all${data.unit ? ` (${data.unit})` : ""}`,
      width: place.clientWidth,
      height: 240,
      series: [{ label: "Time", value: (_, moment) => clock(moment) }, ...data.names.map((label, at) => ({ label, stroke: tones[at], width: 2 }))],
      axes: [{ ...axis, values: (_, moments) => moments.map(clock) }, axis],
      cursor: { drag: { x: true, y: false } },
    }, rows(data), place);
    // A refresh leaves it where it is: what the server sends here is empty.
    plot.root.dataset.keep = "";
    plot.root.setAttribute("aria-hidden", "true"); // the same is above, for everybody
  };

  draw();
  document.addEventListener("expvar:morphed", () => {
    const data = read();
    if (data.lines.length !== plot.series.length - 1) return draw();
    // Whoever has zoomed in stays there.
    const zoomed = plot.scales.x.min > plot.data[0][0] || plot.scales.x.max < plot.data[0].at(-1);
    plot.setData(rows(data), !zoomed);
    if (zoomed) plot.redraw();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  addEventListener("resize", () => plot.setSize({ width: place.clientWidth, height: 240 }));
})();
