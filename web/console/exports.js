// CSV exports of the payments or plans that match a filter: start one, watch its progress, download the file.
import { moment, sentenceCase } from "../shared/format.js";
import { explain, get, isUncertain, post, reportSessionExpired, useResponse } from "./api.js";
import { Button, Empty, WhenLoaded, Time } from "./components.js";
import { activeFilters, PLAN_FILTERS } from "./filters.js";
import { html, useEffect, useRef, useState } from "./preact.js";
import { navigate, routeTo } from "./route.js";

const STORAGE_KEY = "tuition.console.exports";
const MAX_REMEMBERED = 20;
const POLL_MS = 1000;
const RENEW_LINK_MS = 240_000; // a link is valid for five minutes

/** `{ id, at }` of the exports started in this browser, newest first. Their contents are not stored. */
const rememberedExports = () => JSON.parse(localStorage.getItem(STORAGE_KEY) ?? "[]");
const number = (value) => new Intl.NumberFormat("en").format(value);
const countOf = (rows, kind) => `${number(rows)} ${rows === 1 ? kind.slice(0, -1) : kind}`;
const filterText = (filters, kind) =>
  Object.entries(filters)
    .map(([name, value]) => `${sentenceCase(name)}: ${value}`)
    .join(", ") || `All ${kind}`;

export function Exports({ id, query, staff }) {
  if (!staff.decides) {
    return html`<h1 tabindex="-1">Exports</h1><${Empty} title="Only admins can export">
      <p>Exports contain personal data of many students. You can still view every payment here.</p><//>`;
  }
  if (id) return html`<${Export} id=${id} />`;
  const [kind, names] = query.new === "plans" ? ["plans", PLAN_FILTERS] : ["payments"];
  return html`<h1 tabindex="-1">Exports</h1>${query.new && html`<${NewExport} kind=${kind} filters=${activeFilters(query, names)} />`}<${EarlierExports} />`;
}

function NewExport({ kind, filters }) {
  const busy = useRef(false);
  const [state, set] = useState({});
  const start = async () => {
    if (busy.current) return;
    busy.current = true;
    set({ busy: true });
    try {
      const { export_id: id, ordered_at: at } = await post("/admin/exports", { kind, filters });
      const all = [{ id, at }, ...rememberedExports()].slice(0, MAX_REMEMBERED);
      localStorage.setItem(STORAGE_KEY, JSON.stringify(all));
      navigate(["exports", id]);
    } catch (error) {
      const advice = isUncertain(error) ? " It’s safe to try again: an export changes nothing." : "";
      if (!reportSessionExpired(error)) set({ error: `${explain(error)}${advice}` });
    } finally {
      busy.current = false;
    }
  };
  return html`<section class="panel"><h2>Export as CSV</h2>
    <p><strong>${filterText(filters, kind)}</strong></p>
    <p>Exports every ${kind === "plans" ? "payment plan" : "payment"} that matches, one per row.</p>
    <p class="small">Contains personal data (email addresses). This export is logged under your name.</p>
    ${state.error && html`<p class="note bad" role="alert">${state.error}</p>`}
    <div class="actions"><a class="button quiet" href=${routeTo([kind], filters)}>Back to the list</a><${Button} busy=${state.busy} onClick=${start}>Export CSV<//></div>
  </section>`;
}

function EarlierExports() {
  const exports = rememberedExports();
  if (!exports.length)
    return html`<${Empty} title="No exports from this browser yet"><p>Choose filters in <a href=${routeTo(["payments"])}>Payments</a> or <a href=${routeTo(["plans"])}>Plans</a>, then “Export all as CSV”.</p><//>`;
  return html`<h2>Exports from this browser</h2><div class="scroll"><table class="rows"><caption class="visually-hidden">Exports from this browser</caption><thead><tr><th scope="col">Started</th><th scope="col">Export</th></tr></thead>
    <tbody>${exports.map(({ id, at }) => html`<tr key=${id}><td><a class="open" href=${routeTo(["exports", id])}><${Time} at=${at} /></a></td><td><code>${id}</code></td></tr>`)}</tbody></table></div>`;
}

/** An export, read again until it is done, and then as often as its link needs. */
export function useExport(id) {
  const state = useResponse(() => get(`/admin/exports/${encodeURIComponent(id)}`), [id]);
  const { loading, error, response, reload } = state;
  useEffect(() => {
    if (loading || error || response?.state === "failed") return undefined;
    const timer = setTimeout(reload, response?.state === "done" ? RENEW_LINK_MS : POLL_MS);
    return () => clearTimeout(timer);
  });
  return state;
}

function Export({ id }) {
  const state = useExport(id);
  const { error } = state;
  return html`<p class="crumbs"><a data-up href=${routeTo(["exports"])}>← Exports</a></p><h1 tabindex="-1">Export</h1>
    ${
      error?.status === 404
        ? html`<${Empty} title="Export not found"><p>It has expired, or it isn’t yours. <a href=${routeTo(["payments"])}>Start a new one from Payments</a></p><//>`
        : html`<${WhenLoaded} of=${state}>${(details) => html`<${Progress} details=${details} />`}<//>`
    }`;
}

function Progress({ details }) {
  const { kind, state, filters, rows, bytes, ordered_at: startedAt, problem, url, url_expires_at: expiresAt } = details;
  const size = number(Math.ceil(bytes / 1000));
  return html`<section class="panel">
    <p><strong>${filterText(filters, kind)}</strong>, started <${Time} at=${startedAt} /></p>
    ${state === "failed" && html`<p class="note bad" role="alert">The export failed: ${problem}</p>`}
    ${
      !["done", "failed"].includes(state) &&
      html`<p role="status"><span class="spinner" aria-hidden="true"></span> ${state === "waiting" ? "Waiting to start…" : `Exporting… ${countOf(rows, kind)} so far`}</p>
      <p class="small">You can leave this page: the export continues, and you can return to this address.</p>`
    }
    ${
      state === "done" &&
      html`<p class="note good" role="status">Export ready: ${countOf(rows, kind)} (${size} KB).</p>
      <p><a class="button" href=${url}>Download CSV</a></p>
      <p class="small">Download link valid until ${moment(expiresAt)}; it renews automatically.</p>`
    }
  </section>`;
}
