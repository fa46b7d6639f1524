// The same flows with the npm package `stripe`: node samples.mjs PACKAGE HOST PORT SECRET_KEY PUBLISHABLE_KEY
// Prints one JSON object. https://docs.stripe.com/payments/accept-a-payment?lang=node
const [folder, host, port, secretKey, publishableKey] = process.argv.slice(2);
const { default: Stripe } = await import(`${folder}/esm/stripe.esm.node.js`);
const stripe = new Stripe(secretKey, { host, port: Number(port), protocol: "http" });
const browser = new Stripe(publishableKey, { host, port: Number(port), protocol: "http" });
const address = `http://${host}:${port}`;
const price = { amount: 1999, currency: "usd" };
const return_url = "https://example.com/done";
const result = {};

const authenticate = async (kind, id) => {
  const init = { method: "POST", body: JSON.stringify({ outcome: "success" }) };
  return (await fetch(`${address}/_sim/${kind}/${id}/authenticate`, init)).json();
};

// accept a payment: the page confirms with the publishable key and the client secret
const intent = await stripe.paymentIntents.create(price);
const confirmation = { client_secret: intent.client_secret, payment_method: "pm_card_visa", return_url };
result.accepted = (await browser.paymentIntents.confirm(intent.id, confirmation)).status;
const declined = await stripe.paymentIntents.create(price);
try {
  await stripe.paymentIntents.confirm(declined.id, { payment_method: "pm_card_chargeDeclined", return_url });
} catch (error) {
  result.declined = [error instanceof Stripe.errors.StripeCardError, error.code, error.decline_code];
}

// Checkout
const price_data = { currency: "usd", unit_amount: 1999, product_data: { name: "Course" } };
const session = await stripe.checkout.sessions.create({
  mode: "payment",
  line_items: [{ price_data, quantity: 2 }],
  success_url: "https://example.com/?s={CHECKOUT_SESSION_ID}",
});
const body = new URLSearchParams({ email: "ada@example.com", number: "4242424242424242", expiry: "12/40", cvc: "123" });
await fetch(session.url, { method: "POST", body, redirect: "manual" });
const paid = await stripe.checkout.sessions.retrieve(session.id, { expand: ["line_items"] });
result.checkout = [paid.payment_status, paid.amount_total, paid.line_items.data[0].quantity];

// save a card, with 3-D Secure, and charge it off session
const customer = await stripe.customers.create({ email: "ada@example.com" });
const setup = await stripe.setupIntents.create({
  customer: customer.id,
  payment_method: "pm_card_authenticationRequiredOnSetup",
  confirm: true,
  return_url,
});
result.setup = [setup.status, (await authenticate("setup_intents", setup.id)).status];
const methods = await stripe.paymentMethods.list({ customer: customer.id, type: "card" });
const offSession = { customer: customer.id, payment_method: methods.data[0].id, off_session: true, confirm: true };
result.offSession = (await stripe.paymentIntents.create({ ...price, ...offSession })).status;

// place a hold, capture a part, refund it; a retry with the same idempotency key repeats nothing
const hold = { ...price, capture_method: "manual", payment_method: "pm_card_visa", confirm: true, return_url };
const held = await stripe.paymentIntents.create(hold, { idempotencyKey: "hold-1" });
const again = await stripe.paymentIntents.create(hold, { idempotencyKey: "hold-1" });
const captured = await stripe.paymentIntents.capture(held.id, { amount_to_capture: 1500 });
const refund = await stripe.refunds.create({ payment_intent: held.id });
result.hold = [held.status, held.id === again.id, captured.amount_received, refund.amount];

// lists, pages, events and a webhook's signature
let count = 0;
for await (const one of stripe.paymentIntents.list({ limit: 2 })) count += one.object === "payment_intent" ? 1 : 0;
const events = await stripe.events.list({ type: "payment_intent.succeeded" });
const payload = JSON.stringify(events.data[0]);
const header = stripe.webhooks.generateTestHeaderString({ payload, secret: "whsec_node" });
result.events = [count, stripe.webhooks.constructEvent(payload, header, "whsec_node").type];
try {
  await stripe.customers.retrieve("cus_none");
} catch (error) {
  result.missing = [error.type, error.code, error.statusCode];
}
console.log(JSON.stringify(result));
