// The options of an isolated VM: its kernel, command line and root file system are in its guest state file
// (docs/reference/hcs-documents.md §9.5).
import { BootFile } from './constants.ts';
import { type LinuxOptionChanges, RootFsType } from './options.ts';

export const isolation: LinuxOptionChanges = {
  VPMemDeviceCount: 0,
  GuestStateFilePath: BootFile.GuestState,
  KernelBootOptions: '',
  AllowOvercommit: false,
  SecurityPolicyEnabled: true,
  PreferredRootFSType: RootFsType.None,
  RootFSFile: '',
  DmVerityRootFsVhd: BootFile.RootVhd,
  DmVerityMode: true,
};
