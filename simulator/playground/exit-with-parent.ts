// Preloaded into the processes of the playground: they end in order when whoever started them is gone, however it went,
// which they learn from the end of their standard input.
process.stdin.on('end', () => process.kill(process.pid, 'SIGTERM'));
process.stdin.on('error', () => process.kill(process.pid, 'SIGTERM'));
process.stdin.resume();
process.stdin.unref();
