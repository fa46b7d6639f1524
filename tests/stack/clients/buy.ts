// Buy a track with a TypeScript client that openapi-typescript made: node buy.ts API TOKEN STRIPE SECRET_KEY
import createClient from "openapi-fetch";
import type { components, paths } from "./tuition.d.ts";

declare const process: { argv: string[] };
const [baseUrl, token, stripe, key] = process.argv.slice(2);
const api = createClient<paths>({ baseUrl, headers: { Authorization: `Bearer ${token}` } });

const tracks = await api.GET("/api/payments/tracks");
const track = tracks.data?.tracks.find((each) => each.track === "FSD");
if (!track) throw new Error("the track is not for sale");

const created = await api.POST("/api/payments/create-payment", { body: { track: "FSD" } });
if (!created.data) throw new Error(created.error && "type" in created.error ? created.error.type : "refused");
const id: string = created.data.payment_intent_id;

// A browser confirms the payment with Stripe.js and the client secret. Here it is done at the simulator.
await fetch(`${stripe}/v1/payment_intents/${id}/confirm`, {
  method: "POST",
  headers: { Authorization: `Basic ${btoa(`${key}:`)}` },
  body: new URLSearchParams({ payment_method: "pm_card_visa" }),
});

let payment: components["schemas"]["Payment"] | undefined;
for (let tries = 0; tries < 30 && payment?.status !== "SUCCEEDED"; tries += 1) {
  if (tries) await new Promise((resolve) => setTimeout(resolve, 1000)); // Stripe's event arrives within seconds
  const params = { path: { payment_intent_id: id } };
  payment = (await api.GET("/api/payments/status/{payment_intent_id}", { params })).data;
}
console.log(payment?.status, payment?.amount === track.amount, payment?.currency);

const again = await api.POST("/api/payments/create-payment", { body: { track: "FSD" } });
console.log(again.response.status, again.error && "type" in again.error ? again.error.type : "no problem");
