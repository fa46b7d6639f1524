// The student page in English. Each section has the name of the module that uses it.
// A function returns a sentence, or the parts of a sentence around an element such as a link.
export default {
  cards: {
    title: "Saved cards",
    lead: "Stored securely by Stripe for faster checkout. We only see what’s shown here.",
    empty: "No saved cards. Tick “Save for next time” at checkout to add one.",
    expires: (date) => `Expires ${date}`,
    remove: "Remove",
    remove_named: (name) => `Remove ${name}`,
    remove_title: (name) => `Remove ${name}?`,
    consequence:
      "You won’t be able to pay with it here anymore. Your past payments don’t change, and refunds still go back to it.",
    removed: (name) => `Removed ${name}.`,
  },
};
