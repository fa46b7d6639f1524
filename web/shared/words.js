// The texts of the modules that both apps share, in English. An app with other languages replaces them once, at its start.

export const words = {
  unavailable: "Our system is temporarily unavailable. Please try again in a moment.",
  offline: "We can’t connect. Check your internet connection and try again.",
  session_expired: "Your session has expired. Sign in to continue where you left off.",
  session_ends: (time) => `Your session expires at ${time}.`,
  session_ended: "Your session has expired. Stay signed in to continue where you left off.",
  session_renewed: "You stay signed in.",
  stay_signed_in: "Stay signed in",
  refused: "Something went wrong.",
  broken: "Something went wrong on this page. Please reload it.",
  try_after: (time) => `Try again after ${time}.`,
  try_in: (seconds, time) => `Try again in ${seconds} s (at ${time}).`,
  sign_in_invalid: "That sign-in link is no longer valid. Please sign in again.",
  sign_in_canceled: "The sign-in was canceled.",
  sign_in_failed: "We couldn’t complete the sign-in. Please sign in again.",
  sign_in: "Sign in",
  create_account: "Create an account",
  sign_in_locally: "This stack runs on your own machine. Sign in as anyone you like.",
  email_address: "Email address",
  role: "Role",
  card: "Card",
  bank_account: "Bank account",
  method_ending_in: (name, last4) => `${name} ending in ${last4}`,
};

/** Replace the texts by those of another language. */
export const useWords = (others) => Object.assign(words, others);
