/** What stands in place of a credential, everywhere. */
export const REDACTED = '***';

// Up to the last "@": a password may hold one that should have been encoded.
const URL_PASSWORD = /([a-z][a-z0-9+.-]*:\/\/[^\s:/?#@"']*):[^\s"']*@/gi;
const KEY_VALUE_SECRET = /\b(password|sslpassword|passwd|pwd|api[-_]?key|secret)=[^\s&"']+/gi;
const SHORTEST_SECRET = 4;

/** Returns `text` with the passwords of connection strings (`scheme://user:password@`, `password=…`) replaced by `***`. */
export function redactConnectionStrings(text: string): string {
  return text.replace(URL_PASSWORD, `$1:${REDACTED}@`).replace(KEY_VALUE_SECRET, `$1=${REDACTED}`);
}

/**
 * Returns a function that removes from a text the given secret values, wherever they stand, also escaped as in JSON or in
 * a URL, and the passwords of connection strings. Values under four characters are left to the second rule: replacing
 * every "a" would hide the log and not the secret.
 */
export function createRedactor(secrets: readonly string[]): (text: string) => string {
  const forms = new Set<string>();
  for (const secret of secrets) {
    if (secret.length < SHORTEST_SECRET) continue;
    forms.add(secret);
    forms.add(JSON.stringify(secret).slice(1, -1));
    forms.add(encodeURIComponent(secret));
  }
  // The longest first: a secret that contains another must go whole.
  const ordered = [...forms].sort((a, b) => b.length - a.length);
  return (text) => {
    let redacted = redactConnectionStrings(text);
    for (const form of ordered) redacted = redacted.replaceAll(form, REDACTED);
    return redacted;
  };
}
