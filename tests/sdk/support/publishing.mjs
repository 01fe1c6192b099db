/** Publishes numbers on a channel, one after the other, until `stop()`; `sent` is what was acknowledged. */
export function publishThroughout(t, channel) {
  const sent = [];
  let isOn = true;
  const publishing = (async () => {
    for (let n = 0; isOn; n++) {
      await channel.publish('n', String(n));
      sent.push(String(n));
    }
  })();
  const stop = () => {
    isOn = false;
    return publishing;
  };
  t.after(() => { isOn = false; });
  return { sent, stop };
}
