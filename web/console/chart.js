// A bar chart as inline SVG, with a caption that states its finding, the same numbers as a table, and a CSV file.
import { html, useState } from "./preact.js";

const WIDTH = 640;
const HEIGHT = 160;
const GAP = 0.25;
const MAX_BAR = 64;
const LABELS = 12;
const MAX_LINES = 12;

/**
 * `rows` are `{ label, short, value, cells }`. A cell is a text, or `{ text, csv }` where a spreadsheet needs a plain
 * number; the first one is the value. `short` is the label below a bar. `columns` are the headings of the table,
 * `finding` is the caption. With `isList` each row is a line, else a column in the order of time.
 */
export function Chart({ id, title, finding, columns, rows, isList = false }) {
  const [isOpen, setOpen] = useState(false);
  return html`<figure class="panel chart" aria-labelledby=${`${id}-title`}>
    <h3 id=${`${id}-title`}>${title}</h3>
    <figcaption id=${`${id}-finding`}>${finding}</figcaption>
    ${isList ? html`<${Lines} id=${id} rows=${rows} />` : html`<${Bars} id=${id} rows=${rows} />`}
    <p class="actions">
      <button type="button" class="quiet" aria-expanded=${isOpen ? "true" : "false"} onClick=${() => setOpen(!isOpen)}>${isOpen ? "Hide table" : "Show table"}<span class="visually-hidden"> of ${title}</span></button>
      <a class="button quiet" download=${`${id}.csv`} href=${csvAddress(columns, rows)}>CSV<span class="visually-hidden"> of ${title}</span></a>
    </p>
    ${isOpen && html`<${Table} title=${title} columns=${columns} rows=${rows} />`}
  </figure>`;
}

const textOf = (cell) => cell.text ?? cell;
const namesOf = (id) => `${id}-title ${id}-finding`;

/** Columns from left to right. Those below zero point down. The scale names the highest and the lowest value. */
function Bars({ id, rows }) {
  const none = { value: 0, cells: ["0"] };
  const highest = rows.reduce((best, row) => (row.value > best.value ? row : best), none);
  const lowest = rows.reduce((best, row) => (row.value < best.value ? row : best), none);
  const [top, bottom] = [highest.value, lowest.value];
  const scale = HEIGHT / (top - bottom || 1);
  const step = WIDTH / rows.length;
  const width = Math.min(step * (1 - GAP), MAX_BAR);
  const base = top || bottom ? top * scale : HEIGHT;
  return html`<div class="plot">
    <div class="scale" aria-hidden="true"><span>${textOf(highest.cells[0])}</span><span>${textOf(lowest.cells[0])}</span></div>
    <svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-labelledby=${namesOf(id)} preserveAspectRatio="none">
      ${rows.map(({ label, value, cells }, index) => {
        const height = Math.max(value ? 1 : 0, Math.abs(value) * scale);
        return html`<rect key=${label} class=${value < 0 ? "below" : ""} x=${index * step + (step - width) / 2} y=${value >= 0 ? base - height : base} width=${width} height=${height}><title>${label}: ${textOf(cells[0])}</title></rect>`;
      })}
      <line x1="0" x2=${WIDTH} y1=${base} y2=${base} />
    </svg>
    <${Axis} labels=${rows.map(({ short, label }) => short ?? label)} />
  </div>`;
}

/** The labels below the bars: all of a few, else the first and the last. The table has all for a screen reader. */
function Axis({ labels }) {
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

/** The table as a CSV file (RFC 4180). A text that a spreadsheet would take for a formula begins with an apostrophe. */
function csvAddress(columns, rows) {
  const quoted = (cell) => {
    const text = String(cell);
    return `"${(/^[=+@\t\r]|^-(?!\d)/.test(text) ? `'${text}` : text).replace(/"/g, '""')}"`;
  };
  const lines = [columns, ...rows.map(({ label, cells }) => [label, ...cells.map((cell) => cell.csv ?? cell)])];
  return `data:text/csv;charset=utf-8,${encodeURIComponent(lines.map((line) => line.map(quoted).join(",")).join("\r\n"))}`;
}
