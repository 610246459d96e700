/** What a VM can be waited for to be. */
export const goals = ['ready', 'halted', 'completed', 'deleted'] as const;
export type Goal = (typeof goals)[number];
