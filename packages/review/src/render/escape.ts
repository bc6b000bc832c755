/** HTML that is safe to show as it is: made by {@link html}, or a constant. */
export class Html {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

type Value = string | number | Html | readonly Html[];

const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/**
 * A template whose values are escaped, unless they are HTML already. Values stand between tags or in quoted attributes,
 * never in a script, a style or an address.
 *
 * Characters that no text has, and those that turn its direction around, are shown as numbers: source may be written so as
 * to be read otherwise than it is compiled (CVE-2021-42574).
 */
export function html(parts: TemplateStringsArray, ...values: readonly Value[]): Html {
  let text = parts[0] ?? '';
  for (const [i, value] of values.entries()) text += render(value) + (parts[i + 1] ?? '');
  return new Html(text);
}

function render(value: Value): string {
  if (value instanceof Html) return value.text;
  if (typeof value === 'object') return value.map(one => one.text).join('');
  return String(value)
    .replaceAll(/[&<>"']/g, character => entities[character] ?? '')
    .replaceAll(/[^\P{Cc}\n\t]|[\u200b-\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]/gu, character => {
      const point = character.codePointAt(0) ?? 0;
      return `\\u${point.toString(16).padStart(4, '0')}`;
    });
}
