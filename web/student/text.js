// The texts of the student page in the reader's language.
//
// A language is one file in `languages`, with every text of the page: sentences, and functions that put names, amounts
// and times into sentences. A module takes its own section: `const words = texts.cards;`. It has no prose of its own.
import en from "./languages/en.js";

/** The languages besides English: the tag, and a function that imports the file. Only the chosen one is loaded. */
const LANGUAGES = {};

const primary = (tag) => tag.toLowerCase().split("-")[0];

/** The language that the reader prefers among those that exist; English if the page speaks none of theirs. */
export const language =
  navigator.languages.map(primary).find((tag) => tag === "en" || Object.hasOwn(LANGUAGES, tag)) ?? "en";

/** The texts by section, each named after the module that uses it. */
export const texts = language === "en" ? en : (await LANGUAGES[language]()).default;

/**
 * How to write dates and money: the reader's variant of the language. A reader whose own language we do not speak has
 * the language of the page and the habits of their region: `en-AT` for `de-AT`.
 */
export const locale =
  navigator.languages.find((tag) => primary(tag) === language) ??
  new Intl.Locale(language, { region: new Intl.Locale(navigator.language).region }).toString();
