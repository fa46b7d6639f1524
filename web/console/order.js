// The order of a list by the time of creation: the only order that its index has.
import { html } from "./preact.js";
import { routeTo } from "./route.js";

/** `oldest`, or undefined for the newest first. A search has its own order. */
export const orderOf = ({ q, order }) => (order === "oldest" && !q ? order : undefined);

/** The names of the pager's links to the first and to the next page. */
export const pageNames = (order) => (order ? ["Oldest", "Newer"] : ["Newest", "Older"]);

/** The head of the column: its link turns the order round. Without a `path` the list has this order only. */
export function CreatedHeader({ path, query, order }) {
  if (!path) return html`<th scope="col">Created</th>`;
  const [direction, arrow, other] = order ? ["ascending", "↑", "newest"] : ["descending", "↓", "oldest"];
  const href = routeTo(path, { ...query, order: order ? undefined : "oldest", cursor: undefined });
  return html`<th scope="col" aria-sort=${direction}><a href=${href} title=${`Show the ${other} first`}>Created <span aria-hidden="true">${arrow}</span></a></th>`;
}
