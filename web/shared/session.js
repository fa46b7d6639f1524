// Who is signed in. The ID token is kept for this tab only; nothing else is, and no refresh token at all.
// On AWS: Cognito's hosted page, by authorization code with PKCE. On one machine: the local sign-in.
// https://docs.aws.amazon.com/cognito/latest/developerguide/using-pkce-in-authorization-code.html

const TOKEN = "tuition.token";
const FLOW = "tuition.sign-in";
const LEEWAY_S = 30;

/** What a token says, unverified: the API verifies it. */
function claims(token) {
  const text = atob(token.split(".")[1].replace(/-/g, "+").replace(/_/g, "/"));
  return JSON.parse(new TextDecoder().decode(Uint8Array.from(text, (c) => c.charCodeAt(0))));
}

/** The token, if it lives for a while yet. */
export function token() {
  const kept = sessionStorage.getItem(TOKEN);
  if (!kept) return null;
  if (claims(kept).exp * 1000 > Date.now() + LEEWAY_S * 1000) return kept;
  sessionStorage.removeItem(TOKEN);
  return null;
}

/** `{sub, email, groups}` of who is signed in, or null. The claim of the groups is a list, or words in a text. */
export function person(groupsClaim = "cognito:groups") {
  const kept = token();
  if (!kept) return null;
  const { sub, email, [groupsClaim]: groups = [] } = claims(kept);
  return { sub, email, groups: Array.isArray(groups) ? groups : groups.split(/[\s,[\]]+/).filter(Boolean) };
}

export function forget() {
  sessionStorage.removeItem(TOKEN);
}

/** Sign in on this machine: the same address is always the same person. */
export async function signInLocally(email, groups = []) {
  const body = JSON.stringify({ sub: email.replace(/@example\.org$/, ""), email, groups, email_verified: true });
  const answer = await fetch("/_local/token", { method: "POST", body });
  const said = await answer.json();
  if (!answer.ok) throw new Error(said.message);
  sessionStorage.setItem(TOKEN, said.token);
}

const random = () => encode(crypto.getRandomValues(new Uint8Array(32)));
const encode = (bytes) =>
  btoa(String.fromCharCode(...bytes))
    .replace(/\+/g, "-")
    .replace(/\//g, "_")
    .replace(/=/g, "");
const home = () => `${location.origin}/`;

/** Leave for the hosted sign-in; `back` is the place to come back to: a hash, or a path with its hash. */
export async function signInHosted({ domain, client_id: clientId }, back) {
  const flow = { state: random(), nonce: random(), verifier: random(), back };
  sessionStorage.setItem(FLOW, JSON.stringify(flow));
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
  location.assign(`${domain}/oauth2/authorize?${query}`);
}

/** Come back from the hosted sign-in: the hash to go to. Throws when the answer is not for what this tab asked. */
export async function finishHosted({ domain, client_id: clientId }, query) {
  const flow = JSON.parse(sessionStorage.getItem(FLOW) ?? "{}");
  sessionStorage.removeItem(FLOW);
  if (!flow.state || query.get("state") !== flow.state)
    throw new Error("This sign-in was not begun here: sign in again.");
  if (query.has("error")) throw new Error(query.get("error_description") ?? "You were not signed in.");
  const form = {
    grant_type: "authorization_code",
    client_id: clientId,
    redirect_uri: home(),
    code: query.get("code"),
    code_verifier: flow.verifier,
  };
  const answer = await fetch(`${domain}/oauth2/token`, { method: "POST", body: new URLSearchParams(form) });
  if (!answer.ok) throw new Error("The sign-in could not be finished: sign in again.");
  const { id_token: idToken } = await answer.json();
  if (claims(idToken).nonce !== flow.nonce) throw new Error("This sign-in was not begun here: sign in again.");
  sessionStorage.setItem(TOKEN, idToken);
  return flow.back;
}

/** Sign out: of this tab, and of the hosted page where there is one. `to` is where to go on this machine. */
export function signOut(signIn, to = "/") {
  forget();
  if (signIn.kind === "cognito")
    location.assign(
      `${signIn.domain}/logout?${new URLSearchParams({ client_id: signIn.client_id, logout_uri: home() })}`,
    );
  else location.assign(to);
}
