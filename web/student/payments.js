// My payments: what was paid, receipts, and asking for the money back.
import { h, icon, note, show, action, announce } from "../shared/dom.js";
import { day, method, moment, money } from "../shared/format.js";
import { explain, SignedOut } from "../shared/api.js";
import { confirm } from "./dialog.js";
import * as school from "./school.js";

const STATUS = {
  CREATED: ["", "clock", "Not paid yet"],
  PROCESSING: ["", "clock", "Processing"],
  SUCCEEDED: ["good", "check", "Paid"],
  FAILED: ["bad", "alert", "Did not go through"],
  CANCELED: ["", "clock", "Closed unpaid"],
  REFUNDED: ["", "out", "Refunded"],
};

export async function payments({ main }) {
  const [page, catalog] = await Promise.all([school.payments(), school.tracks()]);
  const titles = new Map(catalog.tracks.map((track) => [track.track, track.title]));
  const place = h("ul", { class: "rows", "aria-label": "Payments" });
  show(
    main,
    "My payments",
    page.payments.length ? place : h("p", { class: "lead" }, "You have not paid for anything yet."),
  );
  const context = { titles, days: catalog.refund_window_days };
  place.append(...page.payments.map((payment) => row(payment, context)));
  if (page.next_cursor) main.append(more(place, page.next_cursor, context));
}

function more(place, cursor, context) {
  let next = cursor;
  const trouble = h("div", {});
  const button = action(
    "Show older payments",
    async () => {
      trouble.replaceChildren();
      const page = await school.payments(next);
      next = page.next_cursor;
      place.append(...page.payments.map((payment) => row(payment, context)));
      announce(`${page.payments.length} more payments`);
      if (!next) button.remove();
    },
    {
      class: "quiet",
      failed: (error) => {
        if (error instanceof SignedOut) throw error;
        trouble.replaceChildren(note("bad", h("p", {}, explain(error))));
      },
    },
  );
  return h("div", {}, button, trouble);
}

function row(payment, context) {
  const { status, amount, currency, track, created_at: at } = payment;
  const [kind, drawing, text] = STATUS[status];
  const title = context.titles.get(track) ?? track;
  const given =
    payment.refund_amount > 0 &&
    `${money(payment.refund_amount, currency)} given back${payment.refunded_at ? ` on ${day(payment.refunded_at)}` : ""}`;
  const item = h(
    "li",
    {},
    h(
      "div",
      { class: "grow" },
      h("h2", {}, title),
      h(
        "p",
        { class: "small" },
        h("time", { datetime: at }, moment(at)),
        payment.payment_method && ` · ${method(payment.payment_method)}`,
      ),
      given && h("p", { class: "small" }, given),
      payment.failure && h("p", { class: "small" }, payment.failure.message),
    ),
    h(
      "div",
      { class: "sum" },
      h("p", { class: "strong" }, money(amount, currency)),
      h("span", { class: `chip ${kind}` }, icon(drawing), text),
    ),
    asked(payment),
    h("div", { class: "row whole" }, ...ways(payment, title, context, () => item)),
  );
  return item;
}

const UNDECIDED = ["waiting", "calling", "pending"];

/** What became of the wish to have money back, where the amounts do not say it. */
function asked({ status, currency, refund_request: request }) {
  if (!request || status === "REFUNDED") return undefined;
  const wish = `You asked for ${money(request.amount, currency)} back on ${day(request.at)}.`;
  const why = request.answer ? `: ${request.answer}` : "";
  const told = {
    waiting: "The school decides; until then you keep your place.",
    calling: "Stripe is making the refund. It shows here when it is done.",
    pending: "Stripe is making the refund. It shows here when it is done.",
    declined: `The request was declined${why}.`,
    refused: `Stripe did not make the refund${why}.`,
    failed: "The refund did not arrive; the school looks into it.",
  }[request.state];
  return told && h("div", { class: "note info" }, icon("clock"), h("p", {}, `${wish} ${told}`));
}

function ways(payment, title, context, item) {
  const { status, amount, receipt_url: receipt, refund_amount: given, track } = payment;
  const found = [];
  if (receipt)
    found.push(
      h(
        "a",
        { href: receipt, target: "_blank", rel: "noopener", "aria-label": `Receipt for ${title} (opens a new tab)` },
        "Receipt",
      ),
    );
  if (school.OPEN.includes(status))
    found.push(h("a", { href: `#/buy/${track}` }, status === "PROCESSING" ? "See how it stands" : "Go on paying"));
  if (status === "SUCCEEDED" && amount > given && !UNDECIDED.includes(payment.refund_request?.state)) {
    found.push(
      h(
        "button",
        { type: "button", class: "quiet", onclick: () => ask(payment, title, context, item()) },
        "Ask for a refund",
        h("span", { class: "visually-hidden" }, ` of ${title}`),
      ),
    );
  }
  return found;
}

function ask(payment, title, context, item) {
  const left = money(payment.amount - payment.refund_amount, payment.currency);
  const to = payment.payment_method
    ? `the ${method(payment.payment_method).replace(/^(Card|Bank)/, (word) => word.toLowerCase())}`
    : "what you paid with";
  const days = context.days;
  confirm({
    title: `Ask for ${left} back?`,
    content: h(
      "div",
      {},
      h("ul", {}, [
        h("li", {}, `${left} goes back to ${to}. Banks take 5 to 10 days to show it.`),
        h(
          "li",
          {},
          days ? `Within ${days} days of paying it is done at once; later the school decides.` : "The school decides.",
        ),
        h(
          "li",
          {},
          `When it is done you lose access to ${title}. What you have worked on is kept, should you come back.`,
        ),
      ]),
      h("label", { for: "reason" }, "Why do you want it back?"),
      h("textarea", { id: "reason", name: "reason", rows: "3", maxlength: "500", required: true }),
    ),
    yes: `Ask for ${left}`,
    no: "Keep my place",
    work: async (form) => {
      const reason = form.get("reason").replace(/\s+/g, " ").trim();
      const found = await school.requestRefund(payment.payment_id, reason).catch((error) => known(payment, error));
      const now = row(found, context);
      if (found.status === "REFUNDED") now.append(note("good", h("p", {}, `Done: ${left} is on its way back to you.`)));
      item.replaceWith(now);
      announce(now.querySelector(".note")?.textContent ?? "");
      now.setAttribute("tabindex", "-1");
      now.focus();
    },
  });
}

/** After an answer that was lost, or a refusal: the payment as it is by now, if the wish or the money is on its record. */
async function known(payment, error) {
  if (error instanceof SignedOut) throw error;
  const now = await school.payment(payment.payment_id).catch(() => payment);
  const same = now.refund_amount === payment.refund_amount && now.refund_request?.id === payment.refund_request?.id;
  if (same) throw error;
  return now;
}
