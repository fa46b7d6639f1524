// The signed-in user. Only the ID token is stored, for this tab only; there is no refresh token.
// On AWS, users sign in on Cognito's hosted page: authorization code with PKCE. A local stack issues its own tokens.
// https://docs.aws.amazon.com/cognito/latest/developerguide/using-pkce-in-authorization-code.html
import { words } from "./words.js";

const TOKEN = "tuition.token";
const PENDING_SIGN_IN = "tuition.sign-in";
const CHANNEL = "tuition.session"; // between the tabs of this page in one browser
const AUTHORIZE = "oauth2/authorize";
const LEEWAY_S = 30;

/** The claims of a token, unverified: the API verifies it. */
function claims(token) {
  const text = atob(token.split(".")[1].replace(/-/g, "+").replace(/_/g, "/"));
  return JSON.parse(new TextDecoder().decode(Uint8Array.from(text, (c) => c.charCodeAt(0))));
}

/** The ID token, or null if there is none or it is about to expire. */
export function token() {
  const stored = sessionStorage.getItem(TOKEN);
  if (!stored) return null;
  if (claims(stored).exp * 1000 > Date.now() + LEEWAY_S * 1000) return stored;
  sessionStorage.removeItem(TOKEN);
  return null;
}

/**
 * `{sub, email, email_verified, groups}` of the signed-in user, or null. The groups claim is a list of names, or one
 * name. A token that says nothing about the address counts as verified here: the API decides.
 */
export function currentUser(groupsClaim = "cognito:groups") {
  const idToken = token();
  if (!idToken) return null;
  const { sub, email, email_verified: verified = true, [groupsClaim]: groups = [] } = claims(idToken);
  return { sub, email, email_verified: String(verified) === "true", groups: Array.isArray(groups) ? groups : [groups] };
}

/** Forget the ID token. */
export function clear() {
  sessionStorage.removeItem(TOKEN);
}

/** When the page stops using the ID token, in milliseconds since 1970; undefined without one. */
export function endsAt() {
  const idToken = token();
  return idToken ? (claims(idToken).exp - LEEWAY_S) * 1000 : undefined;
}

async function issueLocalToken(person) {
  const response = await fetch("/_local/token", { method: "POST", body: JSON.stringify(person) });
  const json = await response.json();
  if (!response.ok) throw new Error(json.message);
  return json.token;
}

/** Sign in on a local stack: the same address is always the same user. */
export async function signInLocally(email, groups = []) {
  const person = { sub: email.replace(/@example\.org$/, ""), email, groups, email_verified: true };
  sessionStorage.setItem(TOKEN, await issueLocalToken(person));
}

const random = () => encode(crypto.getRandomValues(new Uint8Array(32)));
const encode = (bytes) =>
  btoa(String.fromCharCode(...bytes))
    .replace(/\+/g, "-")
    .replace(/\//g, "_")
    .replace(/=/g, "");
const home = () => `${location.origin}/`;

/** A hosted sign-in, as this tab must remember it. */
const newFlow = (returnTo) => ({ state: random(), nonce: random(), verifier: random(), returnTo });

async function addressOf(flow, { domain, client_id: clientId }, page) {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(flow.verifier));
  const query = new URLSearchParams({
    response_type: "code",
    client_id: clientId,
    redirect_uri: home(),
    scope: "openid email profile",
    state: flow.state,
    nonce: flow.nonce,
    code_challenge: encode(new Uint8Array(digest)),
    code_challenge_method: "S256",
  });
  return `${domain}/${page}?${query}`;
}

/**
 * Go to the hosted sign-in, or to its page for new users. `returnTo` is where to continue afterwards: a hash, or a path
 * with its hash. https://docs.aws.amazon.com/cognito/latest/developerguide/managed-login-endpoints.html
 */
export async function startHostedSignIn(signIn, returnTo, page = AUTHORIZE) {
  const flow = newFlow(returnTo);
  sessionStorage.setItem(PENDING_SIGN_IN, JSON.stringify(flow));
  location.assign(await addressOf(flow, signIn, page));
}

/**
 * Sign the same user in again while this page stays as it is: on the hosted page in a window of its own, which asks for
 * nothing while its own session lasts. The new token arrives at `onRenewal`.
 */
export async function renew(signIn, { sub, email, groups, email_verified: verified }) {
  if (signIn.kind !== "cognito") {
    const idToken = await issueLocalToken({ sub, email, groups, email_verified: verified });
    receiveRenewal(idToken);
    return;
  }
  const flow = { ...newFlow("#/"), renews: true };
  sessionStorage.setItem(PENDING_SIGN_IN, JSON.stringify(flow)); // the window begins with a copy of it
  const popup = window.open("about:blank", "_blank", "popup,width=480,height=720");
  sessionStorage.removeItem(PENDING_SIGN_IN);
  if (popup) popup.location.replace(await addressOf(flow, signIn, AUTHORIZE));
  else await startHostedSignIn(signIn, location.pathname.length > 1 ? location.pathname + location.hash : location.hash);
}

let acceptRenewal = () => false;

function receiveRenewal(idToken) {
  if (acceptRenewal(claims(idToken))) sessionStorage.setItem(TOKEN, idToken);
}

/** `accept(claims)` is asked about each token that a tab of this browser has renewed, and answers whether to use it. */
export function onRenewal(accept) {
  acceptRenewal = accept;
  new BroadcastChannel(CHANNEL).addEventListener("message", ({ data }) => receiveRenewal(data));
}

/** The hosted sign-in failed. `returnTo` is where the user wanted to continue, if this tab started the sign-in. */
class SignInFailed extends Error {
  constructor(message, returnTo) {
    super(message);
    this.returnTo = returnTo;
  }
}

/** Complete the hosted sign-in and return `returnTo`. Throws if this tab did not start that sign-in. */
export async function finishHostedSignIn({ domain, client_id: clientId }, query) {
  const flow = JSON.parse(sessionStorage.getItem(PENDING_SIGN_IN) ?? "{}");
  sessionStorage.removeItem(PENDING_SIGN_IN);
  const failed = (message) => new SignInFailed(message, flow.returnTo);
  if (!flow.state || query.get("state") !== flow.state) throw failed(words.sign_in_invalid);
  if (query.has("error")) throw failed(query.get("error_description") ?? words.sign_in_canceled);
  const form = {
    grant_type: "authorization_code",
    client_id: clientId,
    redirect_uri: home(),
    code: query.get("code"),
    code_verifier: flow.verifier,
  };
  const response = await fetch(`${domain}/oauth2/token`, { method: "POST", body: new URLSearchParams(form) });
  if (!response.ok) throw failed(words.sign_in_failed);
  const { id_token: idToken } = await response.json();
  if (claims(idToken).nonce !== flow.nonce) throw failed(words.sign_in_invalid);
  sessionStorage.setItem(TOKEN, idToken);
  if (flow.renews) {
    new BroadcastChannel(CHANNEL).postMessage(idToken);
    window.close();
  }
  return flow.returnTo;
}

/** Sign out of this tab, and of the hosted page if there is one. `to` is where to continue on a local stack. */
export function signOut(signIn, to = "/") {
  clear();
  if (signIn.kind === "cognito")
    location.assign(
      `${signIn.domain}/logout?${new URLSearchParams({ client_id: signIn.client_id, logout_uri: home() })}`,
    );
  else location.assign(to);
}
