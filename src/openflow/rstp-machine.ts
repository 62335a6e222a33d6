// The engine of RSTP's state machines: a table of states, each with what is done on the way in and
// a rule where to go next.
//
// One step does at most one entry and one transition, so that the order in which machines see each
// other's variables is that of Open vSwitch: coming to a state and entering it are two steps, and
// either counts as a change. A state marked `instant` has nothing to enter. ovs:
// lib/rstp-state-machines.c, where X_EXEC followed by X is a state that is being entered.

export interface MachineState<P, S extends string> {
  enter?(p: P): void;
  /** The state to go to, which may be the same one anew, or null to stay. */
  next(p: P): S | null;
  readonly instant?: boolean;
}

export type Machine<P, S extends string> = Readonly<Record<S | "init", MachineState<P, S>>>;

/** Where a machine stands. */
export interface MachinePlace {
  state: string;
  entered: boolean;
}

/** Before the first step. */
export function machineStart(): MachinePlace {
  return { state: "init", entered: true };
}

/** One step; true if the machine is elsewhere now. */
export function machineStep<P, S extends string>(
  machine: Machine<P, S>,
  place: MachinePlace,
  p: P,
): boolean {
  const { state, entered } = place;
  const at = stateOf(machine, state);
  if (at === undefined) {
    return false;
  }
  if (!entered) {
    place.entered = true;
    at.enter?.(p);
  }
  const next = at.next(p);
  if (next !== null) {
    place.state = next;
    place.entered = stateOf(machine, next)?.instant === true;
  }
  return place.state !== state || place.entered !== entered;
}

function stateOf<P, S extends string>(
  machine: Machine<P, S>,
  name: string,
): MachineState<P, S> | undefined {
  const byName: Readonly<Record<string, MachineState<P, S> | undefined>> = machine;
  return byName[name];
}
