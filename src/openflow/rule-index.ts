// The indexes over all rules of a bridge: by cookie, those that can expire, and how many learn
// actions stand behind each cookie whose flows go with them.
//
// Rules of the same cookie are visited as Open vSwitch's hindex does, because a dump that asks for
// one cookie shows that order: the oldest first, then the others from the newest on
// (ovs: lib/hindex.c).

import type { ActionOf } from "./actions/types.ts";
import { learnsWithDelete } from "./action-query.ts";
import { u64FromWords } from "../lib/number.ts";
import type { Rule, RuleActions } from "./rule.ts";

/** Flows that go because no learn action for them is left. */
export interface DeadCookie {
  readonly cookie: bigint;
  readonly tableId: number;
}

export class RuleIndex {
  /** Cookie -> first rule; the others follow by `cookieNext`. */
  readonly #cookies = new Map<bigint, Rule>();
  /** Rules that are not yet in #cookies: a big table is loaded faster if nobody asks for cookies. */
  #pending: Rule[] = [];
  /** Rules with a timeout, in the order in which they are checked. */
  readonly expirable = new Set<Rule>();
  /** "table/cookie" -> number of learn actions with delete_learned. */
  readonly #learned = new Map<string, number>();

  insert(rule: Rule): void {
    if (rule.hardTimeoutS > 0 || rule.idleTimeoutS > 0) {
      this.expirable.add(rule);
    }
    this.#pending.push(rule);
  }

  #settle(): void {
    for (const rule of this.#pending) {
      this.#link(rule);
    }
    this.#pending = [];
  }

  #link(rule: Rule): void {
    const head = this.#cookies.get(rule.cookie);
    if (head === undefined) {
      this.#cookies.set(rule.cookie, rule);
      rule.cookieNext = null;
      rule.cookiePrev = null;
    } else {
      rule.cookieNext = head.cookieNext;
      rule.cookiePrev = head;
      if (head.cookieNext !== null) {
        head.cookieNext.cookiePrev = rule;
      }
      head.cookieNext = rule;
    }
  }

  remove(rule: Rule): void {
    this.expirable.delete(rule);
    this.#settle();
    const { cookieNext: next, cookiePrev: prev } = rule;
    if (prev !== null) {
      prev.cookieNext = next;
    } else if (next !== null) {
      this.#cookies.set(rule.cookie, next);
    } else {
      this.#cookies.delete(rule.cookie);
    }
    if (next !== null) {
      next.cookiePrev = prev;
    }
    rule.cookieNext = null;
    rule.cookiePrev = null;
  }

  *withCookie(cookie: bigint): Generator<Rule> {
    this.#settle();
    let rule = this.#cookies.get(cookie) ?? null;
    while (rule !== null) {
      const next: Rule | null = rule.cookieNext;
      yield rule;
      rule = next;
    }
  }

  /** Counts the learn actions of a rule that came. */
  addLearned(actions: RuleActions): void {
    for (const learn of deleting(actions)) {
      const key = learnedKey(learn);
      this.#learned.set(key, (this.#learned.get(key) ?? 0) + 1);
    }
  }

  /** Counts those of a rule that went; cookies that nothing learns any more go to `dead`. */
  dropLearned(actions: RuleActions, dead: DeadCookie[]): void {
    for (const learn of deleting(actions)) {
      const key = learnedKey(learn);
      const left = (this.#learned.get(key) ?? 1) - 1;
      if (left > 0) {
        this.#learned.set(key, left);
      } else {
        this.#learned.delete(key);
        dead.push({ cookie: learnCookie(learn), tableId: learn.tableId });
      }
    }
  }
}

function deleting(a: RuleActions): readonly ActionOf<"learn">[] {
  return a.hasLearnWithDelete ? learnsWithDelete(a.actions) : [];
}

function learnCookie(learn: ActionOf<"learn">): bigint {
  return u64FromWords(learn.cookie[0] ?? 0, learn.cookie[1] ?? 0);
}

function learnedKey(learn: ActionOf<"learn">): string {
  return `${learn.tableId}/${learnCookie(learn)}`;
}
