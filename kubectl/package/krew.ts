// The manifest with which krew, the plugin manager of kubectl, installs the plugin.
import { stringify } from 'yaml';
import { type Platform, platformName } from './platforms.ts';

export interface PlatformArchive {
  readonly platform: Platform;
  readonly name: string;
  readonly sha256: string;
}

/** @param url where the archives will be found */
export function krewManifest(version: string, archives: readonly PlatformArchive[], url: string): string {
  return stringify({
    apiVersion: 'krew.googlecontainertools.github.com/v1alpha2',
    kind: 'Plugin',
    metadata: { name: 'luvm' },
    spec: {
      version: `v${version}`,
      shortDescription: 'Work with Linux utility VMs on Windows nodes',
      description:
        'Shows logs, consoles, documents and problems of LinuxUtilityVM resources, runs processes in their guests, ' +
        'and restarts or pauses them. It needs the operator lcow-operator in the cluster.\n',
      platforms: archives.map(({ name, platform, sha256 }) => ({
        selector: { matchLabels: { os: platform.os, arch: platform.arch } },
        uri: `${url.replace(/\/$/, '')}/${name}`,
        sha256,
        bin: platform.os === 'windows' ? 'kubectl-luvm.exe' : 'kubectl-luvm',
      })),
    },
  });
}

export function archiveName(version: string, platform: Platform): string {
  return `kubectl-luvm-${version}-${platformName(platform)}.tar.gz`;
}
