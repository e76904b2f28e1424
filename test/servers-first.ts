import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** Files whose tests need no server: seconds each, where those with servers take minutes. */
const WITHOUT_SERVERS = /\/test\/(core|docs|oracle|simulator|platform|[^/]*$)/;

/** Files with servers come first, so that none of them is left to run alone at the end. */
export class ServersFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    const isQuick = ({ moduleId }: TestSpecification) => WITHOUT_SERVERS.test(moduleId);
    return [...sorted.filter((file) => !isQuick(file)), ...sorted.filter(isQuick)];
  }
}
