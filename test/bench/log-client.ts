// A client that follows a log, as a separate process: `log-client.ts KUBECONFIG VM`. It reads as fast as data arrives,
// and answers each message of its parent with the counts since the previous one.
import { Api } from '../../kubectl/api.ts';
import { loadCluster } from '../../kubectl/cluster.ts';
import { subresourcePath } from '../../protocol/subresources.ts';
import { LogFollower } from './log-follower.ts';

const [kubeconfig = '', name = ''] = process.argv.slice(2);
const follower = new LogFollower();
const api = new Api(loadCluster({ kubeconfig }));
const query = new URLSearchParams({ follow: 'true', tailLines: '0', positions: 'true' });
const response = await api.open({ path: subresourcePath('default', name, 'log'), query });
response.on('data', (chunk: Buffer) => follower.take(chunk));
response.once('close', () => {
  process.stderr.write('the log broke off\n');
  process.exit(1);
});
process.once('disconnect', () => process.exit());
process.on('message', () => {
  process.send?.(follower.counts());
  follower.reset();
});
