import { hash } from 'node:crypto';

/** The namespace of play ids, a UUID made once for this purpose. */
const NAMESPACE = Buffer.from('6f1d1c2ab0c44b0d9a5e3f7f6a2d9c11', 'hex');
/** The hexadecimal digits of the variant: 10 in their first two bits. */
const VARIANTS = '89ab';

/**
 * The id of a play: a UUID of version 5 (RFC 9562) over its key and start, so the same in both layers and in every run.
 *
 * Anyone can compute it: `uuid5(namespace, profile_id + NUL + work_id + NUL + epoch milliseconds)`.
 *
 * @param startedAt epoch milliseconds
 */
export function playId(profileId: string, workId: string, startedAt: number): string {
  const name = Buffer.from(`${profileId}\0${workId}\0${startedAt}`);
  const hex = hash('sha1', Buffer.concat([NAMESPACE, name]), 'hex');
  const variant = VARIANTS[parseInt(hex[16], 16) & 3];
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-5${hex.slice(13, 16)}-${variant}${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}
