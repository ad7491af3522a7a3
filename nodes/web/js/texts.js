// The widget's own texts, from locales/<language>/main.json: the server hands them out with everybody's translations.

import { api } from "../../../scripts/api.js"
import { app } from "../../../scripts/app.js"

const DEFAULT = "en"
let texts = {} // by language

app.registerExtension({
  name: "emerdiff.Texts",
  async init() {
    const answer = await api.fetchApi("/i18n")
    if (answer.ok) texts = await answer.json()
  },
})

/** A text in the front end's language, or in English, with its names in braces replaced by values. */
export function say(key, values = {}) {
  const text = [language(), DEFAULT].map((each) => texts[each]?.emerdiff?.[key]).find(Boolean) ?? key
  return text.replace(/\{(\w+)\}/g, (_, name) => values[name])
}

/** All texts of another section of the file in the front end's language, by their English. */
export function translations(section) {
  return texts[language()]?.[section] ?? {}
}

function language() {
  return app.ui.settings.getSettingValue("Comfy.Locale")
}
