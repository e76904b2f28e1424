/** The build of a dataset was published, given up, or begun again by its owner; nothing of it can be written. */
export class DatasetBuildGoneError extends Error {
  override readonly name = 'DatasetBuildGoneError';
  constructor(build: number) {
    super(`Build ${build} of a dataset is no longer open: it was published, given up, or begun again`);
  }
}

/** What was built contradicts itself or what it was built from; nothing was published. */
export class DatasetFaultError extends Error {
  override readonly name = 'DatasetFaultError';
}
