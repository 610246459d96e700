// Stands for modules that the bundled plugin loads and never calls.

export const Agent = undefined;
export const ProxyAgent = undefined;
export const createConfiguration = undefined;
export const ServerConfiguration = undefined;
