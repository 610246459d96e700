// The names that users, charts and both programs rely on.

export const group = 'lcow.dev';
export const version = 'v1alpha1';
export const apiVersion = `${group}/${version}` as const;

export const virtualMachinePlural = 'linuxutilityvms';
export const hostPlural = 'linuxutilityvmhosts';
export const setPlural = 'linuxutilityvmsets';

/** Keeps a LinuxUtilityVM until its node has confirmed that the VM and its files are gone. */
export const finalizer = 'lcow.dev/teardown';

/** Labels of the VMs of a set: its name, the VM's ordinal, and the ControllerRevision that the VM was made from. */
export const setLabel = 'lcow.dev/set';
export const ordinalLabel = 'lcow.dev/ordinal';
export const revisionLabel = 'lcow.dev/revision';

/** A new value restarts the VM. */
export const restartedAtAnnotation = 'lcow.dev/restartedAt';
/** On a VM that replaces one whose start failed: the host of the former VM, which is the last choice for the new one. */
export const replacedOnAnnotation = 'lcow.dev/replaced-on';
/** `"true"` stops reconciling the VM. */
export const pausedAnnotation = 'lcow.dev/paused';
/** `"true"` lets a LinuxUtilityVM be deleted although nobody confirmed that its VM is gone. */
export const forceDeleteAnnotation = 'lcow.dev/force-delete';
/** On a set: why its template was changed, as kubectl's own rollouts have it. The revision of the template gets it, too. */
export const changeCauseAnnotation = 'kubernetes.io/change-cause';
