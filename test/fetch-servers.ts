import { fetchServers } from '../local/fetch-servers.ts';

/** Before all tests: in a fresh clone their time limits are for what they do, not for the network. */
export default async function setup(): Promise<void> {
  await fetchServers((line) => console.log(line));
}
