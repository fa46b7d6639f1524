// A bar chart as inline SVG, with a caption that states its finding, the same numbers as a table, and a CSV file.
import { html, useState } from "./preact.js";

const WIDTH = 640;
const HEIGHT = 160;
const SERIES_HEIGHT = 48;
const GAP = 0.25;
const MAX_BAR = 64;
const LABELS = 12;
const MAX_LINES = 12;

/**
 * `rows` are `{ label, short, value, cells }`. A cell is a text, or `{ text, csv }` where a spreadsheet needs a plain
 * number; the first one is the value. `short` is the label below a bar. `columns` are the headings of the table,
 * `finding` is the caption. With `isList` each row is a line, else a column in the order of time. With `series`, which are
 * names, each row has `values` instead, those of its first cells, and each name has a plot of its own.
 */
export function Chart({ id, title, finding, columns, rows, isList = false, series }) {
  const [isOpen, setOpen] = useState(false);
  let bars = html`<${Bars} id=${id} rows=${rows} />`;
  if (isList) bars = html`<${Lines} id=${id} rows=${rows} />`;
  else if (series) bars = html`<${Series} id=${id} series=${series} rows=${rows} />`;
  return html`<figure class="panel chart" aria-labelledby=${`${id}-title`}>
    <h3 id=${`${id}-title`}>${title}</h3>
    <figcaption id=${`${id}-finding`}>${finding}</figcaption>
    ${bars}
    <p class="actions">
      <button type="button" class="quiet" aria-expanded=${isOpen ? "true" : "false"} onClick=${() => setOpen(!isOpen)}>${isOpen ? "Hide table" : "Show table"}<span class="visually-hidden"> of ${title}</span></button>
      <a class="button quiet" download=${`${id}.csv`} href=${csvAddress(columns, rows)}>CSV<span class="visually-hidden"> of ${title}</span></a>
    </p>
    ${isOpen && html`<${Table} title=${title} columns=${columns} rows=${rows} />`}
  </figure>`;
}

const textOf = (cell) => cell.text ?? cell;
const namesOf = (id) => `${id}-title ${id}-finding`;

/** Columns from left to right. The scale names the highest and the lowest value. */
function Bars({ id, rows }) {
  const none = { value: 0, cells: ["0"] };
  const highest = rows.reduce((best, row) => (row.value > best.value ? row : best), none);
  const lowest = rows.reduce((best, row) => (row.value < best.value ? row : best), none);
  const bars = rows.map(({ label, value, cells }) => ({ label, value, text: textOf(cells[0]) }));
  return html`<div class="plot">
    <div class="scale" aria-hidden="true"><span>${textOf(highest.cells[0])}</span><span>${textOf(lowest.cells[0])}</span></div>
    <svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-labelledby=${namesOf(id)} preserveAspectRatio="none">
      <${Columns} bars=${bars} height=${HEIGHT} top=${highest.value} bottom=${lowest.value} />
    </svg>
    <${Axis} rows=${rows} />
  </div>`;
}

/** A plot for each of several numbers, one below another and all to one scale. Each one names its highest. */
function Series({ id, series, rows }) {
  const top = Math.max(...rows.flatMap(({ values }) => values));
  return html`<div class="plot series" role="img" aria-labelledby=${namesOf(id)}>
    ${series.map((name, index) => {
      const bars = rows.map(({ label, values, cells }) => ({
        label,
        value: values[index],
        text: `${textOf(cells[index])} ${name.toLowerCase()}`,
      }));
      const best = rows.reduce((one, row) => (row.values[index] > one.values[index] ? row : one));
      return html`<div class="scale" key=${name}><span>${name}</span><span>${best.values[index] ? `up to ${textOf(best.cells[index])}` : "none"}</span></div>
        <svg viewBox="0 0 ${WIDTH} ${SERIES_HEIGHT}" preserveAspectRatio="none"><${Columns} bars=${bars} height=${SERIES_HEIGHT} top=${top} /></svg>`;
    })}
    <${Axis} rows=${rows} />
  </div>`;
}

/** The columns of a plot. Those below zero point down. `text` says a column's value. */
function Columns({ bars, height, top, bottom = 0 }) {
  const scale = height / (top - bottom || 1);
  const step = WIDTH / bars.length;
  const width = Math.min(step * (1 - GAP), MAX_BAR);
  const base = top || bottom ? top * scale : height;
  return html`${bars.map(({ label, value, text }, index) => {
    const length = Math.max(value ? 1 : 0, Math.abs(value) * scale);
    return html`<rect key=${label} class=${value < 0 ? "below" : ""} x=${index * step + (step - width) / 2} y=${value >= 0 ? base - length : base} width=${width} height=${length}><title>${label}: ${text}</title></rect>`;
  })}<line x1="0" x2=${WIDTH} y1=${base} y2=${base} />`;
}

/** The labels below the bars: all of a few, else the first and the last. The table has all for a screen reader. */
function Axis({ rows }) {
  const labels = rows.map(({ short, label }) => short ?? label);
  const shown = labels.length > LABELS ? [labels[0], labels.at(-1)] : labels;
  return html`<ol class=${`axis ${labels.length > LABELS ? "ends" : ""}`} aria-hidden="true">${shown.map((label) => html`<li key=${label}>${label}</li>`)}</ol>`;
}

/** One line for each row: its label, its bar, and its value. */
function Lines({ id, rows }) {
  const top = Math.max(1, ...rows.map(({ value }) => value));
  const rest = rows.length - MAX_LINES;
  return html`<div class="lines" role="img" aria-labelledby=${namesOf(id)}>${rows.slice(0, MAX_LINES).map(
    ({ label, value, cells }) => html`<div key=${label}>
      <span>${label}</span>
      <svg viewBox="0 0 100 10" preserveAspectRatio="none"><rect width=${(100 * Math.max(0, value)) / top} height="10" /></svg>
      <span class="right sum">${textOf(cells[0])}</span></div>`,
  )}</div>
  ${rest > 0 && html`<p class="small">The table has ${rest} more.</p>`}`;
}

function Table({ title, columns, rows }) {
  return html`<div class="scroll" tabindex="0" role="region" aria-label=${title}><table class="rows">
    <caption class="visually-hidden">${title}</caption>
    <thead><tr>${columns.map((name, index) => html`<th key=${name} scope="col" class=${index ? "right" : ""}>${name}</th>`)}</tr></thead>
    <tbody>${rows.map(
      ({ label, cells }) => html`<tr key=${label}><th scope="row">${label}</th>${cells.map(
        (cell, index) => html`<td key=${index} class="right sum">${textOf(cell)}</td>`,
      )}</tr>`,
    )}</tbody>
  </table></div>`;
}

/**
 * A table as a CSV file (RFC 4180), as an address. Columns and rows are those of a chart. A text that a spreadsheet would
 * take for a formula begins with an apostrophe.
 */
export function csvAddress(columns, rows) {
  const quoted = (cell) => {
    const text = String(cell);
    return `"${(/^[=+@\t\r]|^-(?!\d)/.test(text) ? `'${text}` : text).replace(/"/g, '""')}"`;
  };
  const lines = [columns, ...rows.map(({ label, cells }) => [label, ...cells.map((cell) => cell.csv ?? cell)])];
  return `data:text/csv;charset=utf-8,${encodeURIComponent(lines.map((line) => line.map(quoted).join(",")).join("\r\n"))}`;
}
