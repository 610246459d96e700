// Turns an element of a message into a report. Unknown members are dropped; too long ones are refused.
import { type Element, limits, parseObserved } from '../../protocol/messages.ts';
import { refusedReport, type SizedReport, sizedReport } from '../controller/knowledge/reports.ts';

export function readReport(element: Element): SizedReport {
  const { uid } = element;
  const parsed = parseObserved(element);
  if (!parsed.ok) return { uid, observed: undefined, failure: parsed.failure, bytes: 0 };
  const report = sizedReport(parsed.value);
  return report.bytes <= limits.reportBytes ? report : refusedReport(uid, `of more than ${limits.reportBytes} bytes`);
}
