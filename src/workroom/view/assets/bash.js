// Commands with a light hand of colour: comments, strings, variables, options, the words of the language.

const TOKENS = new RegExp(
  [
    "(?<comment>(?<=^|[\\s;&|(])#[^\\n]*)",
    "(?<string>'[^']*'|\"(?:\\\\.|[^\"\\\\])*\")",
    "(?<variable>\\$(?:\\w+|\\{[^}\\n]*\\}|[@*#?$!-]))",
    "(?<word>(?<=^|[\\s;&|(])(?:if|then|elif|else|fi|for|while|until|do|done|case|esac|in|function|return|export|local)(?=$|[\\s;&|)]))",
    "(?<option>(?<=\\s)--?[A-Za-z][\\w-]*)",
    "(?<operator>&&|\\|\\||;;|[|;&]|\\d?>>?(?:&\\d)?|<<?-?)",
  ].join("|"),
  "gm",
);
const COLOURED = 20_000; // characters

function paintBash(text) {
  const fragment = document.createDocumentFragment();
  let from = 0;
  for (const found of text.slice(0, between(text, COLOURED)).matchAll(TOKENS)) {
    if (found.index > from) fragment.append(shown(text.slice(from, found.index)));
    const kind = Object.keys(found.groups).find((name) => found.groups[name] !== undefined);
    fragment.append(el(`span.${kind}`, {}, found[0]));
    from = found.index + found[0].length;
  }
  fragment.append(shown(text.slice(from)));
  return fragment;
}
