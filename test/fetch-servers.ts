import { fetchServers } from '../local/fetch-servers.ts';
import { fetchObjectStore } from './object-store.ts';

/** Before all tests: in a fresh clone their time limits are for what they do, not for the network. */
export default async function setup(): Promise<void> {
  const say = (line: string) => console.log(line);
  await Promise.all([fetchServers(say), fetchObjectStore(say)]);
}
