// Preloaded into the processes of the playground. They stop cleanly when the process that started them is gone, for
// whatever reason: the end of standard input shows it.
process.stdin.on('end', () => process.kill(process.pid, 'SIGTERM'));
process.stdin.on('error', () => process.kill(process.pid, 'SIGTERM'));
process.stdin.resume();
process.stdin.unref();
