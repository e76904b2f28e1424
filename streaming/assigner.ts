import kafkajs, { type Assigner, type PartitionAssigner } from 'kafkajs';

const { AssignerProtocol } = kafkajs;
const NAME = 'whence-copartition';

/**
 * Gives each partition number, of all topics together, to one member, so that all events of a profile meet in one task.
 * Numbers go round the members in the order of their ids; a member keeps its id while it lives, so few move.
 */
export const copartitionAssigner: PartitionAssigner = ({ cluster }): Assigner => ({
  name: NAME,
  version: 1,
  assign({ members, topics }) {
    const memberIds = members.map((member) => member.memberId).sort();
    const partitions = new Map(
      topics.map((topic) => [topic, cluster.findTopicPartitionMetadata(topic).map((known) => known.partitionId)]),
    );
    const assignment = assignPartitions(memberIds, partitions);
    return Promise.resolve(
      memberIds.map((memberId) => ({
        memberId,
        memberAssignment: AssignerProtocol.MemberAssignment.encode({
          version: 1,
          assignment: assignment.get(memberId) ?? {},
          userData: Buffer.alloc(0),
        }),
      })),
    );
  },
  protocol({ topics }) {
    return {
      name: NAME,
      metadata: AssignerProtocol.MemberMetadata.encode({ version: 1, topics, userData: Buffer.alloc(0) }),
    };
  },
});

/**
 * The pure part: partition number n of every topic goes to member n modulo their number.
 *
 * @returns by member id, its partitions by topic
 */
export function assignPartitions(
  memberIds: readonly string[],
  partitions: ReadonlyMap<string, readonly number[]>,
): Map<string, Record<string, number[]>> {
  const assignment = new Map<string, Record<string, number[]>>();
  for (const [topic, numbers] of partitions) {
    for (const number of numbers) {
      const member = memberIds[number % memberIds.length];
      const ofMember = assignment.get(member) ?? {};
      assignment.set(member, ofMember);
      (ofMember[topic] ??= []).push(number);
    }
  }
  return assignment;
}
