// A bar chart as inline SVG, with a caption that states its finding, the same numbers as a table, and a CSV file.
import { html, useState } from "./preact.js";

const WIDTH = 640;
const HEIGHT = 160;
const GAP = 0.25;
const MAX_BAR = 64;
const LABELS = 8;

/**
 * `rows` are `{ label, value, text, cells }`: `text` is the value as people read it, `cells` are the other columns of
 * the table. `columns` are all of its headings, `finding` is the caption. Bars below zero point down.
 */
export function Chart({ id, title, finding, columns, rows }) {
  const [isOpen, setOpen] = useState(false);
  return html`<figure class="panel chart" aria-labelledby=${`${id}-title`}>
    <h3 id=${`${id}-title`}>${title}</h3>
    <figcaption id=${`${id}-finding`}>${finding}</figcaption>
    <${Bars} id=${id} rows=${rows} />
    <${Axis} labels=${rows.map(({ label }) => label)} />
    <p class="actions">
      <button type="button" class="quiet" aria-expanded=${isOpen ? "true" : "false"} onClick=${() => setOpen(!isOpen)}>${isOpen ? "Hide table" : "Show table"}<span class="visually-hidden"> of ${title}</span></button>
      <a class="button quiet" download=${`${id}.csv`} href=${csvAddress(columns, rows)}>CSV<span class="visually-hidden"> of ${title}</span></a>
    </p>
    ${isOpen && html`<${Table} title=${title} columns=${columns} rows=${rows} />`}
  </figure>`;
}

function Bars({ id, rows }) {
  const top = Math.max(0, ...rows.map(({ value }) => value));
  const bottom = Math.min(0, ...rows.map(({ value }) => value));
  const scale = HEIGHT / (top - bottom || 1);
  const step = WIDTH / rows.length;
  const width = Math.min(step * (1 - GAP), MAX_BAR);
  return html`<svg viewBox=${`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-labelledby=${`${id}-title ${id}-finding`} preserveAspectRatio="none">
    ${rows.map(({ label, value, text }, index) => {
      const height = Math.max(value ? 1 : 0, Math.abs(value) * scale);
      const y = value >= 0 ? top * scale - height : top * scale;
      return html`<rect key=${label} class=${value < 0 ? "below" : ""} x=${index * step + (step - width) / 2} y=${y} width=${width} height=${height}><title>${label}: ${text}</title></rect>`;
    })}
    <line x1="0" x2=${WIDTH} y1=${top * scale} y2=${top * scale} />
  </svg>`;
}

/** The labels below the bars: all of a few, else the first and the last. The table has all for a screen reader. */
function Axis({ labels }) {
  const shown = labels.length > LABELS ? [labels[0], labels.at(-1)] : labels;
  return html`<ol class=${`axis ${labels.length > LABELS ? "ends" : ""}`} aria-hidden="true">${shown.map((label) => html`<li key=${label}>${label}</li>`)}</ol>`;
}

function Table({ title, columns, rows }) {
  return html`<div class="scroll" tabindex="0" role="region" aria-label=${title}><table class="rows">
    <thead><tr>${columns.map((name, index) => html`<th key=${name} scope="col" class=${index ? "right" : ""}>${name}</th>`)}</tr></thead>
    <tbody>${rows.map(
      ({ label, text, cells = [] }) => html`<tr key=${label}><th scope="row">${label}</th>${[text, ...cells].map(
        (cell, index) => html`<td key=${index} class="right">${cell}</td>`,
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
  const lines = [columns, ...rows.map(({ label, text, cells = [] }) => [label, text, ...cells])];
  return `data:text/csv;charset=utf-8,${encodeURIComponent(lines.map((line) => line.map(quoted).join(",")).join("\r\n"))}`;
}
