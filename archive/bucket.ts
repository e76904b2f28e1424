import { createHash } from 'node:crypto';

/**
 * The bucket of a profile, 0 to 255: the first byte of the SHA-256 of its id in UTF-8. It is part of the archive's format: any
 * language and any SQL can reckon it again, whatever the number of Kafka partitions.
 */
export function bucketOf(profileId: string): number {
  return createHash('sha256').update(profileId, 'utf8').digest()[0];
}
