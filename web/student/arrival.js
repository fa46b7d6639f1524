// Arriving at the page from Stripe or from the hosted sign-in, which add a query to its address.
import * as session from "../shared/session.js";

/**
 * Turn the query into a view, and remove it from the address. Returns `{arrival, failure}`: how the student came back
 * from Stripe, as the view of buying takes it, and `{message, returnTo}` if the sign-in failed: why, and where to sign in
 * again for what the student wanted.
 */
export async function handleArrival(config) {
  const query = new URLSearchParams(location.search);
  let hash = location.hash || "#/";
  let arrival, failure;
  if (query.has("state")) {
    try {
      hash = await session.finishHostedSignIn(config.sign_in, query);
      if (hash.startsWith("/")) return leave(hash);
    } catch (error) {
      const target = error.returnTo ?? "#/";
      const returnTo = target.startsWith("/") ? target : `#/sign-in/${target.replace(/^#\/?/, "")}`;
      failure = { message: error.message, returnTo };
    }
  } else if (query.has("paid")) {
    const id = query.get("session") ?? query.get("payment_intent");
    hash = `#/buy/${query.get("paid")}`;
    arrival = id ? { paid: id, refused: query.get("redirect_status") === "failed" } : undefined;
  } else if (query.has("plan")) {
    hash = `#/plans/${query.get("plan")}`;
    arrival = { paid: query.get("payment_intent"), setup: query.get("setup_intent_client_secret") };
  } else if (query.has("canceled")) {
    hash = `#/buy/${query.get("canceled")}`;
    arrival = { canceled: true };
  } else if (query.get("payment") === "success" && query.has("session_id")) {
    hash = `#/paid/${query.get("session_id")}`;
  } else if (query.has("payment")) {
    hash = "#/payments";
  }
  if (location.search) history.replaceState(null, "", `/${hash}`);
  return { arrival, failure };
}

/** Go to another page that asked for the sign-in: the console. */
function leave(path) {
  location.replace(path);
  return new Promise(() => {});
}
