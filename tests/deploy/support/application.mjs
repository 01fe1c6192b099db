import { createServer } from 'node:http';
import { listen } from '../../sdk/support/listen.mjs';

/** Starts what stands for the application behind a proxy; gives the port. Whatever is asked, it is the page. */
export function application(t) {
  return listen(t, createServer((request, response) => response.end(`the page, for ${request.headers.host}`)));
}

/** Whether an answer is the application's. */
export const isPage = ({ body }) => body.startsWith('the page');
