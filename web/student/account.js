// The account: the address, saved cards, the student's data, and leaving.
import { explain, SessionExpired } from "../shared/api.js";
import { action, h, note, show } from "../shared/dom.js";
import { currentUser, signOut } from "../shared/session.js";
import * as api from "./api.js";
import { confirm } from "./dialog.js";
import { erasurePanel } from "./erasure.js";
import { dataPanel } from "./my_data.js";
import { texts } from "./text.js";

const words = texts.account;
const MAX_CORRECTIONS = 6; // each corrects up to 100 payments, and the API lets six follow each other at once

/** The view `#/account`. */
export async function accountView({ main, config }) {
  const data = dataPanel();
  show(
    main,
    words.title,
    addressPanel(),
    panel(words.cards, h("p", {}, words.cards_lead), h("p", {}, h("a", { href: "#/cards" }, words.cards_link))),
    data.panel,
    signOutPanel(config),
    erasurePanel(config),
    data.result,
  );
}

const panel = (title, ...content) =>
  h("section", { class: "panel my-data", "aria-label": title }, h("h2", {}, title), ...content);

/** The panel with which the address of the sign-in replaces an older one. */
function addressPanel() {
  const outcome = h("div", { role: "status" });
  const correct = async () => {
    outcome.replaceChildren();
    for (let number = 0; number < MAX_CORRECTIONS; number += 1) {
      const { email, complete } = await api.correctMyEmail();
      if (!complete) continue;
      outcome.replaceChildren(note("good", h("p", {}, words.updated(email))));
      return;
    }
    outcome.replaceChildren(note("info", h("p", {}, words.updated_partly)));
  };
  const onError = (error) => {
    if (error instanceof SessionExpired) throw error;
    outcome.replaceChildren(note("bad", h("p", {}, explain(error))));
  };
  return panel(
    words.address,
    h("p", {}, words.address_lead(currentUser()?.email ?? words.no_address)),
    action(words.update, correct, { onError, class: "quiet" }),
    outcome,
  );
}

/** The panel that ends the sign-in on every device. */
function signOutPanel(config) {
  const open = () =>
    confirm({
      title: words.sign_out_title,
      content: h("p", {}, words.sign_out_consequence),
      confirmText: words.sign_out_confirm,
      cancelText: words.sign_out_cancel,
      work: api.signOutEverywhere,
      onDone: () => signOut(config.sign_in),
    });
  return panel(
    words.devices,
    h("p", {}, words.devices_lead),
    h("button", { type: "button", class: "quiet", onclick: open }, words.sign_out),
  );
}
