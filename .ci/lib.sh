# Sourced by run: a heading for every step, with the seconds since the start and of the step before.
began=$SECONDS
step_began=$SECONDS

step() {
  printf '\n== %s  [step before: %d s, so far: %d s]\n' "$1" $((SECONDS - step_began)) $((SECONDS - began))
  step_began=$SECONDS
}
