// The school: its refund promise, and links to its contact, its terms and its privacy policy.
import { h } from "../shared/dom.js";
import { texts } from "./text.js";

const words = texts.school_links;

/** A link that opens a new tab, and says so. */
export const newTab = (href, text) =>
  h("a", { href, target: "_blank", rel: "noopener" }, text, h("span", { class: "visually-hidden" }, words.new_tab));

/** How to reach the school: a link for an address or a URL, the text as it is otherwise; undefined if there is none. */
export function contactLink(contact) {
  if (!contact) return undefined;
  if (/^https:\/\/\S+$/.test(contact)) return newTab(contact, words.contact);
  if (/^[^@\s]+@[^@\s]+$/.test(contact)) return h("a", { href: `mailto:${contact}` }, contact);
  return contact;
}

/** A paragraph that leads to the contact, the terms and the privacy policy of a catalog; undefined if it has none. */
export function schoolLinks({ support_contact: contact, terms, privacy_url: privacy }) {
  const links = [
    contact && h("span", {}, ...words.questions(contactLink(contact))),
    terms?.url && newTab(terms.url, words.terms),
    privacy && newTab(privacy, words.privacy),
  ].filter(Boolean);
  return links.length ? h("p", { class: "row small school-links" }, ...links) : undefined;
}

/** How the student can get their money back: in the EU by withdrawing from the contract, which is their right. */
export function refundPromise({ refund_window_days: days, consumer_region: region }) {
  if (region === "EU") return words.withdrawal(days);
  return days ? words.guarantee(days) : words.refund_on_request;
}
