// Import and export of vocabulary files, and presets. What they bring is a draft until it is applied.

import { byId, make } from "./dom.js";

export function listenToFiles(editor) {
  const { connection } = editor;
  const report = (error) => editor.say(error.message, true);

  function draft({ classes }, from) {
    editor.setRows(classes);
    editor.touched();
    editor.say(`${classes.length} classes of ${from}. Apply puts them in force.`);
  }

  byId("export").addEventListener("click", async () => {
    try {
      const { text } = await connection.ask({ do: "export", classes: editor.classes });
      const link = make("a", { href: URL.createObjectURL(new Blob([text], { type: "application/yaml" })), download: "vocabulary.yaml" });
      link.click();
      URL.revokeObjectURL(link.href);
      editor.say("Exported as vocabulary.yaml: a vocabulary_file for the node and for zs-seg.");
    } catch (error) { report(error); }
  });
  byId("choose-import").addEventListener("click", () => byId("import").click());
  byId("import").addEventListener("change", async (event) => {
    const [file] = event.target.files;
    event.target.value = "";
    if (!file) return;
    try {
      draft(await connection.ask({ do: "import" }, { file: new Uint8Array(await file.arrayBuffer()) }), file.name);
    } catch (error) { report(error); }
  });
  const presets = byId("presets");
  presets.addEventListener("focus", async () => {
    if (presets.options.length > 1) return;
    try {
      const { names } = await connection.ask({ do: "presets" });
      presets.append(...names.map((name) => make("option", { value: name, text: name })));
    } catch (error) { report(error); }
  });
  presets.addEventListener("change", async () => {
    const name = presets.value;
    presets.value = "";
    if (!name) return;
    try { draft(await connection.ask({ do: "preset", name }), `the preset ${name}`); } catch (error) { report(error); }
  });
}
