import type { KafkaMessage } from 'kafkajs';

/** The header of a dead letter that was sent again: the token of its batch and its number, `TOKEN/NUMBER`. */
export const LETTER_HEADER = 'whence.letter';

/** A dead letter that a record says it was. */
export interface ReplayedLetter {
  token: string;
  letter: number;
}

export function letterHeader({ token, letter }: ReplayedLetter): string {
  return `${token}/${letter}`;
}

const FORM = /^([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\/(\d{1,15})$/;

/** What the header says, null where there is none or it has another form: anyone may write headers. */
export function letterOf({ headers }: Pick<KafkaMessage, 'headers'>): ReplayedLetter | null {
  const header = headers?.[LETTER_HEADER];
  if (header === undefined || Array.isArray(header)) return null;
  const found = FORM.exec(header.toString());
  return found && { token: found[1], letter: Number(found[2]) };
}
