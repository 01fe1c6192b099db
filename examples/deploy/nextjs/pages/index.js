export default function Page() {
  return 'the page';
}
