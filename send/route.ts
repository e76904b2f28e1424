/** Where a line belongs, and the key that brings it together with the other events of its profile. */
export interface Route {
  kind: 'impression' | 'playback' | 'unroutable';
  /** The profile, where the line says one. */
  key: string | null;
}

const KEYLESS: Route = { kind: 'unroutable', key: null };

/** Reads of a line what is needed to publish it. Whether it keeps the rest of the contract is the stream's to say. */
export function routeOf(line: Buffer): Route {
  let value: unknown;
  try {
    value = JSON.parse(line.toString('utf8'));
  } catch {
    return KEYLESS;
  }
  if (typeof value !== 'object' || value === null) return KEYLESS;
  const { type, profile_id: profile } = value as { type?: unknown; profile_id?: unknown };
  if (typeof profile !== 'string' || profile === '') return KEYLESS;
  return { kind: type === 'impression' || type === 'playback' ? type : 'unroutable', key: profile };
}
