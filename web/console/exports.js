// All that a filter finds, as a file: ordered, watched while it is made, fetched by a link that lives for minutes.
import { lost, left, explain, read, send, useAnswer } from "./api.js";
import { moment, words } from "./format.js";
import { html, useEffect, useRef, useState } from "./html.js";
import { Answer, Button, Empty, Time } from "./parts.js";
import { filters } from "./payments.js";
import { go, to } from "./place.js";

const KEPT = "tuition.console.exports";
const MOST = 20;
const ASK_EACH_MS = 1000;
const LINK_AGES_MS = 240_000;

/** The exports that were ordered in this browser: their ids and times, nothing of what is in them. */
const ordered = () => JSON.parse(localStorage.getItem(KEPT) ?? "[]");
const count = (rows) => `${new Intl.NumberFormat("en").format(rows)} ${rows === 1 ? "payment" : "payments"}`;
const written = (asked) =>
  Object.entries(asked)
    .map(([name, value]) => `${words(name)}: ${value}`)
    .join(", ") || "every payment";

export function Exports({ id, query, staff }) {
  if (!staff.decides) {
    return html`<h1 tabindex="-1">Exports</h1><${Empty} title="An export is for the group admin">
      <p>It takes the data of many students out of the system. You may read all of it here.</p><//>`;
  }
  if (id) return html`<${Export} id=${id} />`;
  return html`<h1 tabindex="-1">Exports</h1>${query.new && html`<${Order} asked=${filters(query)} />`}<${Earlier} />`;
}

function Order({ asked }) {
  const busy = useRef(false);
  const [state, set] = useState({});
  const begin = async () => {
    if (busy.current) return;
    busy.current = true;
    set({ busy: true });
    try {
      const made = await send("/admin/exports/", { filters: asked });
      localStorage.setItem(
        KEPT,
        JSON.stringify([{ id: made.export_id, at: made.ordered_at }, ...ordered()].slice(0, MOST)),
      );
      go(["exports", made.export_id]);
    } catch (error) {
      if (!left(error))
        set({ error: `${explain(error)}${lost(error) ? " You may begin it again: an export changes nothing." : ""}` });
    } finally {
      busy.current = false;
    }
  };
  return html`<section class="panel"><h2>Export as CSV</h2>
    <p><strong>${written(asked)}</strong>: all that this finds, however much it is, one payment a row.</p>
    <p class="small">The file has e-mail addresses in it. That you ordered it is on the record.</p>
    ${state.error && html`<p class="note bad" role="alert">${state.error}</p>`}
    <div class="actions"><a class="button quiet" href=${to(["payments"], asked)}>Back to the list</a><${Button} busy=${state.busy} onClick=${begin}>Begin the export<//></div>
  </section>`;
}

function Earlier() {
  const known = ordered();
  if (!known.length)
    return html`<${Empty} title="No export was ordered in this browser"><p>Choose filters in <a href=${to(["payments"])}>Payments</a>, then “Export all as CSV”.</p><//>`;
  return html`<h2>Ordered in this browser</h2><div class="scroll"><table class="rows"><thead><tr><th>Ordered</th><th>Export</th></tr></thead>
    <tbody>${known.map(({ id, at }) => html`<tr key=${id}><td><a class="open" href=${to(["exports", id])}><${Time} at=${at} /></a></td><td><code>${id}</code></td></tr>`)}</tbody></table></div>`;
}

function Export({ id }) {
  const found = useAnswer(() => read(`/admin/exports/${encodeURIComponent(id)}/`), [id]);
  const state = found.answer?.state;
  useEffect(() => {
    if (found.waiting || found.error || state === "failed") return undefined;
    const later = setTimeout(found.again, state === "done" ? LINK_AGES_MS : ASK_EACH_MS);
    return () => clearTimeout(later);
  });
  return html`<p class="crumbs"><a data-up href=${to(["exports"])}>← Exports</a></p><h1 tabindex="-1">Export</h1>
    ${
      found.error?.status === 404
        ? html`<${Empty} title="There is no such export of yours, or it has expired"><p><a href=${to(["payments"])}>Begin anew from the payments</a></p><//>`
        : html`<${Answer} of=${found}>${(answer) => html`<${Progress} made=${answer} />`}<//>`
    }`;
}

function Progress({ made }) {
  return html`<section class="panel">
    <p><strong>${written(made.filters)}</strong>, ordered <${Time} at=${made.ordered_at} /></p>
    ${made.state === "failed" && html`<p class="note bad" role="alert">It could not be made: ${made.problem}</p>`}
    ${
      !["done", "failed"].includes(made.state) &&
      html`<p role="status"><span class="spinner" aria-hidden="true"></span> ${made.state === "waiting" ? "Waiting for its turn" : `Reading: ${count(made.rows)} so far`} …</p>
      <p class="small">It goes on when you leave this page; come back to its address.</p>`
    }
    ${
      made.state === "done" &&
      html`<p class="note good" role="status">Done: ${count(made.rows)}, ${new Intl.NumberFormat("en").format(made.bytes)} bytes. The file was counted again after it was written.</p>
      <p><a class="button" href=${made.url}>Download the CSV</a></p>
      <p class="small">The link lives until ${moment(made.url_expires_at)}; this page asks for a new one by itself.</p>`
    }
  </section>`;
}
