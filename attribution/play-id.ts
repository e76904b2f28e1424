import { createHash } from 'node:crypto';

/** The namespace of play ids, a UUID made once for this purpose. */
const NAMESPACE = Buffer.from('6f1d1c2ab0c44b0d9a5e3f7f6a2d9c11', 'hex');

/**
 * The id of a play: a UUID of version 5 (RFC 9562) over its key and start, so the same in both layers and in every run.
 *
 * Anyone can compute it: `uuid5(namespace, profile_id + NUL + work_id + NUL + epoch milliseconds)`.
 *
 * @param startedAt epoch milliseconds
 */
export function playId(profileId: string, workId: string, startedAt: number): string {
  const hash = createHash('sha1').update(NAMESPACE).update(`${profileId}\0${workId}\0${startedAt}`).digest();
  hash[6] = (hash[6] & 0x0f) | 0x50;
  hash[8] = (hash[8] & 0x3f) | 0x80;
  const hex = hash.toString('hex', 0, 16);
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}
