// Paths that Windows resolves to another file, or to none. The CRD and the agent both refuse each of them, even below
// an allowed folder.

/** Last segments of a path, right below an allowed folder. */
const oddSegments: readonly string[] = [
  '..',
  '.',
  '...',
  '.. ',
  '. .',
  ' ..',
  '.. .',
  '....',
  'x.',
  'x ',
  'x. .',
  'x\t',
  'x:stream',
  'x.vhdx::$DATA',
  'x.vhdx:',
  ':x',
  'a<b',
  'a>b',
  'a"b',
  'a|b',
  'a?b',
  'a*b',
  'a\u0000b',
  'a\nb',
  'a\u001fb',
];

const devices: readonly string[] = [
  ...['NUL', 'nul', 'Nul', 'NUL.vhdx', 'nul.tar.gz', 'NUL .vhdx', 'NUL  .x.y', 'CON', 'PRN', 'AUX', 'aux.txt'],
  ...['COM0', 'COM1', 'com9.vhd', 'LPT1', 'lpt9', 'LPT0.x', 'COM¹', 'COM²', 'com³.vhdx', 'LPT¹', 'LPT².x', 'LPT³'],
  ...['CONIN$', 'conout$', 'CONOUT$.vhdx', 'CONIN$ .x'],
];

/** Beginnings that are not the beginning of a path on a drive. */
const oddBeginnings: readonly string[] = [
  String.raw`\\server\share\x.vhdx`,
  String.raw`\\127.0.0.1\C$\disks\x.vhdx`,
  String.raw`\\?\C:\disks\x.vhdx`,
  String.raw`\\?\UNC\server\share\x.vhdx`,
  String.raw`\\?\GLOBALROOT\Device\HarddiskVolume1\x.vhdx`,
  String.raw`\\?\Volume{01234567-89ab-cdef-0123-456789abcdef}\x.vhdx`,
  String.raw`\\.\C:\disks\x.vhdx`,
  String.raw`\\.\PhysicalDrive0`,
  String.raw`\\.\pipe\x`,
  String.raw`\??\C:\disks\x.vhdx`,
  '//?/C:/disks/x.vhdx',
  '//./C:/disks/x.vhdx',
  '//server/share/x.vhdx',
  '\\/server\\share\\x.vhdx',
  '/\\?\\C:\\disks\\x.vhdx',
  '\\disks\\x.vhdx',
  '/disks/x.vhdx',
  'disks\\x.vhdx',
  'C:disks\\x.vhdx',
  'C:',
  'CC:\\disks\\x.vhdx',
  '1:\\disks\\x.vhdx',
  'Ｃ:\\disks\\x.vhdx',
  'C：\\disks\\x.vhdx',
  ' C:\\disks\\x.vhdx',
  'file:///C:/disks/x.vhdx',
  'C:\\\u0000disks\\x.vhdx',
  'C:\\disks:stream\\x.vhdx',
  'C:\\C:\\disks\\x.vhdx',
];

const below = 'C:\\disks';

export const oddPaths: readonly string[] = [
  ...oddBeginnings,
  ...[...oddSegments, ...devices].flatMap((segment) => [
    `${below}\\${segment}`,
    `${below}\\${segment}\\x.vhdx`,
    `C:/disks/${segment}/x.vhdx`,
  ]),
];

/** Each of them is also refused as the name of a file in the boot folder. */
export const oddFileNames: readonly string[] = [
  ...oddSegments,
  ...devices,
  '..\\x',
  '../x',
  'a\\b',
  'a/b',
  '\\x',
  '/x',
  'C:x',
  'C:\\x',
  '..\\..\\ProgramData\\lcow\\vms\\x\\rootfs.vhd',
];

export const ordinaryPaths: readonly string[] = [
  String.raw`C:\disks\x.vhdx`,
  String.raw`c:\DISKS\sub folder\x.y.vhdx`,
  'C:/disks/x.vhdx',
  String.raw`C:\disks\.hidden\x.vhdx`,
  String.raw`C:\disks\..x\x..y.vhdx`,
  String.raw`C:\disks\console.vhdx`,
  String.raw`C:\disks\com10.vhdx`,
  String.raw`C:\disks\nul1.vhdx`,
  String.raw`C:\disks\{01234567-89ab}\ü.vhdx`,
  String.raw`C:\disks\ leading.vhdx`,
];
