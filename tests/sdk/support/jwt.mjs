/** A JWT (RFC 7519); `sign` makes the signature of a text. */
export function jwt(header, payload, sign) {
  const text = [header, payload].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.');
  return `${text}.${sign(text).toString('base64url')}`;
}
