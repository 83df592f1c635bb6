// Draws the figures of the page, in the colours of the reader's scheme, now and when it changes.
(() => {
  "use strict";
  const style = getComputedStyle(document.documentElement);
  const ink = (name) => style.getPropertyValue(name).trim();

  // Figures come without text, grid or background colours: all of them are decided here.
  const template = () => {
    const axis = {
      gridcolor: ink("--grid"),
      linecolor: ink("--line"),
      tickcolor: ink("--line"),
      tickfont: { size: 11, color: ink("--muted") },
      title: { font: { size: 12, color: ink("--muted") } },
    };
    return {
      layout: {
        font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: ink("--ink") },
        paper_bgcolor: "rgba(0,0,0,0)",
        plot_bgcolor: "rgba(0,0,0,0)",
        xaxis: axis,
        yaxis: axis,
        legend: { font: { size: 12, color: ink("--muted") } },
        hoverlabel: {
          align: "left",
          bgcolor: ink("--surface"),
          bordercolor: ink("--muted"),
          font: { color: ink("--ink") },
        },
      },
    };
  };

  const figures = [...document.querySelectorAll("[data-figure]")];
  // On a touch screen a finger on a figure scrolls the page instead of zooming.
  const touch = matchMedia("(pointer: coarse)").matches;

  const draw = (box) => {
    const source = document.querySelector(`[data-of="${box.dataset.figure}"]`);
    const { data, layout } = JSON.parse(source.textContent);
    const own = { template: template(), autosize: true, dragmode: touch ? false : "zoom" };
    return Plotly.newPlot(box, data, { ...layout, ...own }, {
      responsive: true,
      displayModeBar: false,
    });
  };

  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    for (const box of figures) Plotly.relayout(box, { template: template() });
  });
  Promise.all(figures.map(draw)).then(() => {
    document.documentElement.dataset.drawn = figures.length;
  });
})();
