// The Payment Element: a frame of the simulator's origin with the payment fields. It sends their values only to the
// simulator's API. It exchanges messages with the page around it over one port: see stripe.js.
const byId = (id) => document.getElementById(id);
const digits = (text) => text.replace(/\D/g, "");
let port, key, types;

const FIELDS = {
  card: {
    number: (text) =>
      digits(text).length < 12
        ? "Your card number is incomplete."
        : luhn(digits(text))
          ? ""
          : "Your card number is invalid.",
    expiry: (text) =>
      digits(text).length < 4
        ? "Your card's expiration date is incomplete."
        : past(digits(text))
          ? "Your card's expiration year is in the past."
          : "",
    cvc: (text) => (digits(text).length < 3 ? "Your card's security code is incomplete." : ""),
  },
  us_bank_account: {
    routing: (text) => (digits(text).length === 9 ? "" : "Your routing number is incomplete."),
    account: (text) => (digits(text).length < 4 ? "Your account number is incomplete." : ""),
  },
};

function luhn(number) {
  const sum = [...number].reverse().reduce((total, digit, at) => {
    const value = at % 2 ? digit * 2 : Number(digit);
    return total + (value > 9 ? value - 9 : value);
  }, 0);
  return sum % 10 === 0;
}

function past(text) {
  const year = 2000 + Number(text.slice(-2));
  const now = new Date();
  return year < now.getFullYear() || (year === now.getFullYear() && Number(text.slice(0, 2)) <= now.getMonth());
}

const kind = () => document.querySelector("[name=kind]:checked").value;

function show() {
  byId("kinds").hidden = types.length < 2;
  if (!types.includes(kind())) document.querySelector(`[name=kind][value="${types[0]}"]`).checked = true;
  for (const name of Object.keys(FIELDS)) byId(name).hidden = name !== kind();
}

function hint(id, text) {
  byId(`${id}-hint`).textContent = text;
  byId(id).setAttribute("aria-invalid", text ? "true" : "false");
}

/** Shows the problem of each invalid field, and returns the first as an error; undefined if all are valid. */
function validate() {
  let first;
  for (const [id, check] of Object.entries(FIELDS[kind()])) {
    const text = check(byId(id).value);
    hint(id, text);
    if (text && !first) first = { id, text };
  }
  if (!first) return undefined;
  byId(first.id).focus();
  return { type: "validation_error", code: `incomplete_${first.id}`, message: first.text };
}

function form(params, path = "") {
  return Object.entries(params)
    .filter(([, value]) => value !== undefined)
    .flatMap(([name, value]) => {
      const field = path ? `${path}[${name}]` : name;
      return value !== null && typeof value === "object" ? form(value, field) : [[field, String(value)]];
    });
}

function methodData() {
  if (kind() === "us_bank_account") {
    const bank = { routing_number: digits(byId("routing").value), account_number: digits(byId("account").value) };
    return { type: "us_bank_account", us_bank_account: { ...bank, account_holder_type: "individual" } };
  }
  const [month, year] = [byId("expiry").value.slice(0, 2), digits(byId("expiry").value).slice(2)];
  const card = {
    number: digits(byId("number").value),
    exp_month: month,
    exp_year: year,
    cvc: digits(byId("cvc").value),
  };
  return { type: "card", card };
}

const ACTIONS = {
  submit: async () => ({ error: validate(), type: kind() }),
  confirm: async ({ clientSecret, params }) => {
    const intent = clientSecret.split("_secret_")[0];
    const [path, field] = intent.startsWith("seti_")
      ? ["setup_intents", "setupIntent"]
      : ["payment_intents", "paymentIntent"];
    const body = { key, ...params, payment_method_data: methodData() };
    const response = await fetch(`/v1/${path}/${intent}/confirm`, {
      method: "POST",
      body: new URLSearchParams(form(body)),
    });
    const result = await response.json();
    if (result.error?.param === "number") hint("number", result.error.message);
    return response.ok ? { [field]: result } : { error: result.error };
  },
  types: async ({ types: newTypes }) => {
    types = newTypes;
    show();
  },
  appearance: async ({ variables, dark }) => {
    document.documentElement.style.colorScheme = dark ? "dark" : "light";
    for (const [name, value] of Object.entries(variables))
      document.documentElement.style.setProperty(`--${name}`, value);
  },
  focus: async () => (kind() === "card" ? byId("number") : byId("routing")).focus(),
  clear: async () => {
    document.forms[0].reset();
    show();
  },
};

function connect(event) {
  if (event.source !== parent || event.data?.type !== "element") return;
  window.removeEventListener("message", connect);
  [port] = event.ports;
  ({ key, types } = event.data);
  ACTIONS.appearance(event.data.appearance);
  port.onmessage = async ({ data }) => {
    const result = await ACTIONS[data.action](data).catch(() => ({
      error: {
        type: "api_connection_error",
        message: "An error occurred with our connection to Stripe. Check your network and try again.",
      },
    }));
    port.postMessage({ id: data.id, result });
  };
  show();
  new ResizeObserver(() => port.postMessage({ height: document.forms[0].offsetHeight })).observe(document.forms[0]);
  port.postMessage({ ready: true });
}

const atEnd = (input) => input.selectionStart === input.value.length;
byId("number").addEventListener("input", ({ target }) => {
  if (atEnd(target))
    target.value = digits(target.value)
      .slice(0, 19)
      .replace(/(.{4})(?=.)/g, "$1 ");
});
byId("expiry").addEventListener("input", ({ target }) => {
  const typed = digits(target.value).slice(0, 4);
  if (atEnd(target)) target.value = typed.length > 2 ? `${typed.slice(0, 2)} / ${typed.slice(2)}` : typed;
});
document.forms[0].addEventListener("submit", (event) => event.preventDefault());
document.forms[0].addEventListener("change", ({ target }) => {
  if (target.name === "kind") show();
  else hint(target.id, target.value ? FIELDS[kind()][target.id](target.value) : "");
  const complete = Object.entries(FIELDS[kind()]).every(([id, check]) => !check(byId(id).value));
  port?.postMessage({ change: { complete, value: { type: kind() } } });
});
window.addEventListener("message", connect);
